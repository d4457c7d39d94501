# What a node has lost of an unsaved namespace (persist => false) with a restart
# or a crash it gets back from the peers, as it is there by then: changed,
# deleted, new. What only one peer had reaches the third node too. When all
# stop at once it is gone, and the other namespaces are as they were.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1,
	conf => "cachecluster.startup_timeout = 5s\n");
$group->start;
$group->wait_ready;
$group->psql(1, q{
	SELECT cache_namespace('u', persist => false);
	SELECT count(cache_put('k:' || n, 'first', namespace => 'u')),
		count(cache_put('saved:' || n, 'first'))
	FROM generate_series(1, 300) n});
$group->wait_converged;

sub all_same
{
	my ($what) = @_;
	$group->wait_ready;
	$group->wait_converged;
	my %digest = map { $group->digest($_, 'u') => 1 } 1 .. 3;
	is(scalar keys %digest, 1, "$what: the unsaved namespace is the same");
	$group->same_digest("$what: and the saved one");
	return;
}

my $round = 0;

foreach my $how (qw(stop kill9))
{
	foreach my $node (3, 1)
	{
		my $other = $node == 3 ? 1 : 3;

		$round++;
		$group->$how($node);
		$group->psql($other, qq{
			SELECT count(cache_put('k:' || n, 'round $round',
								   namespace => 'u'))
			FROM generate_series(1, 50) n;
			SELECT cache_delete('k:' || 100 + $round, namespace => 'u'),
				cache_put('new:$round', 'x', namespace => 'u'),
				cache_put('saved:$round', 'round $round')});
		$group->start($node);
		all_same("node$node, $how");
		is( $group->psql($node, qq{
				SELECT cache_get('k:7', namespace => 'u'),
					cache_get('k:200', namespace => 'u'),
					cache_has('k:' || 100 + $round, namespace => 'u'),
					cache_has('new:$round', namespace => 'u')}),
			"round $round|first|f|t",
			"node$node, $how: what comes back is what the peers have");
	}
}

# node1 writes what only node2 gets, and restarts: node3 must not take node1's
# word that it has seen it.
foreach my $how (qw(stop kill9))
{
	$group->cut(1, 3);
	$group->cut(2, 3);
	$group->wait_peer_state(3, $_, 'down') foreach 1, 2;
	$group->psql(1, qq{
		SELECT cache_put('k:1', 'last by $how', namespace => 'u'),
			cache_delete('k:2', namespace => 'u')});
	$group->wait_for(2,
		qq{SELECT cache_get('k:1', namespace => 'u') = 'last by $how'},
		'node2 to have it');
	# node1 meets node3 first
	$group->cut(1, 2);
	$group->$how(1);
	$group->mend(1, 3);
	$group->start(1);
	$group->wait_reachable(3, 2);
	$group->wait_for(1, q{
		SELECT phase = 'ready' FROM cache_status()}, 'node1 to be ready');
	$group->mend;
	all_same("by way of the third, $how");
	is( $group->psql($_, q{
			SELECT cache_get('k:1', namespace => 'u'),
				cache_has('k:2', namespace => 'u')}),
		"last by $how|f",
		"node$_, $how: nothing old is left, no delete undone")
	  foreach 1 .. 3;
	$group->psql(1, q{SELECT cache_put('k:2', 'again', namespace => 'u')});
	$group->wait_converged;
}

# All at once.
$group->psql(1, q{SELECT cache_put('saved:1', 'at the end'),
	cache_delete('saved:2')});
$group->wait_converged;
$group->stop;
$group->start;
all_same('all stopped at once');
is( $group->psql(2, q{
		SELECT cache_count(namespace => 'u'), cache_get('saved:1'),
			cache_has('saved:2'), cache_count()}),
	'0|at the end|f|299',
	'all stopped at once: the unsaved one is empty, the other as it was');
$group->psql(3, q{SELECT cache_put('k:1', 'anew', namespace => 'u')});
all_same('and goes on');
is($group->psql(1, q{SELECT cache_get('k:1', namespace => 'u')}),
	'anew', 'and goes on: a new write is everywhere');

$group->wait_for($_, q{SELECT tombstones = 0 FROM pg_stat_cachecluster},
	'no tombstone to be left')
  foreach 1 .. 3;
pass('all deletes are forgotten in the end');

$group->stop;
done_testing();
