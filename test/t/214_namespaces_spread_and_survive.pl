# What is said of a namespace on one node holds on all and over restarts; the
# latest declaration wins, also over a cut; what is dropped is gone everywhere;
# and two nodes that declare the same name lose none of each other's entries.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1);
$group->start;
$group->wait_ready;

# All that a node shows of a namespace but what it holds.
sub shown
{
	my ($which, $name) = @_;
	return $group->psql($which, qq{
		SELECT name, database, owner, ttl, require_ttl, persist, replicate,
			   writes, on_split, max_memory, sliding, max_age, grace, privileges
		FROM cache_namespaces WHERE name = '$name'});
}

sub cut
{
	$group->split([1], [2]);
	$group->wait_peer_state(1, 2, 'down');
	$group->wait_peer_state(2, 1, 'down');
	return;
}

sub mend
{
	$group->mend;
	$group->wait_ready;
	$group->wait_converged;
	return;
}

$group->psql(1, q{SELECT cache_namespace('s', ttl => '1 h', require_ttl => true,
	on_split => 'longest_ttl', max_memory => '5MB', sliding => true,
	max_age => '1 day', grace => '5 s')});
$group->psql(1, q{SELECT cache_grant('s', 'public', 'read')});
$group->psql(1, q{SELECT cache_put('k', 'v', namespace => 's')});
$group->wait_converged;
my $all = 's|postgres|' . $group->psql(1, 'SELECT current_user')
  . '|01:00:00|t|t|t|async|longest_ttl|5242880|t|1 day|00:00:05|{public=read}';
is(shown($_, 's'), $all, "node$_ shows what was declared on node1") foreach 1, 2;
is($group->psql(2, q{SELECT cache_get('k', 's')}), 'v', 'and serves what was put');

# Nothing is written where nothing changes.
my $sent = q{SELECT entries_sent FROM pg_stat_cachecluster_peers};
my $before = $group->psql(1, $sent);
$group->psql(1, q{SELECT count(cache_namespace('s', ttl => '1 h', max_memory => 5242880))
	FROM generate_series(1, 50)});
$group->wait_converged;
is($group->psql(1, $sent), $before, 'a declaration that changes nothing writes nothing');

# Of two declarations the latest stands, as a whole.
cut();
$group->psql(1, q{SELECT cache_namespace('s', ttl => '2 h')});
$group->psql(2, q{SELECT cache_namespace('s', grace => '9 s')});
mend();
is($group->psql($_, q{SELECT ttl, grace FROM cache_namespaces WHERE name = 's'}),
	'01:00:00|00:00:09', "node$_: the latest declaration wins") foreach 1, 2;

# Restarts, clean and not.
$all =~ s/00:00:05/00:00:09/;
$group->restart(1, 2);
$group->wait_ready;
is(shown($_, 's'), $all, "node$_ remembers it over a restart") foreach 1, 2;
is($group->psql(1, q{SELECT cache_get('k', 's')}), 'v', 'with what it holds');
$group->psql(2, q{SELECT cache_namespace('before_crash', ttl => '7 s')});
$group->kill9(2);
$group->start(2);
$group->wait_ready;
is(shown(2, 's'), $all, 'and over a crash');
$group->wait_converged;
is($group->psql($_, q{SELECT ttl FROM cache_namespaces WHERE name = 'before_crash'}),
	'00:00:07', "node$_ has what was said just before a crash") foreach 1, 2;

# Two nodes declare a name, and neither loses the other's puts.
cut();
foreach my $which (1, 2)
{
	$group->psql($which, q{SELECT cache_namespace('both', ttl => '1 h')});
	$group->psql($which, qq{SELECT cache_put('of$which', 'v', namespace => 'both')});
}
mend();
is($group->psql($_, q{SELECT string_agg(k, ',') FROM cache_keys(namespace => 'both') k}),
	'of1,of2', "node$_: both sides' entries are there") foreach 1, 2;

# What is put comes before what was declared, as the declaration has changed
# since: a node holds entries of a namespace that it has not heard of.
cut();
$group->psql(1, q{SELECT cache_namespace('unheard')});
$group->psql(1, q{SELECT count(cache_put('k' || i, repeat('x', 1000), namespace => 'unheard'))
	FROM generate_series(1, 2000) i});
$group->psql(1, q{SELECT cache_namespace('unheard', ttl => '1 h')});
my ($status, undef, $err) = $group->node(2)->psql('postgres',
	"\\set VERBOSITY verbose\nSELECT cache_get('k1', 'unheard')");
