# How the demo speaks: headings, SQL with what came back, and claims that end
# it when they do not hold.

package Story;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;

use CacheCluster::Standalone;

our @EXPORT = qw(heading tell show query holds fail progress progress_end
  watch arrived);

my $is_terminal = -t $terminal && ($ENV{TERM} // 'dumb') ne 'dumb';
my $chapter = 0;

sub paint
{
	my ($code, $text) = @_;
	return $is_terminal ? "\e[${code}m$text\e[0m" : $text;
}

# A new chapter.
sub heading
{
	my ($text) = @_;
	$chapter++;
	print $terminal "\n", paint(1, "$chapter. $text"), "\n";
	return;
}

# Prose, wrapped.
sub tell
{
	my ($text) = @_;
	my @lines = ('');
	foreach my $word (split ' ', $text)
	{
		push @lines, '' if length("$lines[-1] $word") > 73;
		$lines[-1] .= ($lines[-1] eq '' ? '' : ' ') . $word;
	}
	print $terminal map { "   $_\n" } @lines;
	return;
}

# Runs a statement on a node, not shown; returns its result or fails.
sub query
{
	my ($node, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);
	fail($node->name . ": $sql\n$err") if $status;
	return $out;
}

# Runs a statement on a node as a user would and shows both sides. A single
# value is printed behind an arrow, with $note after it, and returned; anything
# else looks as in psql.
sub show
{
	my ($node, $sql, $note) = @_;
	my $prompt = $node->name . '=#';
	my $indent = ' ' x (1 + length $prompt);
	print $terminal '   ', paint(1, $prompt), ' ',
	  join("\n   $indent", split /\n/, $sql), "\n";

	my ($status, $out, $err) = $node->psql(
		'postgres', $sql,
		extra_params => [
			map { ('-P', $_) }
			  qw(format=aligned tuples_only=off footer=off null=(null))
		]);
	fail("the statement failed:\n$err") if $status;

	my @lines = grep { /\S/ } split /\n/, $out;
	if (@lines == 3 && $lines[1] =~ /^-+$/)
	{
		my ($value) = $lines[2] =~ /^\s*(.*?)\s*$/;
		print $terminal '   ', ' ' x length $prompt, ' -> ',
		  paint(36, $value), defined $note ? "   $note" : '', "\n";
		return $value;
	}
	s/\s+$// foreach @lines;
	print $terminal map { "   $indent" . paint(36, $_) . "\n" } @lines;
	return join "\n", @lines;
}

# A claim: says that it holds, or ends the demo.
sub holds
{
	my ($what, $ok, $why_not) = @_;
	fail("$what: no" . (defined $why_not ? " ($why_not)" : '')) unless $ok;
	print $terminal '   ', paint(32, 'holds:'), " $what\n";
	return;
}

# Ends the demo; the main program prints the text.
sub fail { die "$_[0]\n"; }

# A line that the next one overwrites, on a terminal.
my $width = 0;

sub progress
{
	my ($text) = @_;
	if (!$is_terminal) { print $terminal "   $text\n"; return; }
	print $terminal "\r   $text", ' ' x ($width > length $text ? $width - length $text : 0);
	$width = length $text;
	return;
}

sub progress_end
{
	print $terminal "\n" if $is_terminal;
	$width = 0;
	return;
}

# Watches a condition on a node in a session of its own, looking every
# millisecond, for the moment from which it holds. Returns when it watches.
sub watch
{
	my ($node, $condition) = @_;
	my $name = sprintf 'watch %d', rand 1e9;
	my $w = { node => $node, condition => $condition };
	$w->{in} = qq{
		SET statement_timeout = '60s';
		SET application_name = '$name';
		DO \$\$
		BEGIN
			WHILE NOT coalesce(($condition), false) LOOP
				PERFORM pg_sleep(0.001);
			END LOOP;
		END
		\$\$;
		SELECT extract(epoch FROM clock_timestamp()) * 1000;
	};
	$w->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-v',
			'ON_ERROR_STOP=1', '-d', $node->connstr('postgres')
		],
		'<', \$w->{in}, '>', \$w->{out}, '2>', \$w->{err});
	my $is_there = "SELECT count(*) = 1 FROM pg_stat_activity
		WHERE application_name = '$name' AND query LIKE '%DO%'";
	while ($w->{run}->pumpable)
	{
		$w->{run}->pump_nb;
		return $w if query($node, $is_there) eq 't';
	}
	return $w;
}

# The moment at which a watched condition first held, in ms of the wall clock.
sub arrived
{
	my ($w) = @_;
	$w->{run}->finish;
	fail($w->{node}->name . ": $w->{condition} was never true\n$w->{err}")
	  if $w->{err} ne '';
	chomp $w->{out};
	return $w->{out};
}

1;
