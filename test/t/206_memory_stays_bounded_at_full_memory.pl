# Memory is a hard bound: whatever the mix of sizes, a full cache evicts, never
# fails a put that could fit, and never grows. Two nodes with the smallest
# memory there is, so that what goes on one may still be wanted by the other.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $puts = 100_000;
my $clients = 4;

my $group = CacheCluster::Cluster->new(
	nodes => 2,
	conf => "cachecluster.memory = 16MB\ncachecluster.max_value_size = 1MB\n");
$group->start;
$group->wait_ready;

my $total_sql = 'SELECT bytes_total FROM pg_stat_cachecluster';
my %total = map { $_ => $group->psql($_, $total_sql) } 1, 2;
my $offset = $group->log_offset(1);

# Most values are small; one in a thousand has up to 1 MB.
my $script = "$ENV{TESTDIR}/churn.sql";
append_to_file($script, q{
\set key random(1, 20000)
\set class random(1, 1000)
\set size CASE WHEN :class <= 900 THEN random(100, 2000) WHEN :class <= 990 THEN random(2000, 20000) WHEN :class <= 999 THEN random(20000, 200000) ELSE random(200000, 1048576) END
\if :class % 20 = 7
SELECT cache_delete('k' || :key);
\else
SELECT cache_put('k' || :key, :key || repeat('x', :size - 8), ttl => '1 hour');
\endif
});
my $node = $group->node(1);
command_ok(
	[
		$node->installed_command('pgbench'), '-n', '-c', $clients, '-j', 2,
		'-t', $puts / $clients, '-f', $script, '-h', $node->host, '-p',
		$node->port, 'postgres'
	],
	"$puts puts and deletes of mixed sizes, none refused");

foreach my $which (1, 2)
{
	my ($used, $total, $evicted, $rejected) = split /\|/,
	  $group->psql($which, q{SELECT bytes_used, bytes_total, evictions, rejected
		FROM pg_stat_cachecluster});
	is($total, $total{$which}, "node$which: the memory has not grown");
	cmp_ok($used, '<=', $total, "node$which: no more is used than there is");
	cmp_ok($used, '>', $total / 2, "node$which: and the memory is full");
	cmp_ok($evicted, '>', 0, "node$which: entries were evicted");
	is($rejected, 0, "node$which: no write was refused");
}

# Room for the largest value is always made, again and again.
my $large = $group->psql(1, q{
	SELECT count(*) FILTER (WHERE length(cache_get('large' || i)) = 1048576)
	FROM generate_series(1, 50) i,
		LATERAL cache_put('large' || i, repeat('y', 1048576)) AS stored
	WHERE stored});
is($large, 50, 'the largest value is stored and read back every time');

# What both still hold is the same.
$group->wait_converged;
my %value;
my @both;
foreach my $which (1, 2)
{
	foreach my $line (split /\n/, $group->psql($which,
		q{SELECT key || ' ' || md5(value) FROM cache_entries()}))
	{
		my ($key, $md5) = split / /, $line;
		push @both, [ $value{$key}, $md5 ] if $which == 2 && $value{$key};
		$value{$key} = $md5;
	}
}
cmp_ok(scalar @both, '>', 0, 'some entries are on both nodes');
is(scalar(grep { $_->[0] ne $_->[1] } @both),
	0, 'no entry has two values');

foreach my $which (1, 2)
{
	unlike(slurp_file($group->node($which)->logfile),
		qr/ERROR|PANIC|half-changed|TRAP/, "node$which: nothing in the log");
}

done_testing();
