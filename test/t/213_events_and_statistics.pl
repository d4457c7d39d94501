# What happens to the cache can be read in SQL, on primaries and standbys: the
# start, phases, peers that come and go, who is refused, damage. And the lag of
# expiry is true, also when the process that should sweep hangs.

use strict;
use warnings;

use Fcntl qw(SEEK_SET);
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1,
	conf => "wal_level = replica\nmax_wal_senders = 4\n");

# The newest event of a node.
sub last_id
{
	my ($which) = @_;
	return $group->psql($which,
		'SELECT coalesce(max(id), 0) FROM cache_events');
}

# Waits until an event that fits stands behind an id, and returns its id.
sub wait_event
{
	my ($which, $condition, $after) = @_;
	$group->wait_for($which, qq{
		SELECT count(*) > 0 FROM cache_events
		WHERE id > $after AND $condition}, "an event with $condition");
	return $group->psql($which, qq{
		SELECT min(id) FROM cache_events WHERE id > $after AND $condition});
}

# Kind, node and detail of all events behind an id that fit, a line each.
sub events
{
	my ($which, $condition, $after) = @_;
	return $group->psql($which, qq{
		SELECT kind, node, detail FROM cache_events
		WHERE id > $after AND $condition ORDER BY id});
}

# The start and the phases of this node, in their order.
$group->start(1);
$group->wait_ready(1);
is( $group->psql(
		1, q{
		SELECT kind, node, detail - '{entries,ms}'::text[] FROM cache_events
		WHERE kind IN ('started', 'phase') ORDER BY id}),
	join("\n",
		'phase|node1|{"was": "starting", "phase": "loading"}',
		'started|node1|{"damaged": 0}',
		'phase|node1|{"was": "loading", "phase": "pending"}',
		'phase|node1|{"was": "pending", "phase": "ready"}'),
	'a start is told with all its phases');
is($group->psql(1, q{SELECT min(id) FROM cache_events}),
	'1', 'ids begin at one');
is( $group->psql(
		1, q{
		SELECT detail->>'what', length(detail->>'cluster_id')
		FROM cache_events WHERE kind = 'group'}),
	'began|32',
	'a new group is told');

# Another node.
my $seen = last_id(1);
$group->start(2);
$group->wait_ready;
wait_event(1, q{kind = 'peer_up'}, $seen);
like(
	events(1, q{kind = 'member_joined'}, $seen),
	qr/\Amember_joined\|node2\|\{"address": "[^"]*host=127.0.0.1[^"]*"\}\z/,
	'a new member is told, with its address');
like(
	events(1, q{kind = 'peer_up'}, $seen),
	qr/\Apeer_up\|node2\|\{"address": "[^"]+"\}\z/,
	'it is heard for the first time once');
like(events(2, q{kind = 'group'}, 0), qr/joined/, 'the new one joined');

# What is done elsewhere is told here, with who did it.
$seen = last_id(1);
$group->psql(2, q{SELECT cache_clear()});
wait_event(1, q{kind = 'cleared'}, $seen);
is( events(1, q{kind = 'cleared'}, $seen),
	'cleared|node2|{"database": "postgres", "namespace": "default"}',
	'a clear is told on the other node');
like(
	events(2, q{kind = 'cleared'}, 0),
	qr/^cleared\|node2\|[^\n]*$/,
	'and where it was made');

$seen = last_id(1);
$group->psql(2, q{SELECT cache_namespace('ns', ttl => '1 h')});
$group->psql(2, q{SELECT cache_namespace('ns', ttl => '2 h')});
$group->psql(2, q{SELECT cache_drop_namespace('ns')});
wait_event(1, q{kind = 'namespace' AND detail->>'what' = 'dropped'}, $seen);
is( $group->psql(
		1, qq{
		SELECT DISTINCT node, detail->>'database', detail->>'namespace'
		FROM cache_events
		WHERE id > $seen AND kind = 'namespace'}),
	'node2|postgres|ns',
	'what is said of a namespace elsewhere is told here');

# A link that breaks and is mended.
$seen = last_id(1);
$group->cut(1, 2);
my $down = wait_event(1, q{kind = 'peer_down'}, $seen);
$group->wait_peer_state(2, 1, 'down');
$group->mend;
my $up = wait_event(1, q{kind = 'peer_up'}, $seen);
$group->wait_converged;
cmp_ok($down, '<', $up, 'ids rise');
is( $group->psql(
		1, qq{
		SELECT kind, node, (detail->>'silent_ms')::int >= 1000,
			(detail->>'away_ms')::int >= 0
		FROM cache_events WHERE kind LIKE 'peer%' AND id > $seen ORDER BY id}),
	"peer_down|node2|t|\npeer_up|node2||t",
	'a peer goes down and comes back, each told once');
