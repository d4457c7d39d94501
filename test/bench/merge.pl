# One hundred thousand conflicts on three nodes, decided by a function in
# PL/pgSQL: how many a second are decided on the resolver, and, in further
# rounds, how long a cache_get takes there meanwhile.

use strict;
use warnings;

use CacheCluster::Standalone;
use CacheCluster::Cluster;
use Bench;
use List::Util qw(sum);
use Time::HiRes qw(time sleep);

my $n = $ENV{BENCH_CONFLICTS} || 100_000;
my $quiet = $ENV{BENCH_SECONDS} || 10;
my $rounds = $ENV{BENCH_ROUNDS} || 3;
my $resolver = 1;
my $group;

# What the two sides had in the cart, one behind the other. One column of each
# entry is looked at, as functions of users do.
my $function = q{
CREATE FUNCTION merge_carts(ours cache_entry, theirs cache_entry)
RETURNS cache_entry LANGUAGE plpgsql AS $$
BEGIN
	IF ours IS NULL THEN RETURN theirs; END IF;
	IF theirs IS NULL THEN RETURN ours; END IF;
	ours.value := ours.value::jsonb || theirs.value::jsonb;
	RETURN ours;
END $$};

# Writes all carts anew on a node; each has one article, named by round and
# node.
sub fill
{
	my ($which, $round) = @_;
	return start_psql($group->node($which), qq{
		SELECT count(cache_put('cart:' || i,
			jsonb_build_array('$round-$which-' || i), namespace => 'carts'))
		FROM generate_series(1, $n) i;});
}

# Notes inside the resolver, with so many seconds between two looks and by its
# own clock, how many conflicts it has decided since the round began, until all
# are: seconds and number of the first look that found some, and of the last.
sub watch_decisions
{
	my ($before, $pause) = @_;
	return start_psql($group->node($resolver), qq{
		SET statement_timeout = '300s';
		CREATE TEMP TABLE seen (at float8, decided bigint);
		DO \$\$
		DECLARE
			decided bigint := 0;
			last bigint := 0;
		BEGIN
			WHILE decided < $n LOOP
				PERFORM pg_sleep($pause);
				decided := (SELECT conflicts FROM
						pg_stat_cachecluster_namespaces
						WHERE namespace = 'carts')
					- (SELECT conflicts_pending FROM pg_stat_cachecluster)
					- $before;
				IF decided > last THEN
					INSERT INTO seen VALUES
						(extract(epoch FROM clock_timestamp()), decided);
					last := decided;
				END IF;
			END LOOP;
		END
		\$\$;
		SELECT format('%s %s %s %s', (min(at))::numeric,
			(max(at))::numeric, min(decided), max(decided)) FROM seen;});
}

