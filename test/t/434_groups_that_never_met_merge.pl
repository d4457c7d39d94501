# Two groups of two nodes that never met become one: what only one had is with
# all, and what both wrote are conflicts, decided once by the policy of their
# namespace. Nothing is wiped, and nobody is restarted.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1);
$group->add_node(seeds => []);
$group->add_node(seeds => [3]);
$group->start;
my @groups = ([ 1, 2 ], [ 3, 4 ]);
$group->wait_ready(@$_) foreach @groups;
my $started = join ',', map { $group->psql($_,
	'SELECT pg_postmaster_start_time()') } 1 .. 4;

$group->psql_all(q{
	CREATE FUNCTION both_values(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		ours.value := least(ours.value, theirs.value) || '+'
			|| greatest(ours.value, theirs.value);
		RETURN ours;
	END $$});
foreach my $which (1, 3)
{
	$group->psql($which, qq{
		SELECT cache_namespace('plain');
		SELECT cache_namespace('manual', on_split => 'manual');
		SELECT cache_namespace('merged');
		SELECT cache_set_merge('merged', 'both_values(cache_entry,cache_entry)');
		SELECT cache_put('of $which', 'x', namespace => n),
			cache_put('common', 'from $which', namespace => n)
		FROM unnest('{plain,manual,merged}'::text[]) n});
}
$group->wait_converged(@$_) foreach @groups;

$group->psql(2, sprintf q{SELECT cache_join('%s')}, $group->address(4));
$group->wait_for($_, 'SELECT members = 4 AND reachable = 4 FROM cache_status()',
	'all four to be members') foreach 1 .. 4;
$group->wait_converged;

foreach my $which (1 .. 4)
{
	my $own = $which <= 2 ? 1 : 3;
	is( $group->psql($which, q{
			SELECT n, key, value
			FROM unnest('{plain,manual,merged}'::text[]) n,
				LATERAL cache_entries('%', namespace => n)
			ORDER BY n, key}),
		join("\n",
			"manual|common|from $own", 'manual|of 1|x', 'manual|of 3|x',
			'merged|common|from 1+from 3', 'merged|of 1|x', 'merged|of 3|x',
			'plain|common|from 3', 'plain|of 1|x', 'plain|of 3|x'),
		"node$which: has all, and the common key by its policy");
	is($group->pending($which, 'manual'), 'common',
		"node$which: what people decide is pending");
	is($group->psql($which, q{SELECT conflicts_pending FROM cache_status()}),
		1, "node$which: and nothing else is");
}
$group->same_contents('all hold the same', 'default', 'plain', 'merged');
is(join(',', map { $group->psql($_, 'SELECT pg_postmaster_start_time()') }
	1 .. 4), $started, 'nobody was restarted');

# From now on they are connected, and what they write has seen the rest.
$group->psql(4, q{SELECT cache_put('common', 'after', namespace => n)
	FROM unnest('{plain,manual,merged}'::text[]) n});
$group->psql(1, q{SELECT cache_put('new', 'after', namespace => 'manual')});
$group->psql(3, q{SELECT cache_put('new', 'after that', namespace => 'manual')});
$group->wait_converged;
$group->same_contents('all hold the same after more writes');
is($group->psql($_, q{SELECT conflicts_pending FROM cache_status()}), 0,
	"node$_: nothing is pending") foreach 1 .. 4;
is($group->psql(2, q{SELECT cache_get('common', 'manual')}), 'after',
	'a write settles what was pending');

done_testing();
