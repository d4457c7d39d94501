# More conflicts than memory has room for: the bound holds, puts and gets go on,
# nobody crashes, and no two nodes serve different values when all is decided.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1,
	conf => "cachecluster.memory = 16MB\n");
$group->start;
$group->wait_ready;
$group->psql(1, q{SELECT cache_namespace('manual', on_split => 'manual')});
$group->wait_converged;
my $started = join ',', map { $group->psql($_,
	'SELECT pg_postmaster_start_time()') } 1, 2;

# Each side fills three quarters of the memory with the same keys.
$group->part([1], [2]);
$group->psql($_, qq{
	SELECT count(cache_put('k' || i, '$_' || repeat('x', 1000),
		namespace => 'manual')) FROM generate_series(1, 9000) i})
  foreach 1, 2;
$group->rejoin;

sub is_bounded
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $group->psql($_, q{
			SELECT bytes_used <= bytes_total,
				bytes_total <= 16 * 1024 * 1024
			FROM pg_stat_cachecluster}),
		't|t', "node$_: memory is bounded $what") foreach 1, 2;
	return;
}

is_bounded('with conflicts beyond it');
cmp_ok($group->psql($_, q{SELECT conflicts_pending FROM cache_status()}), '>',
	500, "node$_: many wait") foreach 1, 2;
cmp_ok($group->psql($_, q{SELECT evictions FROM pg_stat_cachecluster}), '>',
	0, "node$_: others were evicted") foreach 1, 2;

# Writes find room.
is($group->psql($_, qq{
		SELECT count(*) FILTER (WHERE cache_put('new:$_:' || i, repeat('y', 1000)))
		FROM generate_series(1, 2000) i}),
	2000, "node$_: puts are stored") foreach 1, 2;
is($group->psql(2, qq{SELECT cache_put('last', 'of 2', namespace => 'manual')}),
	't', 'in the namespace, too');
$group->wait_converged;
is($group->psql($_, q{SELECT cache_get('last', 'manual')}), 'of 2',
	"node$_: and gets find them") foreach 1, 2;
is_bounded('after more puts');

# A restart has to hold the same in the same memory.
$group->restart(2);
$group->wait_ready;
$group->wait_converged;
is_bounded('after a restart');

$group->psql(1, q{SELECT cache_heal('manual', 'node1')});
$group->psql(2, q{SELECT cache_heal('manual', 'node1')});
$group->wait_converged;
is($group->psql($_, q{SELECT conflicts_pending FROM cache_status()}), 0,
	"node$_: all that waited is decided") foreach 1, 2;

# Nodes may miss, but none serves what another does not.
my %value;
my $differ = 0;
foreach my $which (1, 2)
{
	foreach (split /\n/, $group->contents($which, 'manual'))
	{
		my (undef, $key, $value, undef, undef, $version) = split /\|/;
		$differ++ if exists $value{$key} && $value{$key} ne "$version $value";
		$value{$key} = "$version $value";
	}
}
is($differ, 0, 'no key has different values');
cmp_ok(scalar(keys %value), '>', 500, 'and many are there');
is(join(',', map { $group->psql($_, 'SELECT pg_postmaster_start_time()') } 1),
	(split /,/, $started)[0], 'nobody crashed');

done_testing();