is( $group->psql(
		1, qq{
		SELECT count(*) FROM cache_events
		WHERE kind LIKE 'peer%' AND id > $up}),
	'0',
	'who reads from the last position sees nothing twice');

# A caller who is refused, there and here.
$seen = last_id(1);
my $stranger = $group->add_node(password => 'open barley',
	conf => "cachecluster.startup_timeout = 1s\n");
$group->start($stranger);
wait_event($stranger, q{kind = 'refused'}, 0);
like(
	events($stranger, q{kind = 'refused'}, 0),
	qr/refused\|[^|]*127.0.0.1[^|]*\|\{.*"by": "peer".*password authentication failed/,
	'a peer that does not let us in is told with the cause');
unlike($group->psql($stranger, 'SELECT detail::text FROM cache_events'),
	qr/barley/, 'and without the password');
$group->stop($stranger);

# A member that is forgotten.
$group->stop(2);
wait_event(1, q{kind = 'peer_down'}, $seen);
$group->psql(1, q{SELECT cache_forget('node2')});
wait_event(1, q{kind = 'member_forgotten' AND node = 'node2'}, $seen);

# The lag of expiry.
sub writer_pid
{
	my $postmaster = $group->node(1)->{_pid};
	foreach my $pid (split ' ',
		slurp_file("/proc/$postmaster/task/$postmaster/children"))
	{
		return $pid
		  if CacheCluster::Cluster::command_line($pid) =~
		  /cachecluster writer/;
	}
	die 'no writer';
}

$group->wait_for(1,
	q{SELECT expiration_lag = '0' FROM pg_stat_cachecluster}, 'no lag');
my $writer = writer_pid();
kill 'STOP', $writer;
$group->psql(1, q{SELECT cache_put('over', 'v', '3 s')});
my $ends = $group->psql(1, q{SELECT expires_at FROM cache_entry('over')});
$group->wait_for(1, qq{SELECT clock_timestamp() > timestamptz '$ends'
		- interval '500 ms'}, 'a time just before the end');
my $before = $group->psql(1, qq{
	SELECT expiration_lag, clock_timestamp() < '$ends' FROM pg_stat_cachecluster});
like($before, qr/^00:00:00\||\|f$/,
	'a sweep that hangs is no lag while nothing is over');
$group->wait_for(1,
	q{SELECT expiration_lag > '1 s' FROM pg_stat_cachecluster}, 'a lag');
my @over = map { $group->psql(1, "SELECT $_") }
  "clock_timestamp() - '$ends'",
  'expiration_lag FROM pg_stat_cachecluster',
  "clock_timestamp() - '$ends'";
is( $group->psql(1,
		"SELECT interval '$over[1]' BETWEEN '$over[0]' AND '$over[2]'"),
	't',
	'the lag is how long the entry has been over');
is($group->psql(1, q{SELECT cache_has('over')}), 'f', 'which is not served');
is($group->psql(1, q{SELECT expirations FROM pg_stat_cachecluster}),
	'0', 'nor counted, as it is still there');
kill 'CONT', $writer;
$group->wait_for(1, q{SELECT expirations = 1 FROM pg_stat_cachecluster},
	'the sweep to find it');
$group->wait_for(1, q{SELECT expiration_lag > '1 s' FROM pg_stat_cachecluster},
	'how late it was to be shown by the sweep');
$group->wait_for(1, q{SELECT expiration_lag = '0' FROM pg_stat_cachecluster},
	'the lag to end with the next walk');

# More namespaces than a process has places for: each database has one, and the
# processes that serve them one after the other inherit what the last one had.
my @databases = map { "d$_" } 1 .. 12;
foreach my $database (@databases)
{
	$group->psql(1, "CREATE DATABASE $database");
	$group->node(1)->safe_psql($database, q{CREATE EXTENSION cachecluster});
}
foreach my $round (1, 2)
{
	foreach my $database (@databases)
	{
		my $hits = substr $database, 1;
		$group->node(1)->safe_psql($database, qq{
			SELECT cache_put('k', '$round'), cache_get('nothing');
			SELECT count(cache_get('k')) FROM generate_series(1, $hits)});
	}
}
is( $group->psql(
		1, q{
		SELECT string_agg(concat_ws(' ', hits, misses, puts, deletes, entries), ', '
			ORDER BY substr(database, 2)::int)
		FROM pg_stat_cachecluster_namespaces WHERE database ~ '^d[0-9]+$'}),
	join(', ', map { 2 * $_ . ' 2 2 0 1' } 1 .. 12),
	'every namespace has its own counts');
is( $group->psql(
		1, q{
		SELECT sum(n.hits) = min(s.hits), sum(n.misses) = min(s.misses),
			sum(n.puts) = min(s.puts), sum(n.entries) = min(s.entries),
			sum(n.bytes) > 0
		FROM pg_stat_cachecluster_namespaces n, pg_stat_cachecluster s}),
	't|t|t|t|t',
	'which make up those of the node');

$group->psql(1, 'DROP DATABASE d12');
$group->wait_for(1, q{
	SELECT count(*) = 0 FROM pg_stat_cachecluster_namespaces
	WHERE database = 'd12'}, 'a database that was dropped to be gone from it');

# The ring is bounded: what is refused once more pushes out what is oldest.
$seen = last_id(1);
$group->psql(1, q{
	DO $$
	BEGIN
		FOR i IN 1 .. 1500 LOOP
			PERFORM set_config('application_name', format('caller "\%s', i), false);
			PERFORM cachecluster_hello('rubbish');
		END LOOP;
	END
	$$});
is( $group->psql(
		1, qq{
		SELECT count(*), max(id) - min(id), max(id) - $seen,
			count(*) FILTER (WHERE kind = 'refused' AND detail->>'by' = 'this node')
		FROM cache_events}),
	'1024|1023|1500|1024',
	'the ring holds the newest 1,024 events');
is( $group->psql(
		1, qq{
		SELECT node FROM cache_events ORDER BY id DESC LIMIT 1}),
	'caller "\1500', 'as they were');

# A standby tells of itself, and counts for itself.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$group->node(1)->append_conf('pg_hba.conf', 'local replication all trust');
$group->node(1)->reload;
$group->node(1)->backup('copy');
$standby->init_from_backup($group->node(1), 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', q{
cachecluster.node_name = 'standby'
cachecluster.startup_timeout = 1s
});
$standby->start;
$standby->poll_query_until('postgres',
	q{SELECT phase = 'ready' FROM cache_status()})
  or die 'timed out waiting for the standby to be ready';
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'),
	't', 'it is a standby');
