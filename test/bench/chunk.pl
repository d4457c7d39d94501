# Which chunk size? Builds the store and the write path for each, without
# PostgreSQL, and measures them: see chunk.c. No target: the table is for the
# one who changes CC_CHUNK_SIZE, and src/README.md quotes it.

use strict;
use warnings;

use FindBin;

use CacheCluster::Standalone;
use Bench;

my @sizes = split ' ', $ENV{BENCH_CHUNKS} // '96 128 160 192 224 256 320 384 512';
my $rounds = $ENV{BENCH_ROUNDS} // 3;
my $top = "$FindBin::Bin/../..";
my @sources = (
	"$FindBin::Bin/chunk.c",
	map { "$top/src/$_.c" }
	  qw(cache/cache cache/decide cache/take cache/work cache/read cache/redot
	  cache/durable cache/store cache/store_change cache/floor cache/state
	  cache/changelog cache/siblings cache/exact cache/exact_own
	  cache/exact_state cache/apart cache/conflict cache/conflictlog
	  cache/evict cache/expire cache/counter cache/extra cache/namespace
	  cache/replay base/codec base/hlc base/vv));

sub build
{
	my ($size) = @_;
	my $program = "$ENV{CC_OUTDIR}/chunk$size";
	system($ENV{CC} // 'gcc', '-O2', '-DCC_SIM', "-DCC_CHUNK_SIZE=$size",
		"-I$FindBin::Bin/port", "-I$top/src", '-o', $program, @sources) == 0
	  or fail('cannot build for a chunk of ' . $size . '; see ' . log_file());
	return $program;
}

sub run_bench
{
	my (%program, %best);
	title('Chunk sizes: entries a MB, thousand puts/s, thousand hits/s');
	$program{$_} = build($_) foreach @sizes;
	foreach my $round (1 .. $rounds)
	{
		foreach my $size (@sizes)
		{
			my (undef, @n) = split ' ', `$program{$size}`;
			fail("the measurement for $size ended with $?") if $? || @n != 12;
			foreach my $i (0 .. $#n)
			{
				push @{ $best{$size}[$i] }, $n[$i];
			}
		}
	}
	line('values of   ' . join ' ', map { sprintf '%-17s', $_ } '100 B',
		'150 to 450 B', '500 to 1,500 B', '5 to 15 kB');
	line('chunk       ' . ' n/MB  put  hit   ' x 4);
	foreach my $size (@sizes)
	{
		my @n = map { median(@$_) } @{ $best{$size} };
		line(sprintf '%5d       ' . '%5d %4d %4d   ' x 4, $size, @n);
	}
	return;
}

eval { run_bench(); 1 } or do { print $terminal "FAILED: $@"; exit 2; };
exit 0;
