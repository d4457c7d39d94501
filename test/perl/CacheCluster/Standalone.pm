# What lets a script that is no test (the demo, the benchmarks) use the modules
# of PostgreSQL's tests: finds them, says where they write, and keeps their
# output out of the terminal.
#
# Load it before any of them. From then on STDOUT and STDERR are a log file in
# $CC_OUTDIR; what is for the user goes to $terminal. Servers, proxies and
# programs that were started here end with the script, also when it is
# interrupted.

package CacheCluster::Standalone;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Handle;

our @EXPORT = qw($terminal log_file thousands);

our $terminal;

sub log_file { return "$ENV{CC_OUTDIR}/output.log"; }

BEGIN
{
	my $outdir = $ENV{CC_OUTDIR}
	  or die "start it by make, or as an argument of test/as_postgres\n";
	my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
	chomp(my $makefile = `$pg_config --pgxs`);
	my $pgxs = abs_path(dirname($makefile) . '/../..');
	unshift @INC, "$pgxs/src/test/perl";

	$ENV{TESTDIR} = $outdir;
	$ENV{TMPDIR} = $outdir;
	$ENV{TESTDATADIR} = "$outdir/tmp_check";
	$ENV{TESTLOGDIR} = "$outdir/tmp_check/log";
	$ENV{PG_REGRESS} = "$pgxs/src/test/regress/pg_regress";
	delete $ENV{PGOPTIONS};

	open $terminal, '>&', \*STDOUT or die "dup: $!";
	$terminal->autoflush(1);
	open STDOUT, '>>', log_file() or die log_file() . ": $!";
	open STDERR, '>>&', \*STDOUT or die "dup: $!";

	# So that END blocks run and stop what was started.
	foreach my $signal (qw(INT TERM HUP))
	{
		$SIG{$signal} = sub { print $terminal "\n$signal\n"; exit 130; };
	}
}

# Its END block comes after ours; it would give up at the first server that was
# killed.
use PostgreSQL::Test::Cluster;

END
{
	my $status = $?;

	# PostgreSQL's modules give up like this, with the reason in their log.
	print $terminal "ended early; see $ENV{TESTLOGDIR}\n" if $status == 255;
	end_server($_) foreach @PostgreSQL::Test::Cluster::all_nodes;
	@PostgreSQL::Test::Cluster::all_nodes = ();
	$? = $status;
}

# Stops a server whatever state it is in. Its data is of no more use.
sub end_server
{
	my ($node) = @_;
	open my $file, '<', $node->data_dir . '/postmaster.pid' or return;
	my ($pid) = readline($file) =~ /^(\d+)$/ or return;
	foreach my $signal (('QUIT') x 100, 'KILL')
	{
		return unless kill 0, $pid;
		kill $signal, $pid;
		select undef, undef, undef, 0.1;
	}
	return;
}

# 1234567 as 1,234,567
sub thousands
{
	my ($n) = @_;
	$n = int($n + 0.5);
	1 while $n =~ s/^(\d+)(\d{3})/$1,$2/;
	return $n;
}

1;
