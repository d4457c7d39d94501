# A value that has expired gives its memory back although a member that is away
# has not seen it, also where conflicts are kept and the write says what it
# replaced.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3);
$group->start;
$group->wait_ready;
$group->psql(1, q{SELECT cache_namespace('kept', on_split => 'manual')});
$group->wait_converged;
$group->psql(1, q{
	SELECT count(cache_put('k' || i, 'of 1', namespace => 'kept'))
	FROM generate_series(1, 500) i});
$group->wait_converged;
$group->stop(3);
$group->wait_peer_state(2, 3, 'down');

# Written over what another node wrote, and not to be seen by all.
$group->psql(2, q{
	SELECT count(cache_put('k' || i, repeat('x', 2000), ttl => '2 s',
		namespace => 'kept')) FROM generate_series(1, 500) i});
my $held = q{
	SELECT entries, bytes < 500 * 2000 FROM pg_stat_cachecluster_namespaces
	WHERE namespace = 'kept'};
isnt($group->psql(2, $held), '0|t', 'values are held while they live');
$group->wait_for($_, $held, 'expired values to leave memory', '0|t')
  foreach 1, 2;
pass('expired ones are not');
cmp_ok($group->psql(2, q{
		SELECT expirations FROM pg_stat_cachecluster_namespaces
		WHERE namespace = 'kept'}), '>=', 500, 'and are counted');

# That they were there is remembered: the old values do not come back.
$group->node(3)->start;
$group->wait_ready(3);
$group->wait_converged;
is($group->psql($_, q{
		SELECT count(*) FROM cache_entries('%', namespace => 'kept')}),
	0, "node$_: nothing came back") foreach 1 .. 3;

$group->stop;
done_testing();
