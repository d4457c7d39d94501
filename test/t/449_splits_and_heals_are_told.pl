# Splits and heals can be seen by whoever looks: as events, in counters, in
# views that outlive a restart; and cache_wait_converged waits for decisions,
# but not for those of people.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION slow(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(0.02);
		RETURN ours;
	END $$});
$group->psql(1, q{
	SELECT cache_namespace('slow');
	SELECT cache_set_merge('slow', 'slow(cache_entry,cache_entry)');
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('manual', on_split => 'manual')});
$group->wait_converged;
my %seen = map { $_ => $group->psql($_, 'SELECT max(id) FROM cache_events') }
  1 .. 3;

sub events
{
	my ($which, $kind) = @_;
	return $group->psql($which, qq{
		SELECT count(*) FROM cache_events
		WHERE id > $seen{$which} AND kind = '$kind'});
}

is(events($_, 'split') . events($_, 'heal'), '00',
	"node$_: nodes that meet in peace are no split") foreach 1 .. 3;
is($group->psql($_, 'SELECT count(*) FROM cache_splits'), 0,
	"node$_: nor a row") foreach 1 .. 3;

$group->part([1], [ 2, 3 ]);
$group->wait_for($_, qq{SELECT count(*) > 0 FROM cache_events
	WHERE id > $seen{$_} AND kind = 'split'}, 'the event of a split')
  foreach 1 .. 3;
pass('a split is an event on all');
is(events($_, 'heal'), 0, "node$_: it is not healed") foreach 1 .. 3;
foreach my $which (1, 2)
{
	$group->psql($which, qq{
		SELECT cache_put('k' || i, 'of $which', namespace => n)
		FROM unnest('{slow,oldest,manual}'::text[]) n, generate_series(1, 50) i});
}
$group->mend;
$group->wait_reachable($_, 3) foreach 1 .. 3;

# Whoever asks waits until all that is decided without people is decided.
foreach my $which (3, 2, 1)
{
	is($group->psql($which, q{SELECT cache_wait_converged('60 s')}), 't',
		"node$which: converged");
	is($group->pending($which, 'slow') . $group->pending($which, 'oldest'), '',
		"node$which: and then nothing waits for a policy");
}
is( $group->psql($_, q{
		SELECT (SELECT conflicts_pending FROM cache_status()),
			(SELECT conflicts_pending FROM pg_stat_cachecluster),
			(SELECT string_agg(namespace || '=' || conflicts, ' '
				ORDER BY namespace) FROM pg_stat_cachecluster_namespaces
			 WHERE namespace IN ('slow', 'oldest', 'manual'))}),
	'50|50|manual=50 oldest=50 slow=50',
	"node$_: conflicts are counted, and those that wait") foreach 1 .. 3;
$group->wait_for($_, qq{SELECT count(*) > 0 FROM cache_events
	WHERE id > $seen{$_} AND kind = 'heal'}, 'the event of a heal')
  foreach 1 .. 3;
pass('a heal is an event on all');

# An event names who it is about.
like($group->psql(1, qq{
		SELECT string_agg(DISTINCT detail::text, ' ') FROM cache_events
		WHERE id > $seen{1} AND kind = 'split'}),
	qr/node2.*node3|node3.*node2/, 'the event of a split has the islands');

# The record of a split sums up to its conflicts.
is( $group->psql(1, q{
		SELECT peer, conflicts,
			kept_ours + kept_theirs + merged + deleted, deferred
		FROM cache_splits WHERE peer = 'node2'}),
	'node2|150|100|0',
	'node1: conflicts with node2, of which some wait');
is($group->psql(3, q{SELECT cache_heal('manual', 'node2')}), 50, 'people decide');
$group->wait_converged;
is( $group->psql(1, q{
		SELECT conflicts, kept_ours + kept_theirs + merged + deleted,
			kept_theirs
		FROM cache_splits WHERE peer = 'node2'}),
	'150|150|50',
	'and then none');
is($group->psql($_, q{SELECT conflicts_pending FROM pg_stat_cachecluster}), 0,
	"node$_: none waits") foreach 1 .. 3;

# Each conflict has its row, with who decided it.
is( $group->psql($_, q{
		SELECT namespace, decided_by, count(*),
			bool_and(at <= decided_at AND ours_version <> theirs_version)
		FROM cache_conflicts GROUP BY 1, 2 ORDER BY 1, 2}),
	"manual|cache_heal on node3|50|t\noldest|oldest_island on node1|50|t\n"
	  . 'slow|merge on node1|50|t',
	"node$_: the log of conflicts is complete") foreach 1 .. 3;

# The record outlives a restart.
my $splits = $group->psql(1, 'SELECT * FROM cache_splits ORDER BY id');
$group->restart(1);
$group->wait_ready;
is($group->psql(1, qq{
		SELECT * FROM cache_splits WHERE began_at < (
			SELECT started_at FROM pg_stat_cachecluster) - interval '2 s'
		ORDER BY id}),
	$splits, 'the record of splits outlives a restart');
$group->wait_converged;
$group->same_contents('all hold the same');

# Who may not read a namespace sees neither keys nor values of its conflicts.
$group->psql(1, q{CREATE ROLE stranger LOGIN});
is($group->psql(1, q{
	SET ROLE stranger;
	SELECT count(*) FROM cache_conflicts WHERE key IS NOT NULL
		OR ours_value IS NOT NULL OR theirs_value IS NOT NULL}), 0,
	'values show only to those who may read the namespace');
foreach my $call (q{cache_heal('manual')}, q{cache_heal('manual', 'node1')},
	q{cache_resolve('k1', 'ours', namespace => 'manual')})
{
	my ($status, undef, $err) = $group->node(1)->psql('postgres',
		"\\set VERBOSITY verbose\nSET ROLE stranger;\nSELECT $call");
	like($err, qr/ERROR:  42501/, "$call is not for everybody");
}

done_testing();
