# After a crash the cache is what the journal held. With journal_sync = always
# that is everything that was put and deleted, whatever the writer was at: in
# the middle of a snapshot, of a long cycle, of nothing. The postmaster is
# killed, or the writer, upon which PostgreSQL restarts all its processes.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1, conf => q{
restart_after_crash = on
cachecluster.memory = 128MB
});
my $node = $group->node(1);
$group->start;
$group->wait_ready;
my $id = $group->psql(1, 'SELECT node_id FROM cache_status()');

my %expect;

# Every session sees the setting from here on.
sub set_sync
{
	my ($mode) = @_;
	$group->psql(1, "ALTER SYSTEM SET cachecluster.journal_sync = '$mode'");
	$node->reload;
	$group->wait_for(1, 'SHOW cachecluster.journal_sync', 'the setting', $mode);
	return;
}

sub put
{
	my ($key, $value) = @_;
	$group->psql(1, "SELECT cache_put('$key', '$value')");
	$expect{$key} = $value;
	return;
}

sub check
{
	my ($test_name) = @_;
	$group->wait_ready;
	my @wrong;
	foreach my $key (sort keys %expect)
	{
		my $got = $group->psql(1, "SELECT cache_get('$key')");
		push @wrong, "$key: '$got' instead of '$expect{$key}'"
		  if $got ne $expect{$key};
	}
	is(join("\n", @wrong), '', $test_name);
	is($group->psql(1, 'SELECT node_id FROM cache_status()'),
		$id, 'under the same identity');
	return;
}

# The workers have no database and do not stand in pg_stat_activity.
sub writer_pid
{
	my $postmaster = $node->{_pid};
	foreach my $pid (split ' ',
		slurp_file("/proc/$postmaster/task/$postmaster/children"))
	{
		return $pid
		  if CacheCluster::Cluster::command_line($pid) =~ /cachecluster writer/;
	}
	die 'no writer';
}

# 60 MB, so that the journal outgrows its limit and a snapshot begins; the kill
# comes somewhere in the middle.
my $storm = q{
	SELECT count(cache_put('bulk' || i, repeat(chr(65 + i % 26), 600)))
	FROM generate_series(1, 100000) AS i;};

foreach my $round (1 .. 6)
{
	set_sync('always');
	put("k$_", "round $round") foreach 1 .. 5;
	put('deleted', "round $round");
	$group->psql(1, q{SELECT cache_delete('deleted')});
	$expect{deleted} = '';

	set_sync('everysec');
	my $puts = $group->psql(1, 'SELECT puts FROM pg_stat_cachecluster');
	my $session = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-d',
			$node->connstr('postgres'), '-c', $storm ],
		'<', \undef, '>', \my $out, '2>', \my $err);
	$puts += 15000 * $round;
	$group->wait_for(1, "SELECT puts > $puts FROM pg_stat_cachecluster",
		'the storm to blow');

	if ($round % 2)
	{
		$group->kill9(1);
		$session->finish;
		$node->start;
	}
	else
	{
		my $offset = $group->log_offset(1);
		kill 'KILL', writer_pid();
		$session->finish;
		$group->wait_for_log(1, qr/loaded \d+ entries/, $offset);
		$node->poll_query_until('postgres', 'SELECT true')
		  or die 'the server does not come back';
	}
	check("round $round: everything that was journalled is there");
}

# Twice in a row, without anything written between.
foreach my $crash (1, 2)
{
	$group->kill9(1);
	$node->start;
}
check('two crashes in a row');

done_testing();
