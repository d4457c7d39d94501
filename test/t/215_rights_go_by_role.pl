# Rights in a namespace are given by the name of a role and hold on all nodes;
# but on each server only for the role that the name meant there then. A role
# that was dropped and made anew gains nothing, wherever that happened.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(
	nodes => 2,
	conf => "wal_level = replica\nmax_wal_senders = 5\n");
$group->start;
$group->wait_ready;

# Whether a role may read, write, and change the namespace: 'rwo', '---' ...
sub rights
{
	my ($node, $role, $ns) = @_;
	$node = $group->node($node) unless ref $node;
	my $rights = '';
	foreach my $try (
		[ r => "cache_get('k', '$ns')" ],
		[ w => "cache_put('w', 'v', namespace => '$ns')" ],
		[ o => "cache_namespace('$ns')" ])
	{
		my ($status, undef, $err) = $node->psql('postgres',
			"\\set VERBOSITY verbose\nSET ROLE $role;\nSELECT $try->[1]",
			on_error_stop => 1);
		die "neither yes nor no: $err"
		  unless $status == 0 || $err =~ /ERROR:  42501/;
		$rights .= $status == 0 ? $try->[0] : '-';
	}
	return $rights;
}

sub recreate
{
	my ($which, $role) = @_;
	$group->psql($which, "DROP ROLE $role");
	$group->psql($which, "CREATE ROLE $role");
	$group->wait_converged;
	return;
}

foreach my $which (1, 2)
{
	$group->psql($which, "CREATE ROLE $_") foreach qw(alice bob dave);
	$group->psql($which, 'CREATE ROLE friends');
}
$group->psql(1, q{SET ROLE alice; SELECT cache_namespace('s')});
$group->psql(1, qq{SELECT cache_grant('s', '$_', 'all')}) foreach qw(bob dave friends);
$group->psql(1, q{CREATE ROLE carol});
$group->psql(1, q{SELECT cache_grant('s', 'carol', 'read')});
$group->wait_converged;

is(rights($_, 'alice', 's'), 'rwo', "the owner owns it on node$_") foreach 1, 2;
is(rights($_, 'bob', 's'), 'rw-', "what was granted on node1 holds on node$_") foreach 1, 2;
$group->psql(2, 'CREATE ROLE carol');
is(rights(2, 'carol', 's'), 'r--', 'also for a role that is made there later');

# Membership is each server's own.
$group->psql(2, 'CREATE ROLE eve IN ROLE friends');
is(rights(2, 'eve', 's'), 'rw-', 'members of a role may what it may');

# Dropped and made anew on one primary: there it gains nothing, on the other,
# where it is another role, it keeps what it has.
recreate(2, 'bob');
is(rights(2, 'bob', 's'), '---', 'a dropped and re-created role gains nothing');
is(rights(1, 'bob', 's'), 'rw-', 'and the one of that name elsewhere loses nothing');
recreate(2, 'dave');
is(rights(2, 'dave', 's'), '---', 'also when nobody had asked for it there');
recreate(2, 'alice');
is(rights(2, 'alice', 's'), '---', 'and when it was the owner');
is(rights(1, 'alice', 's'), 'rwo', 'who still is it elsewhere');

# A new grant is for the new role, and renews nothing else.
$group->psql(1, q{SELECT cache_grant('s', 'bob', 'read')});
$group->wait_converged;
is(rights(2, 'bob', 's'), 'r--', 'what is granted now counts, and only that');
is(rights(1, 'bob', 's'), 'rw-', 'elsewhere it is no less');
$group->psql(1, q{SELECT cache_revoke('s', 'bob', 'read')});
$group->wait_converged;
is(rights(2, 'bob', 's'), '---', 'a revoke on one node counts on the other');
is(rights(1, 'bob', 's'), '-w-', 'for what was revoked');

# What was granted while there was no role of that name was meant for the next.
$group->psql(2, 'DROP ROLE dave');
$group->wait_converged;
$group->psql(1, q{SELECT cache_grant('s', 'dave', 'read')});
$group->wait_converged;
$group->psql(2, 'CREATE ROLE dave');
is(rights(2, 'dave', 's'), 'r--', 'a grant that came before its role');

# Of grants made at the same time on one node none is lost.
$group->psql(1, 'DO $$BEGIN FOR i IN 1..40 LOOP '
	  . q{EXECUTE format('CREATE ROLE many%s', i); END LOOP; END$$});
