# One million entries, put on one of three nodes by one statement: when are
# they on the two others, what does an entry cost, and how long does a fourth
# node need that joins empty while writes go on?

use strict;
use warnings;

use CacheCluster::Standalone;
use CacheCluster::Cluster;
use Bench;
use Time::HiRes qw(time);

my $n = $ENV{BENCH_ENTRIES} || 1_000_000;

# What all nodes must be equal in, without a sort of a million strings.
my $digest_sql = q{SELECT count(*) || ':' || sum(hashtextextended(
	key || value || extract(epoch FROM expires_at), 0)::numeric)
	FROM cache_entries()};
my $conf = q{
cachecluster.memory = 512MB
};

sub run_bench
{
	title(thousands($n) . ' entries of 17 + 100 bytes, on three nodes');
	my $group = CacheCluster::Cluster->new(nodes => 3, conf => $conf);
	$group->start;
	$group->wait_ready;

	my $holds = "(SELECT entries >= $n FROM pg_stat_cachecluster)";
	my @waits = map { wait_true($group->node($_), $holds, 120) } 2, 3;
	my $began = time;
	my $put = start_psql($group->node(1), qq{
		SELECT count(cache_put('key:' || lpad(i::text, 13, '0'),
			repeat(md5(i::text), 3) || 'abcd', ttl => '1 day'))
		FROM generate_series(1, $n) i;
		SELECT extract(epoch FROM clock_timestamp());});
	my ($count, $put_end) = split /\n/, Bench::finish_psql($put);
	fail("$count were put") if $count != $n;
	my @end = map { Bench::finish_psql($_) - $began } @waits;
	my ($first, $last) = sort { $a <=> $b } @end;
	line(sprintf 'put on node1 within %.2f s, on the first peer after %.2f s',
		$put_end - $began, $first);
	target('on both peers after', $last, 8, '%.2f s');
	target(
		'bytes_used of an entry',
		query($group->node(1),
			'SELECT bytes_used::float8 / entries FROM pg_stat_cachecluster'),
		220, '%.1f');

	$group->wait_converged;
	same($group, 1 .. 3);

	# The fourth, while somebody overwrites entries at random.
	my $name = $group->add_node(seeds => [1], conf => $conf);
	my $load = start_pgbench($group->node(1), qq{
\\set i random(1, $n)
SELECT cache_put('key:' || lpad(:i::text, 13, '0'), repeat(md5(:i::text), 3) || 'efgh', ttl => '1 day');
}, '-c', 1, '-T', 600);
	$began = time;
	$group->start($name);
	my $up = time - $began;
	my $ready = Bench::finish_psql(
		wait_true($group->node($name),
			"$holds AND (SELECT phase = 'ready' FROM cache_status())", 120));
	my $puts = query($group->node(1), 'SELECT puts FROM pg_stat_cachecluster');
	stop_pgbench($load);
	line(sprintf 'node4 was up after %.2f s; meanwhile %s writes',
		$up, thousands($puts - $n));
	target('an empty node has joined and holds all after',
		$ready - $began, 6, '%.2f s');
	$group->wait_converged;
	same($group, 1 .. 4);
	return;
}

sub same
{
	my ($group, @which) = @_;
	my %digest = map { query($group->node($_), $digest_sql) => 1 } @which;
	fail('the nodes differ: ' . join ' ', keys %digest) if keys %digest != 1;
	line('the same on ' . @which . ' nodes');
	return;
}

eval { run_bench(); 1 } or do { print $terminal "FAILED: $@"; exit 2; };
exit(missed() ? 1 : 0);
