# A transaction with a million puts: how long, and how much memory its backend
# needs at the peak; beside it the same rows in an UNLOGGED table.

use strict;
use warnings;

use CacheCluster::Standalone;
use CacheCluster::Cluster;
use Bench;

my $n = $ENV{BENCH_ENTRIES} || 1_000_000;

sub run_bench
{
	title('A transaction of ' . thousands($n) . ' puts of 100 bytes, one node of 256 MB');
	my $group = CacheCluster::Cluster->new(nodes => 1,
		conf => "cachecluster.memory = '256MB'");
	$group->start;
	$group->wait_ready;
	my $node = $group->node(1);
	my $out = query($node, qq{
		CREATE UNLOGGED TABLE t (key text PRIMARY KEY, value text);
		CREATE TABLE times (what text, at timestamptz DEFAULT clock_timestamp(), kb bigint);
		CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS
		'SELECT (regexp_match(pg_read_file(''/proc/self/status''), ''VmHWM:\\s+(\\d+)''))[1]::bigint';
		INSERT INTO times VALUES ('begin', default, peak());
		BEGIN;
		SELECT count(cache_put('key:' || i, repeat('v', 100))) FROM generate_series(1, $n) i;
		INSERT INTO times VALUES ('put', clock_timestamp(), peak());
		INSERT INTO times SELECT 'waiting', clock_timestamp(), sum(total_bytes) / 1024
		FROM pg_backend_memory_contexts WHERE name LIKE 'cachecluster transaction%'
			OR parent LIKE 'cachecluster transaction%';
		COMMIT;
		INSERT INTO times VALUES ('commit', clock_timestamp(), peak());
		INSERT INTO t SELECT 'key:' || i, repeat('v', 100) FROM generate_series(1, $n) i;
		INSERT INTO times VALUES ('table', clock_timestamp(), peak());
		SELECT string_agg(what || '=' || extract(epoch FROM at) || '=' || kb, ' ' ORDER BY at)
			|| ' entries=' || (SELECT entries FROM pg_stat_cachecluster) || '=0' FROM times;});
	my %at = map { (split /=/)[ 0, 1 ] } split / /, (split /\n/, $out)[-1];
	my %kb = map { (split /=/)[ 0, 2 ] } split / /, (split /\n/, $out)[-1];
	line(sprintf 'putting %.2f s, COMMIT %.2f s; the same INSERT into an UNLOGGED table %.2f s',
		$at{put} - $at{begin}, $at{commit} - $at{waiting}, $at{table} - $at{commit});
	line(sprintf 'waiting changes: %s kB, %.0f bytes each (key and value are %.0f)',
		thousands($kb{waiting}), $kb{waiting} * 1024 / $n, 110);
	line(sprintf 'peak of the backend: %s kB before, %s kB at the commit (shared memory that it touched counts)',
		thousands($kb{begin}), thousands($kb{commit}));
	line(thousands($at{entries}) . ' entries are there');
	fail('not all entries are there') if $at{entries} < $n;
	return;
}

eval { run_bench(); 1 } or do { print $terminal "FAILED: $@"; exit 2; };
exit(missed() ? 1 : 0);
