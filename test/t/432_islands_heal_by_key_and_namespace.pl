# After a partition each namespace heals by its policy, and by itself: keys of
# one side are with all, a key of both sides is decided once; oldest_island
# leaves the winner's values and removes what only the losers had, and counts
# it; what is local stays untouched; what people decide stays apart until they
# do, for all to see.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;

my @shared = qw(plain oldest manual);
$group->psql(1, q{
	SELECT cache_namespace('plain');
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('manual', on_split => 'manual');
	SELECT cache_namespace('local', replicate => false)});
$group->psql(1, qq{
	SELECT count(cache_put('old:' || i, 'before', namespace => '$_'))
	FROM generate_series(1, 20) i}) foreach @shared;
$group->wait_converged;
$group->psql($_, qq{SELECT cache_put('both:1', 'home of $_',
	namespace => 'local'), cache_put('only:$_', 'x', namespace => 'local')})
  foreach 1 .. 3;

my %offset = map { $_ => $group->log_offset($_) } 1 .. 3;
my $began = $group->psql(1, 'SELECT clock_timestamp()');
$group->part([1], [ 2, 3 ]);

sub put
{
	my ($which, $namespace, $prefix, $from, $to) = @_;
	$group->psql($which, qq{
		SELECT count(cache_put('$prefix:' || i, 'from $which',
			ttl => '1 hour', namespace => '$namespace'))
		FROM generate_series($from, $to) i});
	return;
}

foreach my $namespace (@shared)
{
	put(1, $namespace, 'left', 1, 20);
	put(1, $namespace, 'both', 1, 20);
	put(2, $namespace, 'right', 1, 10);
	put(3, $namespace, 'right', 11, 20);
	put(2, $namespace, 'old', 1, 1);
	put(3, $namespace, 'both', 1, 20);
}
$group->wait_converged(2, 3);

# What the views say while it lasts.
is( $group->psql(1, q{
		SELECT peer, island_a, (SELECT array_agg(n ORDER BY n)
								FROM unnest(island_b) n),
			began_at <= detected_at, healed_at IS NULL
		FROM cache_splits ORDER BY peer}),
	"node2|{node1}|{node2,node3}|t|t\nnode3|{node1}|{node2,node3}|t|t",
	'node1 sees a split from both others');
is( $group->psql($_, q{
		SELECT peer, (SELECT array_agg(n ORDER BY n) FROM unnest(island_a) n),
			island_b, began_at <= detected_at, healed_at IS NULL
		FROM cache_splits}),
	'node1|{node2,node3}|{node1}|t|t',
	"node$_ sees a split from node1") foreach 2, 3;

$group->rejoin;

# disjoint and common keys of a namespace as a line each: group, values, number
sub summary
{
	my ($which, $namespace) = @_;
	return $group->psql($which, qq{
		SELECT split_part(key, ':', 1) AS kind, value, count(*)
		FROM cache_entries('%', namespace => '$namespace')
		GROUP BY 1, 2 ORDER BY 1, 2});
}

foreach my $which (1 .. 3)
{
	is(summary($which, 'plain'),
		"both|from 3|20\nleft|from 1|20\nold|before|19\nold|from 2|1\n"
		  . "right|from 2|10\nright|from 3|10",
		"node$which: latest has all keys, and the newest of both");
	is(summary($which, 'oldest'),
		"both|from 1|20\nleft|from 1|20\nold|before|19",
		"node$which: oldest_island has what the island of node1 wrote");
	my $own = $which == 1 ? 1 : 3;
	is(summary($which, 'manual'),
		"both|from $own|20\nleft|from 1|20\nold|before|19\nold|from 2|1\n"
		  . "right|from 2|10\nright|from 3|10",
		"node$which: manual has all keys, and its own side's of both");
	is( $group->psql($which, q{
			SELECT key, value FROM cache_entries('%', namespace => 'local')
			ORDER BY key}),
		"both:1|home of $which\nonly:$which|x",
		"node$which: a local namespace is untouched");
}
$group->same_contents('all hold the same', 'default', 'plain', 'oldest');

# What was done is counted and told.
is( $group->psql(1, q{
		SELECT sum(deleted), sum(kept_ours) FROM cache_splits}),
	'21|20',
	'what was removed is counted, and what was kept against another');
is( $group->psql($_, qq{
		SELECT count(*) FROM cache_splits WHERE healed_at IS NULL
			OR began_at > detected_at OR detected_at > healed_at
			OR began_at < '$began'::timestamptz - interval '2 s'}),
	0, "node$_: the record of the split is closed and in order")
  foreach 1 .. 3;
foreach my $which (1 .. 3)
{
	my $log = slurp_file($group->node($which)->logfile, $offset{$which});
	like($log, qr/cachecluster[^\n]*split[^\n]*node1/i,
		"node$which: the log says who was split from whom");
	$group->wait_for_log($which, qr/20 conflicts.*SELECT cache_heal\(/,
		$offset{$which});
	pass("node$which: and with which statement the rest is healed");
}

# What people decide waits for them, on all nodes.
my $both = join ',', sort map { "both:$_" } 1 .. 20;
foreach my $which (1 .. 3)
{
	is($group->pending($which, 'manual'), $both,
		"node$which: the keys of both sides are pending");
	is($group->pending($which, 'oldest') . $group->pending($which, 'plain'),
		'', "node$which: and no others");
	is($group->psql($which, q{SELECT conflicts_pending FROM cache_status()}),
		20, "node$which: their number is in the status");
	my ($own, $other) = $which == 1 ? (1, 3) : (3, 1);
	is( $group->psql($which, q{
			SELECT ours_value, ours_node, theirs_value, theirs_node,
				ours_version <> theirs_version, decided_by IS NULL,
				decided_at IS NULL, error IS NULL
			FROM cache_conflicts WHERE namespace = 'manual' AND key = 'both:7'}),
		"from $own|node$own|from $other|node$other|t|t|t|t",
		"node$which: both values can be seen");
}
is($group->psql(2, q{SELECT cache_heal('manual', 'node3')}), 20,
	'cache_heal with a winner decides all that wait');
$group->wait_converged;
foreach my $which (1 .. 3)
{
	is($group->pending($which, 'manual'), '', "node$which: nothing is pending");
	is($group->psql($which, q{
			SELECT count(*) FROM cache_entries('both:%', 'manual')
			WHERE value = 'from 3'}),
		20, "node$which: the winner's values are there");
}
$group->same_contents('all hold the same after cache_heal');

# And nothing comes back when it happens again with nothing written.
my $before = $group->contents(1);
$group->part([1], [ 2, 3 ]);
$group->rejoin;
$group->same_contents('all hold the same after a split without writes');
is($group->contents(2), $before, 'and what they held before');

done_testing();