# Cuts node3 off, writes on both sides, mends, and waits for the decisions, with
# so many seconds between two looks. $before_mend is called when all is written.
# Returns what watch_decisions saw.
sub round
{
	my ($round, $pause, $before_mend) = @_;
	$group->split([3], [ 1, 2 ]);
	$group->wait_peer_state(@$_, 'down') foreach [ 1, 3 ], [ 2, 3 ], [ 3, 1 ],
	  [ 3, 2 ];
	Bench::finish_psql($_) == $n or fail('not all were put')
	  foreach map { fill($_, $round) } 1, 3;
	$group->wait_converged(1, 2);
	my $watch = watch_decisions(query($group->node($resolver),
		"SELECT conflicts FROM pg_stat_cachecluster_namespaces
		 WHERE namespace = 'carts'"), $pause);
	$before_mend->() if $before_mend;
	$group->mend;
	return split ' ', Bench::finish_psql($watch);
}

# All is decided, the same on all nodes, and what it should be.
sub verify
{
	my ($round) = @_;
	$group->wait_ready;
	$group->wait_converged;
	foreach my $node (map { $group->node($_) } 1 .. 3)
	{
		my $good = query($node, qq{
			SELECT count(*) FROM cache_entries('%', namespace => 'carts')
			WHERE value::jsonb \@> jsonb_build_array(
				'$round-1-' || split_part(key, ':', 2),
				'$round-3-' || split_part(key, ':', 2))});
		fail($node->name . " has only $good merged carts") if $good != $n;
	}
	my %digest = map { $group->digest($_, 'carts') => 1 } 1 .. 3;
	fail('the nodes differ') if keys %digest != 1;
	line('the same merged carts on all three nodes');
	return;
}

# 99th percentile of the latencies, in us, of the transactions of a pgbench log
# that ended within one of these times ([from, to]); and how many they were a
# second, as every tenth is in the log.
sub percentile
{
	my ($pattern, @during) = @_;
	my $seconds = sum(map { $_->[1] - $_->[0] } @during);
	my @latency;
	foreach my $file (glob $pattern)
	{
		open my $in, '<', $file or fail("$file: $!");
		while (<$in>)
		{
			my @field = split ' ';
			next if @field < 6;
			my $at = $field[4] + $field[5] / 1e6;
			push @latency, $field[2]
			  if grep { $at >= $_->[0] && $at <= $_->[1] } @during;
		}
		close $in;
	}
	fail("no transaction in $pattern") unless @latency;
	@latency = sort { $a <=> $b } @latency;
	return ($latency[ 0.99 * $#latency ], 10 * @latency / $seconds);
}

# Some seconds without a merge, as [from, to].
sub quiet
{
	sleep 0.5;
	my $from = time;
	sleep $quiet;
	return [ $from, time ];
}

# A round in which four clients read the same keys on the resolver without a
# pause: before, during and after the merge, since they differ much by which of
# them share a processor, too. Returns how much slower the slowest hundredth of the
# reads is during the merge.
sub round_with_reads
{
	my ($round) = @_;
	my $log = "$ENV{CC_OUTDIR}/reads.$round";
	my ($reads, @without);
	my ($first, $last) = round($round, 0.1, sub {
		$reads = start_pgbench($group->node($resolver), qq{
\\set i random(1, $n)
SELECT cache_get('cart:' || :i, namespace => 'carts');
}, '-c', 4, '-j', 2, '-T', 300, '--sampling-rate=0.1', '--log', "--log-prefix=$log");
		push @without, quiet();
	});
	$group->wait_converged;
	push @without, quiet();
	stop_pgbench($reads);
	my ($p99, $rate) = percentile("$log.*", @without);
	my ($p99_merge, $rate_merge) = percentile("$log.*", [ $first, $last ]);
	line(sprintf 'without a merge %s/s, 99%% within %.3f ms; '
		. 'during %.2f s of one %s/s, %.3f ms',
		thousands($rate), $p99 / 1000, $last - $first,
		thousands($rate_merge), $p99_merge / 1000);
	verify($round);
	unlink glob "$log.*";
	return $p99_merge / $p99;
}

sub run_bench
{
	title(thousands($n) . ' conflicts on three nodes, merged by PL/pgSQL');
	$group = CacheCluster::Cluster->new(nodes => 3, proxy => 1, conf => q{
cachecluster.memory = 512MB
cachecluster.heartbeat_interval = 250ms
cachecluster.peer_timeout = 3s
});
	$group->start;
	$group->wait_ready;
	query($group->node($_), $function) foreach 1 .. 3;
	query($group->node(1), q{
		SELECT cache_namespace('carts', ttl => '1 day'),
			cache_set_merge('carts', 'merge_carts(cache_entry, cache_entry)')});
	$group->wait_converged;

	my ($first, $last, $begun, $decided) = round(0, 0.003);
	line(sprintf 'decided within %.2f s of the first', $last - $first);
	at_least('conflicts decided a second',
		($decided - $begun) / ($last - $first), 50_000, '%.0f');
	verify(0);

	title('The same, while 4 clients read the keys on the resolver');
	my @ratio = map { round_with_reads($_) } 1 .. $rounds;
	target('99th percentile of cache_get, merge : without',
		median(@ratio), 3, '%.2f');
	return;
}

eval { run_bench(); 1 } or do { print $terminal "FAILED: $@"; exit 2; };
exit(missed() ? 1 : 0);
