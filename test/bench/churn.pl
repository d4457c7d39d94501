# Memory of 16 MB, a million puts of 100 bytes to 1 MB, most of them small:
# no error, no growth, no partition that had to be given up.

use strict;
use warnings;

use CacheCluster::Standalone;
use CacheCluster::Cluster;
use Bench;

my $puts = $ENV{BENCH_PUTS} || 1_000_000;
my $clients = 4;

# Of a thousand values 900 have 100 B to 2 kB, 90 up to 20 kB, 9 up to 200 kB
# and one up to 1 MB: three gigabytes go through.
my $script = q{
\set key random(1, 50000)
\set class random(1, 1000)
\set size CASE WHEN :class <= 900 THEN random(100, 2000) WHEN :class <= 990 THEN random(2000, 20000) WHEN :class <= 999 THEN random(20000, 200000) ELSE random(200000, 1048576) END
SELECT cache_put('k' || :key, repeat('x', :size::int), ttl => '1 hour');
};

sub run_bench
{
	title(thousands($puts) . ' puts of 100 B to 1 MB into 16 MB');
	my $group = CacheCluster::Cluster->new(
		nodes => 1,
		conf => "cachecluster.memory = 16MB\n");
	$group->start;
	$group->wait_ready;
	my $node = $group->node(1);
	my $total_sql = 'SELECT bytes_total FROM pg_stat_cachecluster';
	my $total = query($node, $total_sql);

	# One that needs most of the room must always get it.
	my $p = start_pgbench($node, $script, '-c', $clients, '-j', 2, '-t',
		$puts / $clients);
	my $tps = finish_pgbench($p);
	my ($used, $entries, $evictions, $rejected) = split /\|/,
	  query($node, q{SELECT bytes_used, entries, evictions, rejected
		FROM pg_stat_cachecluster});
	line(sprintf '%s puts/s; %s entries, %.1f of %.1f MB used, %s evicted',
		thousands($tps), thousands($entries), $used / 2**20, $total / 2**20,
		thousands($evictions));
	fail("$rejected puts were refused") if $rejected;
	fail('the memory has changed') if query($node, $total_sql) != $total;
	fail("more used than there is: $used") if $used > $total;
	fail('nothing was evicted') if $evictions == 0;
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
	fail("the log says: $1")
	  if $log =~ /^(.*(?:half-changed|emptied|PANIC|ERROR).*)$/m;
	line('no error, no growth, no partition reset');
	return;
}

eval { run_bench(); 1 } or do { print $terminal "FAILED: $@"; exit 2; };
exit(missed() ? 1 : 0);