like($err, qr/ERROR:  42704/, 'a namespace is unknown until it is heard of');
mend();
is($group->psql(2, q{SELECT cache_count('unheard')}), 2000,
	'entries that came before their declaration are there');

# Dropped on one node, gone on the other; what the other put meanwhile, too.
cut();
$group->psql(2, q{SELECT cache_put('meanwhile', 'v', namespace => 'both')});
$group->psql(1, q{SELECT cache_drop_namespace('both')});
mend();
foreach my $which (1, 2)
{
	is(shown($which, 'both'), '', "node$which: dropped");
	($status, undef, $err) = $group->node($which)->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT cache_get('of1', 'both')");
	like($err, qr/ERROR:  42704/, "node$which: and unknown");
}
$group->psql(2, q{SELECT cache_namespace('both')});
$group->wait_converged;
is($group->psql($_, q{SELECT cache_count('both')}), 0,
	"node$_: declared again it is empty") foreach 1, 2;
$group->psql(1, q{SELECT cache_put('new', 'life', namespace => 'both')});
$group->wait_converged;
is($group->psql(2, q{SELECT cache_get('new', 'both')}), 'life', 'and can be used');
$group->psql(1, q{SELECT cache_drop_namespace('both')});
$group->wait_converged;
$group->restart(1, 2);
$group->wait_ready;
is(shown($_, 'both'), '', "node$_: it stays dropped over a restart") foreach 1, 2;

# A node that is not ready does not overwrite what its group has said.
$group->stop(1);
$group->psql(2, q{SELECT cache_revoke('s', 'public', 'read')});
$group->split([1], [2]);
$group->node(1)->append_conf('postgresql.conf', 'cachecluster.startup_timeout = 1h');
$group->node(1)->append_conf('postgresql.conf',
	"cachecluster.peers = '" . $group->address(2) . "'");
$group->start(1);
$group->wait_for(1, q{SELECT phase NOT IN ('starting', 'loading') FROM cache_status()},
	'the file to be loaded');
foreach my $call (q{cache_namespace('s', ttl => '3 h')}, q{cache_namespace('fresh')},
	q{cache_grant('s', 'public', 'all')}, q{cache_drop_namespace('s')},
	q{cache_get('k', 'fresh')})
{
	($status, undef, $err) =
	  $group->node(1)->psql('postgres', "\\set VERBOSITY verbose\nSELECT $call");
	like($err, qr/ERROR:  55000: the cache is not ready/, "not ready: $call");
}
mend();
is($group->psql(1, q{SELECT ttl, privileges FROM cache_namespaces WHERE name = 's'}),
	'01:00:00|{}', 'what the others said stands');

# There is a limit, on all of them, and it is no trap.
$group->psql(1, q{DO $$
BEGIN
	FOR i IN 1..2000 LOOP
		PERFORM cache_namespace('many' || i);
	END LOOP;
EXCEPTION WHEN program_limit_exceeded THEN
	PERFORM cache_put('limit', SQLERRM, immediate => true);
END $$});
is($group->psql(1, q{SELECT cache_get('limit')}),
	'there are too many cache namespaces', 'namespaces have a limit');
my $count = $group->psql(1, q{SELECT count(*) FROM cache_namespaces});
cmp_ok($count, '>', 940, 'of about a thousand');
$group->psql(1, 'CREATE DATABASE late');
$group->node(1)->safe_psql('late', 'CREATE EXTENSION cachecluster');
is( $group->node(1)->safe_psql('late', q{SELECT cache_put('k', 'v'), cache_get('k')}),
	't|v', 'a new database has its default all the same');
$group->psql(1, q{SELECT cache_drop_namespace('many900')});
is( $group->psql(1, q{SELECT cache_namespace('many900'), cache_count('many900')}),
	'|0', 'a name that was dropped can be declared again');
$group->wait_converged;
$count = $group->psql(1, q{SELECT count(*) FROM cache_namespaces});
is($group->psql(2, q{SELECT count(*) FROM cache_namespaces}), $count, 'on all nodes');
$group->psql(1, q{SELECT cache_put('k', 'v', namespace => 'many930')});
$group->wait_converged;
is($group->psql(2, q{SELECT cache_get('k', 'many930')}), 'v', 'the last ones work');
is($group->psql(1, q{SELECT cache_get('k', 's')}), 'v', 'and the first ones');

done_testing();
