# Two groups that never knew of each other become one by cache_join on any
# member: all members know all, the latest write of a key wins, and a restart
# changes nothing of it.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2);
$group->add_node(seeds => []);
$group->add_node(seeds => [3]);
$group->start;
my @all = 1 .. 4;
my @groups = ([ 1, 2 ], [ 3, 4 ]);
$group->wait_ready(@$_) foreach @groups;
is( $group->psql($_, 'SELECT members FROM cache_status()'),
	2, "node$_ is in a group of two") foreach @all;

# Both groups have keys of their own and some of the same.
$group->psql(1, q{SELECT count(cache_put('first' || i, 'from 1', ttl => '1 hour'))
	FROM generate_series(1, 500) i});
$group->psql(3, q{SELECT count(cache_put('second' || i, 'from 3', ttl => '1 hour'))
	FROM generate_series(1, 700) i});
$group->psql(1, q{SELECT cache_put('both', 'older'), cache_put('gone', 'older'),
	cache_put('kept', 'older')});
$group->psql(3, q{SELECT cache_put('both', 'newer'), cache_delete('gone'),
	cache_put('kept', 'older still')});
$group->psql(2, q{SELECT cache_put('kept', 'newest')});
$group->wait_converged(@$_) foreach @groups;
is($group->psql(2, q{SELECT cache_count()}), 503, 'one group holds its own');
is($group->psql(4, q{SELECT cache_count()}), 702, 'and so does the other');

# The order is given once, on one member, and names one of the other group.
$group->psql(2, sprintf q{SELECT cache_join('%s')}, $group->address(4));
$group->wait_for($_, 'SELECT members = 4 AND reachable = 4 FROM cache_status()',
	'all four to be members') foreach @all;
$group->wait_converged;
pass('all know all');

foreach my $which (@all)
{
	is($group->psql($which, q{SELECT cache_count()}), 1202,
		"node$which holds what both groups held");
	is($group->psql($which, q{SELECT cache_get('both')}), 'newer',
		"node$which: the latest write of a key won");
	is($group->psql($which, q{SELECT cache_get('kept')}), 'newest',
		"node$which: whichever group it came from");
	is($group->psql($which, q{SELECT cache_get('gone')}), '',
		"node$which: also where it is a delete");
}
$group->same_digest('all four hold the same');

# They are one group from now on.
$group->psql(4, q{SELECT cache_put('together', 'yes')});
$group->wait_converged;
is($group->psql(1, q{SELECT cache_get('together')}), 'yes',
	'a write reaches the members of the other group');
$group->restart(2, 4);
$group->wait_ready;
$group->wait_converged;
is( $group->psql($_, 'SELECT members FROM cache_status()'),
	4, "node$_ remembers the members over restarts") foreach @all;
$group->same_digest('and all hold the same');

# What cache_join says to rubbish.
foreach my $bad ('', 'host=a;host=b', 'no conninfo at all', 'host=a,b')
{
	my ($status, undef, $err) = $group->node(1)->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT cache_join('$bad')");
	like($err, qr/ERROR:  22023/, "cache_join refuses '$bad'");
}

done_testing();
