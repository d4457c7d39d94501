# A database's namespaces belong to its name, for all servers of the group: who
# drops or renames a database takes them from nobody else, and from everybody
# when it was the last.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2);
$group->start;
$group->wait_ready;

sub app
{
	my ($which, $database, $sql) = @_;
	return $group->node($which)->safe_psql($database, $sql);
}

sub create
{
	my ($which, $database) = @_;
	$group->psql($which, "CREATE DATABASE $database");
	app($which, $database, 'CREATE EXTENSION cachecluster');
	return;
}

# Namespaces of a database, as a node shows them from elsewhere.
sub names
{
	my ($which, $database) = @_;
	return $group->psql($which, qq{
		SELECT coalesce(string_agg(name, ',' ORDER BY name), '')
		FROM cache_namespaces
		WHERE database = '$database' AND name <> 'default'});
}

sub is_unknown
{
	my ($which, $database, $name, $what) = @_;
	my ($status, undef, $err) = $group->node($which)->psql($database,
		"\\set VERBOSITY verbose\nSELECT cache_get('k', '$name')");
	return like($err, qr/ERROR:  42704/, $what);
}

# Two servers with a database of the same name, which both use.
create($_, 'app') foreach 1, 2;
app(1, 'app', q{SELECT cache_namespace('s', ttl => '1 h')});
app(1, 'app', q{SELECT cache_grant('s', 'public', 'read')});
app(1, 'app', q{SELECT cache_put('k', 'v', namespace => 's'), cache_put('k', 'd')});
$group->wait_converged;
is(app(2, 'app', q{SELECT cache_get('k', 's') || cache_get('k')}), 'vd',
	'databases of the same name share their namespaces');

# A drop that fails changes nothing.
my ($in, $out) = ('SELECT 1;' . "\n", '');
my $session = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $group->node(1)->connstr('app') ],
	'<', \$in, '>', \$out);
$session->pump until $out =~ /1/;
my ($status, undef, $err) = $group->node(1)->psql('postgres', 'DROP DATABASE app');
like($err, qr/is being accessed by other users/, 'a database in use is not dropped');
is(names(1, 'app'), 's', 'and keeps its namespaces');
is(app(1, 'app', q{SELECT cache_get('k', 's')}), 'v', 'and what they hold');
$session->finish;
$group->psql(1, 'ALTER DATABASE app ALLOW_CONNECTIONS true');
is(names(1, 'app'), 's', 'other commands on a database change nothing');

# Dropped on one: the other keeps all.
$group->psql(1, 'DROP DATABASE app');
$group->wait_converged;
is(names($_, 'app'), 's', "node$_: what another server uses stays") foreach 1, 2;
is(app(2, 'app', q{SELECT cache_get('k', 's') || cache_get('k')}), 'vd', 'with what it holds');
create(1, 'app');
is(app(1, 'app', q{SELECT cache_get('k', 's') || cache_get('k')}), 'vd',
	'a database of that name finds it again');

# Dropped on both: gone, also "default"'s contents.
$group->psql(1, 'DROP DATABASE app');
$group->wait_converged;
$group->psql(2, 'DROP DATABASE app');
$group->wait_converged;
is(names($_, 'app'), '', "node$_: the last one takes all") foreach 1, 2;
create($_, 'app') foreach 1, 2;
is(app($_, 'app', q{SELECT cache_count()}), 0, "node$_: default is empty") foreach 1, 2;
is_unknown($_, 'app', 's', "node$_: and the others are unknown") foreach 1, 2;

# It is so after a crash, and the name begins anew.
app(1, 'app', q{SELECT cache_namespace('s')});
app(1, 'app', q{SELECT cache_put('k', 'new', namespace => 's')});
is(app(1, 'app', q{SELECT cache_count('s')}), 1, 'nothing of the former life comes back');
$group->wait_converged;
$group->psql(2, 'DROP DATABASE app');
$group->wait_converged;
$group->psql(1, 'DROP DATABASE app');
$group->wait_converged;
$group->kill9(1);
$group->start(1);
$group->wait_ready;
is(names($_, 'app'), '', "node$_: dropped for good") foreach 1, 2;

# Renamed on one of two that use it.
create($_, 'app') foreach 1, 2;
app(1, 'app', q{SELECT cache_namespace('s', ttl => '1 h'), cache_namespace('r')});
app(1, 'app', q{SELECT cache_grant('s', 'public', 'read')});
app(1, 'app', q{SELECT cache_put('k', 'v', namespace => 's')});
$group->wait_converged;
is(app(2, 'app', q{SELECT cache_get('k', 's')}), 'v', 'both use it');
$group->psql(1, 'ALTER DATABASE app RENAME TO shop');
$group->wait_converged;
foreach my $which (1, 2)
{
	is(names($which, 'shop'), 'r,s', "node$which: the new name has the namespaces");
	is(names($which, 'app'), 'r,s', "node$which: the old one keeps them for the other");
}
is($group->psql(2, q{SELECT ttl, privileges FROM cache_namespaces
	WHERE database = 'shop' AND name = 's'}), '01:00:00|{public=read}',
	'with settings and grants');
is(app(1, 'shop', q{SELECT cache_get('k', 's')}), '', 'a renamed database has a cold cache');
is(app(2, 'app', q{SELECT cache_get('k', 's')}), 'v', 'the other one a warm one');

# What the new name has already stands.
app(1, 'shop', q{SELECT cache_namespace('s', ttl => '2 h')});
app(1, 'shop', q{SELECT cache_put('k', 'of shop', namespace => 's')});
$group->wait_converged;
$group->psql(2, 'ALTER DATABASE app RENAME TO shop');
$group->wait_converged;
is(names($_, 'app'), '', "node$_: nobody has the old name any more") foreach 1, 2;
is($group->psql($_, q{SELECT ttl FROM cache_namespaces
	WHERE database = 'shop' AND name = 's'}), '02:00:00',
	"node$_: the new name's declaration stands") foreach 1, 2;
is(app(2, 'shop', q{SELECT cache_get('k', 's')}), 'of shop', 'and what it holds');

# A rename that is rolled back changes nothing.
$group->psql(1, 'BEGIN; ALTER DATABASE shop RENAME TO never; ROLLBACK');
is(names(1, 'never'), '', 'a rename that is rolled back makes nothing');
is(names(1, 'shop'), 'r,s', 'and takes nothing');

# Back and forth: what was dropped with the old name does not come back.
$group->psql(2, 'DROP DATABASE shop');
$group->wait_converged;
$group->psql(1, 'ALTER DATABASE shop RENAME TO app');
$group->psql(1, 'ALTER DATABASE app RENAME TO shop');
is(names(1, 'shop'), 'r,s', 'there and back again');
is(app(1, 'shop', q{SELECT cache_count('s')}), 0, 'without what it held');
app(1, 'shop', q{SELECT cache_put('k', 'last', namespace => 's')});
$group->restart(1);
$group->wait_ready;
is(app(1, 'shop', q{SELECT cache_get('k', 's')}), 'last', 'and it works over a restart');

# Who cannot be reached learns of it later.
create(2, 'shop');
is(app(2, 'shop', q{SELECT cache_get('k', 's')}), 'last', 'two use it again');
$group->stop(1);
$group->psql(2, 'DROP DATABASE shop');
$group->start(1);
$group->wait_ready;
$group->wait_converged;
is(app(1, 'shop', q{SELECT cache_get('k', 's')}), 'last',
	'a drop while the other server was away takes nothing from it');

done_testing();
