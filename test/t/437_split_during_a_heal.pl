# Links that break again while conflicts are being decided, between other
# islands than before: what was decided stays, the rest goes on, what is new is
# decided too, and each value has all that was written in it, once.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;

# A union of lists, slow enough to be in the middle of it for a while. That
# nothing is merged twice would not show in a set, so duplicates are kept.
$group->psql_all(q{
	CREATE FUNCTION slow_union(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(0.002);
		ours.value := (SELECT string_agg(e, ',' ORDER BY e) FROM unnest(
			string_to_array(ours.value, ',')
			|| string_to_array(theirs.value, ',')) e);
		RETURN ours;
	END $$});
$group->psql(1, q{
	SELECT cache_namespace('union');
	SELECT cache_set_merge('union', 'slow_union(cache_entry,cache_entry)')});
$group->wait_converged;

my $keys = 1500;

sub put
{
	my ($which, $value, $from, $to) = @_;
	$group->psql($which, qq{
		SELECT count(cache_put('k' || i, '$value', namespace => 'union'))
		FROM generate_series($from, $to) i});
	return;
}

sub pending_on
{
	return $group->psql($_[0], 'SELECT conflicts_pending FROM cache_status()');
}

$group->part([1], [ 2, 3 ]);
put(1, 'a', 1, $keys);
put(3, 'b', 1, $keys);
$group->mend;
$group->wait_for(1, qq{
	SELECT coalesce(sum((cache_get('k' || i, 'union') = 'a,b')::int)
		BETWEEN 100 AND $keys - 400, false)
	FROM generate_series(1, $keys) i}, 'the heal to be in the middle');

# Other islands: 3 has some of what was decided, and decides no more.
$group->part([ 1, 2 ], [3]);
put(3, 'c', $keys - 99, $keys + 100);
put(2, 'd', $keys - 49, $keys + 100);
$group->rejoin;
foreach my $which (1 .. 3)
{
	is(pending_on($which), 0, "node$which: nothing is left to be decided");
	is( $group->psql($which, qq{
			SELECT value, count(*), count(*) FILTER (WHERE key = 'k1')
			FROM cache_entries('%', namespace => 'union')
			WHERE substr(key, 2)::int <= $keys - 100
			GROUP BY value}),
		'a,b|' . ($keys - 100) . '|1',
		"node$which: each value is made of both, once");
	is( $group->psql($which, qq{
			SELECT value, count(*)
			FROM cache_entries('%', namespace => 'union')
			WHERE substr(key, 2)::int > $keys GROUP BY value}),
		'c,d|100',
		"node$which: and so is what was written in the second split");
	is( $group->psql($which, qq{
			SELECT count(*) FROM cache_splits WHERE healed_at IS NULL}),
		0, "node$which: all splits have ended");
}
$group->same_contents('all hold the same');

# And with the resolver cut off in the middle: the other side goes on, the
# next oldest deciding, with what it has.
$group->part([ 1, 2 ], [3]);
put(1, 'e', 1, $keys);
put(3, 'f', 1, $keys);
$group->mend;
$group->wait_for(1, qq{
	SELECT coalesce(sum((cache_get('k' || i, 'union') = 'e,f')::int)
		BETWEEN 100 AND $keys - 400, false)
	FROM generate_series(1, $keys) i}, 'the heal to be in the middle');
$group->part([1], [ 2, 3 ]);
$group->wait_for($_, q{SELECT conflicts_pending = 0 FROM cache_status()},
	'both sides to decide the rest') foreach 1 .. 3;
$group->rejoin;
foreach my $which (1 .. 3)
{
	is( $group->psql($which, qq{
			SELECT value, count(*) FROM cache_entries('%', namespace => 'union')
			WHERE substr(key, 2)::int <= $keys GROUP BY value}),
		"e,f|$keys",
		"node$which: decided on both sides, each value is made of both, once");
}
$group->same_contents('all hold the same after both sides decided');

done_testing();
