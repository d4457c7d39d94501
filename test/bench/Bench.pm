# What the benchmarks share: servers, pgbench, clocks, targets.

package Bench;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use Time::HiRes qw(time sleep);

use CacheCluster::Standalone;

our @EXPORT = qw(title line target at_least fail query wait_true start_psql start_pgbench
  finish_pgbench stop_pgbench median missed);

my $missed = 0;
my @running;

sub title { print $terminal "\n== $_[0]\n"; return; }
sub line { print $terminal "   $_[0]\n"; return; }
sub fail { die "$_[0]\n"; }

# How many targets were missed so far.
sub missed { return $missed; }

# One measured number beside what it must stay below.
sub target
{
	my ($what, $value, $limit, $format) = @_;
	my $ok = $value < $limit;
	$missed++ unless $ok;
	line(sprintf "%-50s $format   target < $format   %s",
		$what, $value, $limit, $ok ? 'met' : 'MISSED');
	return;
}

# One measured number beside what it must reach.
sub at_least
{
	my ($what, $value, $limit, $format) = @_;
	my $ok = $value >= $limit;
	$missed++ unless $ok;
	line(sprintf "%-50s $format   target >= $format   %s",
		$what, $value, $limit, $ok ? 'met' : 'MISSED');
	return;
}

sub query
{
	my ($node, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);
	fail($node->name . ": $sql\n$err") if $status;
	return $out;
}

# Starts psql with a script; finish it with ->{run}->finish.
sub start_psql
{
	my ($node, $sql) = @_;
	my $p = { node => $node, in => $sql, out => '', err => '' };
	$p->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-v',
			'ON_ERROR_STOP=1', '-d', $node->connstr('postgres')
		],
		'<', \$p->{in}, '>', \$p->{out}, '2>', \$p->{err});
	push @running, $p;
	return $p;
}

# Waits inside the server, looking every 5 ms, until a condition holds, and
# yields the wall clock in seconds then; with finish_psql.
sub wait_true
{
	my ($node, $condition, $timeout) = @_;
	return start_psql($node, qq{
		SET statement_timeout = '${timeout}s';
		DO \$\$
		BEGIN
			WHILE NOT coalesce(($condition), false) LOOP
				PERFORM pg_sleep(0.005);
			END LOOP;
		END
		\$\$;
		SELECT extract(epoch FROM clock_timestamp());
	});
}

# Its output; fails with its error.
sub finish_psql
{
	my ($p) = @_;
	$p->{run}->finish;
	fail($p->{node}->name . ": $p->{err}") if $p->{err} ne '';
	chomp $p->{out};
	return $p->{out};
}

# Starts pgbench with one script, given as text, in prepared mode.
sub start_pgbench
{
	my ($node, $script, @options) = @_;
	my $file = "$ENV{CC_OUTDIR}/bench." . scalar(@running) . '.' . int(rand 1e9);
	open my $out, '>', $file or fail("$file: $!");
	print $out $script;
	close $out;
	my $p = { node => $node, out => '', err => '' };
	$p->{run} = IPC::Run::start(
		[
			$node->installed_command('pgbench'), '-n', '-M', 'prepared',
			@options, '-f', $file, '-h', $node->host, '-p', $node->port,
			'postgres'
		],
		'<', \undef, '>', \$p->{out}, '2>', \$p->{err});
	push @running, $p;
	return $p;
}

# Transactions a second of a pgbench that runs to its end without an error.
sub finish_pgbench
{
	my ($p) = @_;
	$p->{run}->finish;
	fail("pgbench: $p->{err}$p->{out}")
	  if $p->{run}->result || $p->{err} =~ /\berror\b/i;
	$p->{out} =~ /^tps = ([\d.]+)/m or fail("pgbench said: $p->{out}");
	return $1;
}

# Ends one that would go on; the transactions that it made are unknown then.
sub stop_pgbench
{
	my ($p) = @_;
	fail("pgbench has ended: $p->{err}") unless $p->{run}->pumpable;
	$p->{run}->signal('INT');
	eval { $p->{run}->finish };
	fail("pgbench: $p->{err}") if $p->{err} =~ /\berror\b/i;
	return;
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[ $#sorted / 2 ];
}

END
{
	my $status = $?;
	foreach my $p (@running)
	{
		eval { $p->{run}->kill_kill(grace => 1) } if $p->{run}->pumpable;
	}
	$? = $status;
}

1;
