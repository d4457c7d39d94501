# What is in a namespace with replicate => false never leaves its node: not by
# writing, not by a cut that heals, not by a restart or a full comparison, which
# do not touch it either. cache_clear there empties one node only.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1,
	conf => "cachecluster.startup_timeout = 2s\n");
$group->start;
$group->wait_ready;
$group->psql(1, q{SELECT cache_namespace('local', replicate => false)});
$group->wait_converged;

# Of every node: entries of its own under the same keys, some deleted again.
sub fill
{
	my ($round) = @_;
	foreach my $node (1 .. 3)
	{
		$group->psql($node, qq{
			SELECT count(cache_put('k:' || n, 'node$node in $round',
								   namespace => 'local'))
			FROM generate_series(1, 200) n;
			SELECT count(cache_delete('k:' || n, namespace => 'local'))
			FROM generate_series(1, 10) n;
			SELECT cache_incr('n', $node, namespace => 'local');
			SELECT cache_put('shared', 'node$node in $round')});
	}
	return;
}

# Each node holds what it wrote, and all have the shared namespace in common.
sub each_has_its_own
{
	my ($round, $what) = @_;
	foreach my $node (1 .. 3)
	{
		is( $group->psql($node, q{
				SELECT count(*), count(DISTINCT value), min(value)
				FROM cache_entries('k:%', namespace => 'local')}),
			"190|1|node$node in $round",
			"$what: node$node has its own entries, and no others");
	}
	$group->same_digest("$what: the other namespaces are the same");
	return;
}

fill(1);
$group->wait_converged;
each_has_its_own(1, 'after writing');
is($group->psql(2, q{SELECT cache_get('n', namespace => 'local')}),
	2, 'a counter counts its own node only');

$group->split([1], [ 2, 3 ]);
$group->wait_peer_state(1, $_, 'down') foreach 2, 3;
$group->wait_peer_state($_, 1, 'down') foreach 2, 3;
fill(2);
$group->mend;
$group->wait_reachable($_, 3) foreach 1 .. 3;
$group->wait_converged;
each_has_its_own(2, 'after a cut');

# Out of the ring of the others, so that everything is scanned.
$group->stop(3);
fill_many($_) foreach 1, 2;
$group->start(3);
$group->wait_ready;
$group->wait_converged;
each_has_its_own(2, 'after an absence');

# An unclean start wants a full comparison from everybody.
$group->kill9(2);
$group->start(2);
$group->wait_ready;
$group->wait_converged;
each_has_its_own(2, 'after a crash and full comparisons');

# A new node knows the namespace, and none of its entries.
my $new = $group->add_node;
$group->start($new);
$group->wait_ready;
$group->wait_converged;
is($group->psql($new, q{SELECT cache_count(namespace => 'local')}),
	0, 'a new node gets none of it');
$group->psql($new, q{SELECT cache_put('k:1', 'new', namespace => 'local')});
$group->wait_converged;
each_has_its_own(2, 'with a new node');

$group->psql(1, q{SELECT cache_clear(namespace => 'local')});
$group->wait_converged;
is($group->psql(1, q{SELECT cache_count(namespace => 'local')}),
	0, 'cache_clear empties the node that is asked');
is($group->psql($_, q{SELECT cache_count(namespace => 'local')}),
	191, "cache_clear leaves node$_ alone")
  foreach 2, 3;
$group->kill9(3);
$group->start(3);
$group->wait_ready;
$group->wait_converged;
is($group->psql(3, q{SELECT cache_count(namespace => 'local')}),
	191, 'nor does the horizon come with a full comparison');
is($group->psql(1, q{SELECT cache_count(namespace => 'local')}),
	0, 'and what was cleared does not come back');

# Its tombstones go like all others.
$group->wait_for($_, q{SELECT tombstones = 0 FROM pg_stat_cachecluster},
	'no tombstone to be left')
  foreach 1 .. 3;
pass('deletes of local keys are forgotten in the end');

$group->stop;
done_testing();

sub fill_many
{
	my ($node) = @_;
	$group->psql($node, qq{
		SELECT count(cache_put('m:$node:' || n % 1000, n::text))
		FROM generate_series(1, 60000) n});
	return;
}
