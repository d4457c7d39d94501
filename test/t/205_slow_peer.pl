# A peer that takes nothing for a while costs nothing: what was overwritten
# meanwhile is sent as it is in the end, not as often as it changed, and what
# is under way is bounded.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(
	nodes => 2,
	proxy => 1,
	conf => 'cachecluster.peer_timeout = 10min');
$group->start;
$group->wait_ready;
$group->wait_peer_state(1, 2, 'streaming');
$group->psql(1, q{SELECT cache_put('hot', 'begin')});
$group->wait_converged;

sub sent
{
	return split /\|/, $group->psql(1,
		q{SELECT entries_sent, bytes_sent FROM pg_stat_cachecluster_peers});
}

my ($entries_before, $bytes_before) = sent();

# Node2 is connected and takes nothing.
$group->proxy(2)->stall('node1', 'to');
$group->psql(1, q{
	SET cachecluster.transactional = off;
	SELECT count(cache_put('hot', 'version ' || n))
	FROM generate_series(1, 10000) n});
is($group->psql(1, q{SELECT cache_get('hot')}),
	'version 10000', 'the writer does not wait');
$group->wait_for(1, q{
	SELECT lag_entries > 9000 FROM pg_stat_cachecluster_peers},
	'the lag to be seen');

# Much more than may be under way, while the peer stands still.
$group->psql(1, q{
	SELECT count(cache_put('big:' || n, repeat('x', 100000)))
	FROM generate_series(1, 200) n});
is($group->psql(1, q{SELECT state FROM pg_stat_cachecluster_peers}),
	'streaming', 'a slow peer is not lost');
cmp_ok((sent())[1] - $bytes_before,
	'<', 8_000_000, 'only so much is sent before something is answered');

$group->proxy(2)->pass('node1');
$group->wait_converged;
is($group->psql(2, q{SELECT cache_get('hot')}),
	'version 10000', 'it has the last one');
$group->same_digest('and all the rest');

my ($entries_after) = sent();
cmp_ok($entries_after - $entries_before,
	'<', 200 + 100, 'a hot key was sent a few times only');
is( $group->psql(1, q{
		SELECT lag_entries, reconnects FROM pg_stat_cachecluster_peers}),
	'0|0',
	'nothing is left, in one and the same session');

done_testing();
