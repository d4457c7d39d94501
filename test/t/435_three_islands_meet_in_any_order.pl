# Three islands that each wrote the same key become one group with one value,
# made of all three, in whatever order they meet.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;

# The union of lists, and what it was called with.
$group->psql_all(q{
	CREATE FUNCTION list_union(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$
		SELECT (r).* FROM (SELECT ROW(ours.namespace, ours.key,
			(SELECT string_agg(DISTINCT e, ',' ORDER BY e) FROM unnest(
				string_to_array(ours.value, ',')
				|| string_to_array(theirs.value, ',')) e),
			'text', NULL, NULL, NULL, NULL)::cache_entry AS r) AS x $$});
$group->psql(1, q{
	SELECT cache_namespace('union');
	SELECT cache_set_merge('union', 'list_union(cache_entry,cache_entry)');
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('ttl', on_split => 'longest_ttl');
	SELECT cache_namespace('manual', on_split => 'manual')});
$group->wait_converged;

my $round = 0;
foreach my $order ([ [ 1, 2 ], [ 2, 3 ], [ 1, 3 ] ],
	[ [ 2, 3 ], [ 1, 3 ], [ 1, 2 ] ],
	[ [ 1, 3 ], [ 1, 2 ], [ 2, 3 ] ])
{
	$round++;
	my $name = join ' ', map { "@$_" =~ s/ /-/r } @$order;
	my $splits = $group->psql(2, 'SELECT count(*) FROM cache_splits');
	$group->part([1], [2], [3]);
	foreach my $which (1, 3, 2)
	{
		my $ttl = ($which + $round) % 3 + 1;
		$group->psql($which, qq{
			SELECT cache_put('k' || i, '$round$which', namespace => n,
				ttl => '$ttl hours')
			FROM unnest('{union,oldest,manual,ttl}'::text[]) n,
				generate_series(1, 10) i});
	}

	# One link after the other, each with its two islands made one first.
	my ($first, $second, $last) = @$order;
	$group->mend(@$first);
	$group->wait_reachable($_, 2) foreach @$first;
	$group->wait_converged(@$first);
	my ($x, $y) = map { "$round$_" } sort @$first;
	is($group->psql($_, q{SELECT cache_get('k3', 'union')}), "$x,$y",
		"$name: node$_ has what two islands wrote") foreach @$first;
	$group->mend(@$second);
	$group->wait_for($_, qq{
		SELECT cache_get('k3', 'union') = '${round}1,${round}2,${round}3'},
		'the value of three islands') foreach 1 .. 3;
	$group->rejoin;

	my $longest = (grep { ($_ + $round) % 3 == 2 } 1 .. 3)[0];
	foreach my $which (1 .. 3)
	{
		is( $group->psql($which, q{
				SELECT n, value, count(*)
				FROM unnest('{union,oldest,ttl}'::text[]) n,
					LATERAL cache_entries('%', namespace => n)
				GROUP BY n, value ORDER BY n, value}),
			"oldest|${round}1|10\nttl|$round$longest|10\n"
			  . "union|${round}1,${round}2,${round}3|10",
			"$name: node$which has one value of three");
		is( $group->psql($which, q{
				SELECT count(*) FROM cache_splits WHERE healed_at IS NULL}),
			0, "$name: node$which: all splits have ended");
	}
	$group->same_contents("$name: all hold the same",
		'default', 'union', 'oldest', 'ttl');
	is($group->psql($_, q{
			SELECT count(DISTINCT key), count(*) FROM cache_conflicts
			WHERE decision = 'pending'}), '10|20',
		"$name: node$_ shows both others beside its own") foreach 1 .. 3;
	is($group->psql(1, q{SELECT cache_heal('manual', 'node2')}), 10,
		"$name: and people decide it at once");
	$group->wait_converged;
	is($group->psql(3, q{SELECT cache_get('k1', 'manual')}), "${round}2",
		"$name: for the winner that they name");
	$group->same_contents("$name: all hold the same after that");
}

done_testing();
