# A delete is not undone: not by a node that could not hear of it, when it is
# heard again; not by a restart, clean or not; not by a node that was away for
# so long that the others have forgotten what was deleted.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

# The smallest memory remembers few deletes, which the last part relies on.
my $group = CacheCluster::Cluster->new(
	nodes => 3,
	proxy => 1,
	conf => "cachecluster.memory = 16MB\n");
$group->start;
$group->wait_ready;

sub put_keys
{
	my ($prefix) = @_;
	$group->psql(1, qq{SELECT count(cache_put('$prefix' || i, 'old', ttl => '1 hour'))
		FROM generate_series(1, 100) i});
	return $group->wait_converged;
}

sub delete_keys
{
	my ($which, $prefix) = @_;
	return $group->psql($which, qq{
		SELECT count(*) FILTER (WHERE cache_delete('$prefix' || i))
		FROM generate_series(1, 100) i});
}

# The nodes (all that run) hold none of them.
sub none_left
{
	my ($prefix, $when) = @_;
	foreach my $which ($group->running)
	{
		is($group->psql($which, qq{SELECT count(*) FROM cache_keys('$prefix%')}),
			0, "$which holds none $when");
	}
	return;
}

# Deleted on one side of a cut; touched, read and kept on the other.
put_keys('cut');
$group->split([3], [ 1, 2 ]);
$group->wait_peer_state(1, 3, 'down');
$group->wait_peer_state(3, 1, 'down');
is(delete_keys(1, 'cut'), 100, 'deleted on one side of a cut');
is($group->psql(3, q{SELECT count(*) FILTER (WHERE cache_touch('cut' || i, '2 hours'))
	FROM generate_series(1, 50) i}), 50, 'the other side puts their end off');
is($group->psql(3, q{SELECT count(cache_put('new' || i, 'new'))
	FROM generate_series(1, 10) i}), 10, 'and writes others');
$group->mend;
$group->wait_ready;
$group->wait_converged;
none_left('cut', 'after the cut');
is($group->psql(1, q{SELECT count(*) FROM cache_keys('new%')}), 10,
	'what the other side wrote is there');
$group->same_digest('and all hold the same');

# Restarts, of one and of all.
$group->restart(3);
$group->wait_ready;
$group->wait_converged;
none_left('cut', 'after a restart');
$group->kill9(3);
$group->start(3);
$group->wait_ready;
$group->wait_converged;
none_left('cut', 'after a kill');
$group->stop;
$group->start;
$group->wait_ready;
$group->wait_converged;
none_left('cut', 'after all were stopped');

# Deleted while a node was down, after a clean stop and after a kill.
put_keys('stopped');
$group->stop(3);
delete_keys(1, 'stopped');
$group->start(3);
$group->wait_ready;
$group->wait_converged;
none_left('stopped', 'after a node returns from a stop');

put_keys('killed');
$group->kill9(3);
delete_keys(2, 'killed');
$group->start(3);
$group->wait_ready;
$group->wait_converged;
none_left('killed', 'after a node returns from a kill');

# The others forget: more is deleted than the smallest memory can remember.
put_keys('forgotten');
$group->stop(3);
delete_keys(1, 'forgotten');
$group->psql(1, q{
	SELECT count(cache_put('filler' || i, 'x')), count(cache_delete('filler' || i))
	FROM generate_series(1, 40000) i});
$group->wait_converged;
cmp_ok($group->psql(1, 'SELECT tombstones FROM pg_stat_cachecluster'),
	'<', 40000, 'more was deleted than is remembered');
$group->start(3);
$group->wait_ready;
$group->wait_converged;
none_left('forgotten', 'after the others had forgotten the deletes');
$group->same_digest('and all hold the same');

# A key that was deleted can be written again.
$group->psql(3, q{SELECT cache_put('cut1', 'again')});
$group->wait_converged;
is($group->psql($_, q{SELECT cache_get('cut1')}), 'again',
	"node$_: a deleted key can be written again") foreach 1 .. 3;

done_testing();
