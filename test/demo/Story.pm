# How the demo speaks: headings, SQL with what came back, and claims that end
# it when they do not hold.

package Story;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;

use CacheCluster::Standalone;

our @EXPORT = qw(heading tell show show_all show_row run_all query holds fail progress
  progress_end watch arrived);

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

# The rows of a statement on a node, each an array, the first of names; fails
# with the error. A NULL is "(null)".
sub rows
{
	my ($node, $sql) = @_;
	my ($status, $out, $err) = $node->psql(
		'postgres', $sql,
		extra_params => [
			map { ('-P', $_) } 'tuples_only=off', 'footer=off', 'null=(null)',
			"fieldsep=\x1f"
		]);
	fail($node->name . " says:\n$err") if $status;
	return map { [ split /\x1f/, $_, -1 ] } split /\n/, $out;
}

sub print_statement
{
	my ($prompt, $sql) = @_;
	print $terminal '   ', paint(1, $prompt), ' ',
	  join("\n   " . ' ' x (1 + length $prompt), split /\n/, $sql), ";\n";
	return;
}

# As psql draws it; numbers to the right.
sub print_table
{
	my ($indent, $names, @rows) = @_;
	my @width = map { length } @$names;
	my @right = map { 1 } @$names;
	foreach my $row (@rows)
	{
		foreach my $i (0 .. $#$row)
		{
			$width[$i] = length $row->[$i] if $width[$i] < length $row->[$i];
			$right[$i] = 0 if $row->[$i] !~ /^(-?\d+(\.\d+)?|\(null\))$/;
		}
	}
	my $line = sub {
		return join ' | ',
		  map { sprintf '%' . ($right[$_] ? '' : '-') . "$width[$_]s", $_[$_] }
		  0 .. $#_;
	};
	foreach my $text ($line->(@$names), join('-+-', map { '-' x $_ } @width),
		map { $line->(@$_) } @rows)
	{
		$text =~ s/\s+$//;
		print $terminal '   ', $indent, paint(36, $text), "\n";
	}
	return;
}

# Runs a statement on a node as a user would and shows both sides. A single
# value is printed behind an arrow, with $note after it, and returned; of a
# table the text is.
sub show
{
	my ($node, $sql, $note) = @_;
	my $prompt = $node->name . '=#';
	my ($names, @rows) = rows($node, $sql);

	print_statement($prompt, $sql);
	if (@$names == 1 && @rows == 1)
	{
		print $terminal '   ', ' ' x length $prompt, ' -> ',
		  paint(36, $rows[0][0]), defined $note ? "   $note" : '', "\n";
		return $rows[0][0];
	}
	print_table(' ' x (1 + length $prompt), $names, @rows);
	return join "\n", map { join ' | ', @$_ } @rows;
}

# Runs one statement on several nodes and shows it once, with what came back
# from each. Returns these, each as text.
sub show_all
{
	my ($nodes, $sql) = @_;
	my $prompt = 'on each=#';
	my (@names, @rows, @texts);

	foreach my $node (@$nodes)
	{
		my ($names, @of_node) = rows($node, $sql);
		@names = ('', @$names);
		push @rows, map { [ $node->name, @$_ ] } @of_node;
		push @texts, join "\n", map { join ' | ', @$_ } @of_node;
	}
	print_statement($prompt, $sql);
	if (@names == 2 && @rows == @$nodes)
	{
		print $terminal '   ', ' ' x length $prompt, ' -> ',
		  join('   ', map { "$_->[0] " . paint(36, $_->[1]) } @rows), "\n";
		return @texts;
	}
	print_table('    ', \@names, @rows);
	return @texts;
}

# Runs one statement that returns nothing on several nodes and shows it once.
sub run_all
{
	my ($nodes, $sql) = @_;
	query($_, $sql) foreach @$nodes;
	print_statement('on each=#', $sql);
	return;
}

# One row as a list of names and values.
sub show_row
{
	my ($node, $sql) = @_;
	my ($names, @rows) = rows($node, $sql);
	print_statement($node->name . '=#', $sql);
	foreach my $row (@rows)
	{
		print $terminal "\n" if @rows > 1;
		printf $terminal "       %s\n",
		  paint(36, sprintf '%-18s %s', $names->[$_], $row->[$_])
		  foreach 0 .. $#$row;
	}
	return;
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
