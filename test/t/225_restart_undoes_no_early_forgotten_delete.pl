# A stop under which something of an unsaved namespace was held costs the node
# what it knew of its own forgetting, clean as it was. A member that was away
# all the time must not keep what was deleted meanwhile, though the tombstone
# had to go before it came back.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2,
	conf => "cachecluster.memory = 16MB\ncachecluster.startup_timeout = 1s\n");
$group->start;
$group->wait_ready;
$group->psql(1, q{
	SELECT cache_namespace('u', persist => false);
	SELECT cache_put('deleted', 'old'), cache_put('kept', 'old')});
$group->wait_converged;

# It holds nothing unsaved itself, so it starts cleanly and asks for nothing.
$group->stop(2);
$group->psql(1, q{
	SELECT cache_put('k', 'x', namespace => 'u');
	SELECT cache_delete('deleted');
	SELECT count(cache_delete('none:' || n)) FROM generate_series(1, 250000) n});
$group->wait_for(1, q{SELECT tombstones < 50000 FROM pg_stat_cachecluster},
	'tombstones to have gone early');
$group->restart(1);

$group->start(2);
$group->wait_ready;
$group->wait_converged;
$group->wait_for($_, q{SELECT NOT cache_has('deleted')},
	'the delete to come through')
  foreach 1, 2;
pass('a delete that was forgotten before a restart is not undone');
is($group->psql($_, q{SELECT cache_get('kept')}),
	'old', "node$_ keeps what was not deleted")
  foreach 1, 2;

$group->stop;
done_testing();
