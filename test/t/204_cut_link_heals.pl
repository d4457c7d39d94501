# Nodes that cannot reach each other go on by themselves, know it, and are the
# same again soon after the link is back: cut or silent, one link or all.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql(1, q{
	SELECT count(cache_put('k:' || n, 'before')) FROM generate_series(1, 500) n});
$group->wait_converged;

my $round = 0;

sub write_everywhere
{
	$round++;
	$group->psql(1, qq{
		SELECT count(cache_put('k:' || n, '1 in $round'))
		FROM generate_series(1, 300) n});
	$group->psql(2, qq{
		SELECT count(cache_put('k:' || n, '2 in $round'))
		FROM generate_series(200, 450) n});
	$group->psql(3, qq{
		SELECT count(cache_delete('k:' || n))
		FROM generate_series(400, 500) n});
	return;
}

sub converges_after
{
	my ($what) = @_;
	$group->wait_reachable($_, 3) foreach 1 .. 3;
	$group->wait_converged;
	$group->same_digest("all are the same after $what");
	return;
}

foreach my $how (qw(cut stall))
{
	$group->split([1], [ 2, 3 ], $how);
	$group->wait_peer_state(1, $_, 'down') foreach 2, 3;
	$group->wait_peer_state($_, 1, 'down') foreach 2, 3;
	is( $group->psql(1, q{
			SELECT members, reachable FROM cache_status()}),
		'3|1',
		"$how: alone, and it knows how many are missing");
	is($group->psql(2, q{SELECT reachable FROM cache_status()}),
		2, "$how: the others still have each other");
	is( $group->psql(1, q{
			SELECT count(*) FROM pg_stat_cachecluster_peers
			WHERE down_since <= now() AND last_heard < down_since}),
		2,
		"$how: since when, and when they were last heard");

	write_everywhere();
	is($group->psql(1, qq{SELECT cache_get('k:250')}),
		"1 in $round", "$how: one side has its own");
	is($group->psql(2, qq{SELECT cache_get('k:250')}),
		"2 in $round", "$how: and the other side, too");
	$group->mend;
	converges_after("a $how of one node from the others");
	is($group->psql(1, q{SELECT cache_has('k:480')}),
		'f', "$how: what was deleted apart stays deleted");
}

# One link only: what node1 writes reaches node2 by way of node3.
$group->cut(1, 2);
$group->wait_peer_state(1, 2, 'down');
$group->wait_peer_state(2, 1, 'down');
$group->psql(1, q{SELECT cache_put('relayed', 'from 1')});
$group->psql(2, q{SELECT cache_put('relayed back', 'from 2')});
$group->wait_for(2, q{SELECT cache_get('relayed') = 'from 1'},
	'a write through the third node');
$group->wait_for(1, q{SELECT cache_get('relayed back') = 'from 2'},
	'a write through the third node');
$group->mend;
converges_after('a cut of one link');

# A link that breaks and is back before anybody notices.
write_everywhere();
$group->proxy(1)->reset_links;
$group->proxy(2)->reset_links;
write_everywhere();
converges_after('a moment without a link');
cmp_ok(
	$group->psql(3, q{SELECT min(reconnects) FROM pg_stat_cachecluster_peers}),
	'>', 0, 'and it is counted');

# A server that is away and comes back is called again.
$group->stop(3);
$group->wait_peer_state($_, 3, 'down') foreach 1, 2;
$group->psql(1, q{SELECT cache_put('while away', '1')});
$group->start(3);
converges_after('a restart');

done_testing();