is( $standby->safe_psql(
		'postgres', q{
		SELECT count(*) FILTER (WHERE kind = 'started') = 1,
			count(*) FILTER (WHERE detail->>'phase' = 'ready') = 1,
			min(id), count(*) FILTER (WHERE node = 'standby') > 1
		FROM cache_events}),
	't|t|1|t',
	'its events are its own');
is( $standby->safe_psql(
		'postgres', q{
		SELECT cache_get('nothing');
		SELECT misses FROM pg_stat_cachecluster_namespaces
		WHERE database = 'postgres' AND namespace = 'default';
		SELECT pg_stat_cachecluster_reset();
		SELECT misses FROM pg_stat_cachecluster}),
	"\n1\n\n0",
	'its counters too, and they can be reset there');
$standby->stop;

# Damage, and a start that follows a crash: ids begin anew.
$group->psql(1, q{SELECT count(cache_put('d' || i, repeat('x', 400)))
	FROM generate_series(1, 2000) i});
$group->wait_for(1,
	q{SELECT journal_bytes > 500000 FROM pg_stat_cachecluster}, 'the journal');
$group->kill9(1);
my ($journal) = sort { -M $a <=> -M $b }
  glob $group->node(1)->data_dir . '/cachecluster/pgsql_tmp.journal.*';
truncate $journal, (-s $journal) - 10;
$group->start(1);
$group->wait_ready(1);
like(
	events(1, q{kind = 'damage'}, 0),
	qr/damage\|node1\|\{"file": "pgsql_tmp.journal[.\d]+", "what": "damaged parts", "parts": 1\}/,
	'a damaged file is told');
is( $group->psql(
		1, q{
		SELECT detail->'damaged', (detail->'entries')::int > 1000
		FROM cache_events WHERE kind = 'started'}),
	'1|t',
	'and the start that met it, once');
is( $group->psql(
		1, q{
		SELECT count(*) FROM cache_events
		WHERE kind IN ('member_joined', 'member_forgotten')}),
	'0',
	'what its files say of members is no news');
is($group->psql(1, q{SELECT min(id) FROM cache_events}),
	'1', 'a start begins at one again');

done_testing();