my @sessions = map {
	IPC::Run::start([ 'psql', '-XAtq', '-d', $group->node(1)->connstr('postgres'), '-c',
		"SELECT count(cache_grant('s', 'many' || i, 'read')) FROM generate_series($_, 40, 4) i" ],
		'>', '/dev/null')
} 1 .. 4;
$_->finish or die 'a grant failed' foreach @sessions;
is($group->psql(1, q{SELECT count(*) FROM cache_namespaces n, unnest(n.privileges) p
	WHERE name = 's' AND p LIKE 'many%=read'}), 40,
	'four sessions grant at once, and no grant is lost');
$group->psql(1, q{SELECT count(cache_revoke('s', 'many' || i, 'all')) FROM generate_series(1, 40) i});

# Over restarts and a crash, and whoever is asked first.
$group->psql(1, q{SELECT cache_namespace('t')});
$group->psql(1, qq{SELECT cache_grant('t', '$_', 'all')}) foreach qw(bob dave);
$group->wait_converged;
$group->psql(2, 'DROP ROLE bob');
$group->psql(2, 'DROP ROLE dave');
$group->wait_converged;
$group->kill9(2);
$group->start(2);
$group->wait_ready;
$group->psql(2, 'CREATE ROLE bob');
is(rights(2, 'bob', 't'), '---', 'a crash in between makes no difference');
$group->psql(2, 'CREATE ROLE dave');
$group->restart(1, 2);
$group->wait_ready;
is(rights(2, 'dave', 't'), '---', 'nor does a restart');
is(rights(1, 'dave', 't'), 'rw-', 'elsewhere it has what it had');

# A hot standby goes by its primary's roles.
$group->psql(1, q{SELECT cache_grant('s', 'friends', 'all')});
my $primary = $group->node(2);
$primary->append_conf('pg_hba.conf', "local replication all trust\n");
$primary->reload;
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
my $address = 'host=127.0.0.1 port=' . $standby->port;
my $seed = $group->address(2);
$standby->append_conf('postgresql.conf', qq{
cachecluster.node_name = 'standby'
cachecluster.advertise = '$address'
cachecluster.peers = '$seed'
});
$standby->start;
ok( $standby->poll_query_until('postgres',
		q{SELECT phase = 'ready' FROM cache_status()}),
	'a standby joins the group');
$standby->safe_psql('postgres', q{SELECT cache_wait_converged('60 s')});
is(rights($standby, 'friends', 's'), 'rw-', 'a standby knows its roles');
is(rights($standby, 'bob', 't'), '---', 'and those that lost their rights');
$primary->psql('postgres', 'CREATE ROLE frank');
$group->psql(1, 'CREATE ROLE frank');
$group->psql(1, q{SELECT cache_grant('s', 'frank', 'read')});
$group->wait_converged;
$primary->wait_for_catchup($standby, 'replay');
is(rights($standby, 'frank', 's'), 'r--', 'a new one, asked for there first');

# Behind in its catalogs it gives no access on what is not sure.
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$group->psql(2, 'DROP ROLE frank');
$group->wait_converged;
is(rights($standby, 'frank', 's'), '---',
	'a role that is dropped on the primary has no more rights on a standby');
$group->psql(2, 'CREATE ROLE frank');
$group->psql(1, q{SELECT cache_grant('s', 'frank', 'write')});
$group->wait_converged;
is(rights($standby, 'frank', 's'), '---', 'nor has the next while the standby is behind');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby, 'replay');
is(rights($standby, 'frank', 's'), '-w-', 'then it has what it was given');
is(rights(2, 'frank', 's'), '-w-', 'as on the primary');

# Namespaces are declared and dropped on a standby too.
$standby->safe_psql('postgres', q{SELECT cache_namespace('by_standby', ttl => '5 s')});
$standby->safe_psql('postgres', q{SELECT cache_grant('by_standby', 'friends', 'read')});
$standby->safe_psql('postgres', q{SELECT cache_drop_namespace('t')});
$standby->safe_psql('postgres', q{SELECT cache_wait_converged('60 s')});
is($group->psql(1, q{SELECT ttl, privileges FROM cache_namespaces WHERE name = 'by_standby'}),
	'00:00:05|{friends=read}', 'what a standby declares holds everywhere');
is($group->psql(2, q{SELECT count(*) FROM cache_namespaces WHERE name = 't'}), 0,
	'and what it drops is gone');

done_testing();
