# cache_forget removes a member for good: the others go on as a smaller group,
# the removed one drops its cache when it hears of it and stays alone, also
# after a restart and whether or not it was there when it was removed.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3);
$group->start;
$group->wait_ready;
$group->psql(1, q{SELECT count(cache_put('k' || i, 'v')) FROM generate_series(1, 300) i});
$group->wait_converged;

my ($ret, $out, $err) =
  $group->node(1)->psql('postgres', q{SELECT cache_forget('nobody')});
like($err, qr/nobody/, 'a node that is no member is an error');
($ret, $out, $err) = $group->node(1)->psql('postgres',
	sprintf q{SELECT cache_forget('%s')}, $group->name(1));
isnt($ret, 0, 'nobody forgets himself');
is($group->psql(2, 'SELECT members FROM cache_status()'), 3,
	'and nothing has changed');

# Removed while it is down: it learns when it comes back.
$group->stop(3);
$group->psql(1, sprintf q{SELECT cache_forget('%s')}, $group->name(3));
foreach my $which (1, 2)
{
	$group->wait_for($which,
		'SELECT members = 2 AND reachable = 2 FROM cache_status()',
		'the group to have two members');
	is( $group->psql($which,
			sprintf q{SELECT count(*) FROM pg_stat_cachecluster_peers
				WHERE node_name = '%s'}, $group->name(3)),
		0, "node$which no longer shows it");
}
$group->start(3);
$group->wait_for(3, 'SELECT phase = $$ready$$ AND members = 1 FROM cache_status()',
	'the removed node to be alone');
$group->wait_for(3, 'SELECT cache_count() = 0',
	'the removed node to drop its cache');
is($group->psql(1, 'SELECT cache_count()'), 300, 'the group keeps its entries');

# It is a node of its own from now on.
$group->psql(3, q{SELECT cache_put('mine', 'alone')});
$group->psql(1, q{SELECT cache_put('ours', 'together')});
$group->wait_converged(1, 2);
is($group->psql(2, q{SELECT cache_get('mine')}), '',
	'what it writes reaches nobody');
is($group->psql(3, q{SELECT cache_get('ours')}), '',
	'and nothing reaches it');
$group->restart(3);
$group->wait_for(3, 'SELECT phase = $$ready$$ AND members = 1 FROM cache_status()',
	'it to be alone after a restart too');
is($group->psql(3, q{SELECT cache_get('mine')}), 'alone',
	'a restart does not drop what it wrote since');

# Removed while it is up.
$group->psql(1, sprintf q{SELECT cache_forget('%s')}, $group->name(2));
$group->wait_for(2, 'SELECT members = 1 AND cache_count() = 0 FROM cache_status()',
	'a running node to hear that it was removed');
is($group->psql(1, q{SELECT cache_get('ours')}), 'together',
	'the last one keeps what there is');

$group->stop;
done_testing();
