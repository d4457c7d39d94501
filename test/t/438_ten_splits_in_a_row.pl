# Ten splits in a row, between changing islands and with writes on all sides,
# always end in one group with equal contents and a true record of each.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1, conf => q{
cachecluster.heartbeat_interval = 50ms
cachecluster.peer_timeout = 600ms
});
$group->start;
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION higher(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$
		SELECT (CASE WHEN coalesce(ours.value::int, 0)
			> coalesce(theirs.value::int, 0) THEN ours ELSE theirs END).* $$});
$group->psql(1, q{
	SELECT cache_namespace('higher');
	SELECT cache_set_merge('higher', 'higher(cache_entry,cache_entry)');
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('manual', on_split => 'manual')});
$group->wait_converged;

my @islands = ([ [1], [ 2, 3 ] ], [ [ 1, 2 ], [3] ], [ [ 1, 3 ], [2] ],
	[ [1], [2], [3] ]);

sub number
{
	my ($round, $which) = @_;
	return 100 * $round + ($which * 7 + $round * 5) % 11;
}

# Splits that each node should know of, by its peers.
my %expected;

foreach my $round (1 .. 10)
{
	my $islands = $islands[ $round % @islands ];
	$group->part(@$islands);

	# Higher numbers are written by other nodes in each round.
	foreach my $which (1 .. 3)
	{
		my $number = number($round, $which);
		$group->psql($which, qq{
			SELECT count(cache_put('k' || i, '$number', namespace => n)),
				count(cache_put('$round:$which:' || i, '$number', namespace => n))
			FROM unnest('{default,higher,oldest,manual}'::text[]) n,
				generate_series(1, 5) i});
	}
	foreach my $island (@$islands)
	{
		foreach my $x (@$island)
		{
			my %inside = map { $_ => 1 } @$island;
			$expected{$x}{$_}++ foreach grep { !$inside{$_} } 1 .. 3;
		}
	}
	$group->rejoin;
	$group->same_contents("round $round: all hold the same",
		'default', 'higher', 'oldest');

	# Of an island what was written last, of the islands the highest.
	my $highest = 0;
	foreach my $which (map { (sort @$_)[-1] } @$islands)
	{
		my $number = number($round, $which);
		$highest = $number if $number > $highest;
	}
	is($group->psql(2, q{SELECT DISTINCT value
		FROM cache_entries('k%', namespace => 'higher')}), $highest,
		"round $round: the merged value is of all sides");
}

foreach my $which (1 .. 3)
{
	is( $group->psql($which, q{
			SELECT peer, count(*), count(healed_at) FROM cache_splits
			GROUP BY peer ORDER BY peer}),
		join("\n", map { "node$_|$expected{$which}{$_}|$expected{$which}{$_}" }
			sort keys %{ $expected{$which} }),
		"node$which: each split is recorded, and has ended");
	is( $group->psql($which, q{
			SELECT count(*) FROM cache_splits
			WHERE NOT (began_at <= detected_at AND detected_at <= healed_at)}),
		0, "node$which: in the order of time");
	is( $group->psql($which, q{
			SELECT count(*) FROM (
				SELECT began_at < lag(healed_at) OVER
					(PARTITION BY peer ORDER BY id) - interval '1 s' AS overlap
				FROM cache_splits) s WHERE overlap}),
		0, "node$which: one after another");
}

# Keys that waited for people through ten splits are decided once.
is($group->psql($_, q{
		SELECT string_agg(DISTINCT key, ',') FROM cache_conflicts
		WHERE namespace = 'manual' AND decision = 'pending'}),
	'k1,k2,k3,k4,k5', "node$_: what people decide has waited") foreach 1 .. 3;
is($group->psql(3, q{SELECT cache_heal('manual', 'node2')}), 5,
	'they decide it');
$group->wait_converged;
$group->same_contents('all hold the same in the end');
is($group->psql($_, q{SELECT conflicts_pending FROM cache_status()}), 0,
	"node$_: nothing is pending") foreach 1 .. 3;

done_testing();
