# Links of which only one direction works, and meshes that stay incomplete: who
# is connected by whatever path is one group without conflicts, who is not is
# apart, and in the end all are one again with equal contents.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 4, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION longer(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$
		SELECT (CASE WHEN (length(ours.value), ours.version)
			> (length(theirs.value), theirs.version)
			THEN ours ELSE theirs END).* $$});
$group->psql(1, q{
	SELECT cache_namespace('longer');
	SELECT cache_set_merge('longer', 'longer(cache_entry,cache_entry)');
	SELECT cache_namespace('manual', on_split => 'manual');
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('largest', on_split => 'largest_island')});
$group->wait_converged;
my @all = qw(longer manual oldest largest);

sub put
{
	my ($which, $key, $value) = @_;
	$group->psql($which, qq{
		SELECT cache_put('$key', '$value', namespace => n)
		FROM unnest('{longer,manual,oldest,largest}'::text[]) n});
	return;
}

# A chain, 1 - 2 - 3 - 4: all are reached, by others, so nothing is a split.
$group->cut(@$_) foreach [ 1, 3 ], [ 1, 4 ], [ 2, 4 ];
$group->wait_peer_state(1, $_, 'down') foreach 3, 4;
$group->wait_peer_state(4, $_, 'down') foreach 1, 2;
put($_, 'chain', "of $_") foreach 1, 4;
put($_, "chain:$_", 'x') foreach 1 .. 4;
$group->wait_for($_, q{
	SELECT count(*) = 5 AND bool_and(value = 'of 4' OR key <> 'chain')
	FROM cache_entries('chain%', namespace => 'manual')},
	'writes through a chain') foreach 1 .. 4;
$group->same_contents('chain: all hold the same');
is( $group->psql($_, q{
		SELECT (SELECT count(*) FROM cache_splits),
			(SELECT count(*) FROM cache_conflicts WHERE decision = 'pending')}),
	'0|0',
	"chain: node$_ knows of no split and no conflict") foreach 1 .. 4;

# The chain breaks in the middle: islands of two.
$group->cut(2, 3);
$group->wait_peer_state(2, 3, 'down');
$group->wait_peer_state(3, 2, 'down');
$group->wait_for($_, q{SELECT count(*) = 2 FROM cache_splits
	WHERE healed_at IS NULL}, 'the split to be known') foreach 1 .. 4;
is( $group->psql($_, q{
		SELECT DISTINCT (SELECT array_agg(n ORDER BY n) FROM unnest(island_a) n),
			(SELECT array_agg(n ORDER BY n) FROM unnest(island_b) n)
		FROM cache_splits}),
	$_ <= 2 ? '{node1,node2}|{node3,node4}' : '{node3,node4}|{node1,node2}',
	"node$_ knows the islands, by paths") foreach 1 .. 4;
put(1, 'both', 'short');
put(4, 'both', 'much longer');
put(2, 'left', 'x');
put(3, 'right', 'x');

# And is mended: what is decided travels along it.
$group->mend(2, 3);
$group->wait_for($_, q{SELECT count(*) = 0 FROM cache_splits
	WHERE healed_at IS NULL}, 'the split to end') foreach 1 .. 4;
$group->wait_for($_, q{
	SELECT cache_get('both', 'longer') = 'much longer'
		AND cache_get('both', 'oldest') = 'short'
		AND cache_get('both', 'largest') = 'short'
		AND NOT cache_has('right', 'oldest')
		AND NOT cache_has('right', 'largest')
		AND cache_has('left', 'oldest')
		AND cache_has('right', 'longer') AND cache_has('left', 'longer')},
	'the policies to decide along the chain') foreach 1 .. 4;
$group->wait_converged;
$group->same_contents('all hold the same while the mesh is incomplete',
	'longer', 'oldest', 'largest');
is($group->pending($_, 'manual'), 'both',
	"node$_: what people decide waits") foreach 1 .. 4;
is($group->psql(4, q{SELECT cache_heal('manual', 'node4')}), 1,
	'which they may do at the end of the chain');
$group->wait_for(1, q{SELECT cache_get('both', 'manual') = 'much longer'},
	'the decision at the other end');
$group->rejoin;
$group->same_contents('all hold the same in the full mesh');

# Node 1 can send to nobody, though all can send to it.
$group->proxy($_)->stall('node1') foreach 2 .. 4;
$group->wait_for(1, q{SELECT count(*) = 3 FROM pg_stat_cachecluster_peers
	WHERE state <> 'streaming'}, 'node1 to know that nobody answers');
put(1, 'half', 'of 1, unheard');
put(1, 'half:1', 'x');
put(3, 'half', 'of 3');
put(4, 'half:4', 'x');
$group->wait_for($_, q{SELECT cache_has('half:4', 'manual')},
	'what can be sent to arrive') foreach 1 .. 3;
$group->rejoin;
$group->same_contents('all hold the same after links of one direction',
	'longer', 'oldest', 'largest');
is($group->psql(2, q{SELECT cache_has('half:1', 'manual')
	AND cache_has('half:4', 'manual') AND cache_has('half', 'longer')}),
	't', 'and nothing is lost where nothing has to be');

# Whether it counts as a conflict or as a race, all must say the same.
$group->wait_for($_, q{SELECT cache_heal('manual', 'node3') >= 0},
	'people to decide') foreach 2;
$group->wait_converged;
$group->same_contents('nor where people decide');
is( $group->psql($_, q{
		SELECT count(*) FROM cache_splits WHERE healed_at IS NULL}),
	0, "node$_: all splits have ended") foreach 1 .. 4;

done_testing();
