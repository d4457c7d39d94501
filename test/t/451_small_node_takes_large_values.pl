# A node with little memory takes what is too large for it from one with more as
# a miss, in namespaces that keep conflicts as in others, and nothing else waits
# behind it.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1,
	conf => "cachecluster.max_value_size = 8MB\n");
$group->node(1)->append_conf('postgresql.conf', "cachecluster.memory = 1GB\n");
$group->node(2)->append_conf('postgresql.conf', "cachecluster.memory = 16MB\n");
$group->start;
$group->wait_ready;
$group->psql(1, q{
	SELECT cache_namespace('plain');
	SELECT cache_namespace('kept', on_split => 'manual')});
$group->wait_converged;

# Fits into half a partition there, but not into one here.
my $large = q{repeat('x', 3800000)};
my $whole = q{SELECT count(*) FROM cache_entries('few%', namespace => 'kept')};
$group->psql(2, q{
	SELECT count(cache_put('few' || i, 'v', namespace => 'kept'))
	FROM generate_series(1, 100) i});
$group->wait_converged;
foreach my $namespace (qw(plain kept))
{
	$group->psql(1, qq{
		SELECT cache_put('large', $large, namespace => '$namespace');
		SELECT cache_put('behind', 'it', namespace => '$namespace')});
	$group->wait_converged;
	is($group->psql(2, qq{SELECT cache_get('behind', '$namespace')}), 'it',
		"$namespace: what was written behind it is there");
	is($group->psql(2, qq{SELECT cache_has('large', '$namespace')}), 'f',
		"$namespace: a miss where it does not fit");
}
is($group->psql(2, $whole), 100, 'no room was made for it');

# Written on both sides of a cut; and replaced by a client's write.
$group->part([1], [2]);
$group->psql(1, qq{SELECT cache_put('both', $large, namespace => 'kept')});
$group->psql(2, q{SELECT cache_put('both', 'small', namespace => 'kept')});
$group->rejoin;
$group->wait_pending('kept', 'both');
$group->psql(2, q{SELECT cache_put('both', 'new', namespace => 'kept')});
$group->wait_pending('kept', '');
is($group->psql($_, q{SELECT cache_get('both', 'kept')}), 'new',
	"node$_: a write decides a conflict with it") foreach 1, 2;
is($group->psql(2, $whole), 100, 'and no room was made for that');

$group->stop;
done_testing();
