# What a hit and a put cost, beside a statement that does nothing and beside
# what one would use instead, an upsert into an UNLOGGED table. Ratios of one
# run, four clients, prepared statements, the median of the rounds' ratios.

use strict;
use warnings;

use CacheCluster::Standalone;
use CacheCluster::Cluster;
use Bench;

my $keys = 100_000;
my $seconds = $ENV{BENCH_SECONDS} || 1;
my $rounds = $ENV{BENCH_ROUNDS} || 25;
my $key = "\\set i random(1, $keys)\n";
my %script = (
	'cache_get, a hit' => "SELECT cache_get('k' || :i);",
	"length('k' || i)" => "SELECT length('k' || :i);",
	'cache_put' => "SELECT cache_put('k' || :i, 'value of a hundred bytes or so, "
	  . 'which is what a small session or a rendered fragment has, say' x 1
	  . "', ttl => '1 hour');",
	'upsert, UNLOGGED table' =>
	  "INSERT INTO t VALUES ('k' || :i, 'value of a hundred bytes or so, which "
	  . "is what a small session or a rendered fragment has, say', "
	  . "now() + '1 hour') ON CONFLICT (key) DO UPDATE SET value = "
	  . 'excluded.value, expires_at = excluded.expires_at;');

sub run_bench
{
	title('One entry of 100 bytes at a time, 4 clients, one node');
	my $group = CacheCluster::Cluster->new(nodes => 1);
	$group->start;
	$group->wait_ready;
	my $node = $group->node(1);
	query($node, qq{
		CREATE UNLOGGED TABLE t (key text PRIMARY KEY, value text,
			expires_at timestamptz) WITH (fillfactor = 70);
		INSERT INTO t SELECT 'k' || i, repeat('x', 100), now() + '1 hour'
		FROM generate_series(1, $keys) i;
		SELECT count(cache_put('k' || i, repeat('x', 100), ttl => '1 hour'))
		FROM generate_series(1, $keys) i;
		VACUUM ANALYZE t;});

	# The machine is not equally fast all the time, so what is compared runs
	# side by side, in turns: the ratios are of one round each.
	my $base = "length('k' || i)";
	my @names = sort keys %script;
	my (%tps, %ratio);
	foreach my $round (1 .. $rounds)
	{
		foreach my $what (@names)
		{
			my $p = start_pgbench($node, "$key$script{$what}\n",
				'-c', 4, '-j', 2, '-T', $seconds);
			push @{ $tps{$what} }, finish_pgbench($p);
		}
		push @{ $ratio{$_} }, $tps{$_}[-1] / $tps{$base}[-1] foreach @names;
		push @names, shift @names;
	}
	line(sprintf '%-26s %9s/s', $_, thousands(median(@{ $tps{$_} })))
	  foreach sort @names;
	my %median = map { $_ => median(@{ $ratio{$_} }) } @names;
	at_least("cache_get, a hit : $base", $median{'cache_get, a hit'}, 0.93, '%.2f');
	at_least("cache_put : $base", $median{cache_put}, 0.85, '%.2f');
	line(sprintf 'upsert, UNLOGGED table : %s = %.2f; cache_put : upsert = %.2f',
		$base, $median{'upsert, UNLOGGED table'},
		$median{cache_put} / $median{'upsert, UNLOGGED table'});
	my $misses = query($node, 'SELECT misses FROM pg_stat_cachecluster');
	fail("$misses reads missed") if $misses > 0;
	return;
}

eval { run_bench(); 1 } or do { print $terminal "FAILED: $@"; exit 2; };
exit(missed() ? 1 : 0);
