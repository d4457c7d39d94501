# A process of the server is killed in the middle of a storm of writes, ten
# times. PostgreSQL restarts all its processes and the cache begins from the
# file and the peers. For whatever the journal held, or a peer had:
#	- no value is older afterwards than one that was confirmed,
#	- what was deleted stays deleted,
# and no entry is served beyond its end.
#
# A client counts up in each of its keys, so an older value is a smaller one.
# Confirmed is a write that returned while journal_sync is always, or one that
# was seen on the peer.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheCluster::Cluster;

my $clients = 3;
my $keys = 20;

# Who is killed, when a write counts as journalled, whether the peer is there.
my @rounds = (
	[ 'client', 'always', 0 ],
	[ 'client', 'always', 0 ],
	[ 'client', 'always', 1 ],
	[ 'client', 'everysec', 1 ],
	[ 'client', 'everysec', 1 ],
	[ 'client', 'off', 1 ],
	[ 'peer', 'everysec', 1 ],
	[ 'writer', 'everysec', 1 ],
	[ 'replicator', 'everysec', 1 ],
	[ 'client', 'everysec', 1 ]);

my $group = CacheCluster::Cluster->new(nodes => 2, seeds => 'all', conf => q{
restart_after_crash = on
cachecluster.startup_timeout = 2s
});
$group->start;
$group->wait_ready;

my $next = 1;			# the next number that a client writes
my %confirmed;			# key -> highest value that must not be lost
my %deleted;			# keys whose delete must not be undone
my %shown;				# what the peer served last, and what it no longer did

# A script of one client: counts up in its keys, deletes, and puts entries that
# soon end. Each line that comes back is an answer to a write.
sub script
{
	my ($round, $client, $from, $count) = @_;
	my $sql = "SET application_name = 'storm';\n";
	foreach my $n ($from .. $from + $count - 1)
	{
		my $key = sprintf 'c%d:%d', $client, $n % $keys;
		$sql .= "SELECT 'put', '$key', $n, cache_put('$key', '$n');\n";
		$sql .= "SELECT 'end', 'e$n:$client', $n, "
		  . "cache_put('e$n:$client', 'x', ttl => '300 ms');\n"
		  if $n % 10 == 0;
		next if $n % 50;
		my $doomed = sprintf 'd%d:%d:%d', $round, $client, ($n - $from) / 50;
		$sql .= "SELECT 'del', '$doomed', $n, cache_delete('$doomed');\n";
	}
	return $sql;
}

my $scripts = 0;

sub start_client
{
	my ($sql) = @_;
	my $node = $group->node(1);
	my $file = "$ENV{TESTDIR}/storm" . ++$scripts . '.sql';
	append_to_file($file, $sql);
	my $c = { out => '', err => '' };
	$c->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-f', $file, '-d',
			$node->connstr('postgres')
		],
		'<', \undef, '>', \$c->{out}, '2>', \$c->{err});
	return $c;
}

sub confirm
{
	my ($key, $value) = @_;
	$confirmed{$key} = $value
	  if !defined $confirmed{$key} || $confirmed{$key} < $value;
	return;
}

# The counting keys of a node, as a hash.
sub counts
{
	my ($which) = @_;
	return map { split / / } split /\n/, $group->psql($which,
		q{SELECT key || ' ' || value FROM cache_entries('c%')});
}

# What the peer has now is confirmed; returns what is wrong with it: it never
# goes back by itself.
sub look_at_peer
{
	my ($doomed) = @_;
	my %has = counts(2);
	my %alive = map { $_ => 1 } split /\n/,
	  $group->psql(2, q{SELECT cache_keys('d%')});
	my @older = grep { ($has{$_} // 0) < ($shown{$_} // 0) } keys %shown;
	my @back = grep { $alive{$_} && ($shown{$_} // 1) == 0 } @$doomed;

	confirm($_, $shown{$_} = $has{$_}) foreach keys %has;
	$shown{$_} = 0, $deleted{$_} = 1 foreach grep { !$alive{$_} } @$doomed;
	return map { "$_ on the peer" } @older, @back;
}

# A process of the server on node 1. Our workers have no database and are not
# in pg_stat_activity.
sub victim
{
	my ($who) = @_;
	my %of = (
		client => q{application_name = 'storm'},
		peer => q{application_name LIKE 'cachecluster/%'});
	if ($of{$who})
	{
		# a session of the peer may just have ended, and another begins
		$group->wait_for(1,
			"SELECT count(*) > 0 FROM pg_stat_activity WHERE $of{$who}",
			"a $who to be there");
		return $group->psql(1,
			"SELECT pid FROM pg_stat_activity WHERE $of{$who} ORDER BY random() LIMIT 1");
	}
	my $postmaster = $group->node(1)->{_pid};
	foreach my $pid (split ' ',
		slurp_file("/proc/$postmaster/task/$postmaster/children"))
	{
		return $pid if CacheCluster::Cluster::command_line($pid) =~ /cachecluster $who/;
	}
	return;
}

# One storm and one kill; returns a list of what was lost.
sub storm
{
	my ($number, $who, $sync, $with_peer) = @_;
	my @wrong;
	my $per_client = 20000;

	$group->node(1)->append_conf('postgresql.conf',
		"cachecluster.journal_sync = $sync");
	$group->node(1)->reload;
	$group->node(1)->poll_query_until('postgres',
		"SELECT current_setting('cachecluster.journal_sync') = '$sync'")
	  or die 'the setting does not arrive';

	# What the clients will delete is there, on both, before they begin.
	my @doomed = map { my $c = $_; map { "d$number:$c:$_" } 0 .. 399 } 1 .. $clients;
	$group->psql(1, 'SELECT ' . join ',', map { "cache_put('$_', 'x')" } @doomed[ $_ .. $_ + 99 ])
	  foreach map { 100 * $_ } 0 .. @doomed / 100 - 1;
	$group->wait_converged;
	$group->stop(2) unless $with_peer;

	my $offset = $group->log_offset(1);
	my @running =
	  map { start_client(script($number, $_, $next, $per_client)) } 1 .. $clients;
	my $goal = $next + 1500;
	$next += $per_client;

	# In the middle: every client has some way behind it.
	my $until = time + 120;
	while (1)
	{
		$_->{run}->pump_nb foreach @running;
		my %max;
		foreach my $i (0 .. $#running)
		{
			($max{$i}) = $running[$i]{out} =~ /.*\nput\|[^|]*\|(\d+)\|t\n/s;
		}
		push @wrong, look_at_peer(\@doomed) if $with_peer;
		last if !grep { ($max{$_} // 0) < $goal } 0 .. $#running;
		die "the storm does not get going: $running[0]{err}" if time > $until;
	}
	my $pid = victim($who) or die "there is no $who to be killed";
	kill 'KILL', $pid or die "kill: $!";
	$group->wait_for_log(1, qr/reinitializing/, $offset);

	foreach my $c (@running)
	{
		$c->{run}->finish;
		push @wrong, "a client ended as usual: $c->{err}"
		  if $c->{err} !~ /connection to server was lost/;
		next if $sync ne 'always';
		foreach my $line (split /\n/, $c->{out})
		{
			my ($what, $key, $n, $answer) = split /\|/, $line;
			next unless defined $answer;
			confirm($key, $n) if $what eq 'put';
			$deleted{$key} = 1 if $what eq 'del';
		}
	}
	my $killed = time;
	push @wrong, look_at_peer(\@doomed) if $with_peer;

	# It comes back, first by itself where there is no peer.
	$group->wait_for(1, q{SELECT phase = 'ready' FROM cache_status()},
		'the killed server to be ready');
	push @wrong, map { "$_, before the peer was asked" } compare(1)
	  unless $with_peer;
	$group->start(2) unless $with_peer;
	$group->wait_ready;
	$group->wait_converged;
	push @wrong, map { my $w = $_; map { "$_ on node$w" } compare($w) } 1, 2;

	# Every short entry that was put before the kill is over by now.
	select undef, undef, undef, 0.05 while time < $killed + 0.4;
	foreach my $which (1, 2)
	{
		my $served = $group->psql($which, q{SELECT count(*) FROM cache_keys('e%')});
		push @wrong, "$served entries are served beyond their end" if $served;
	}
	return @wrong;
}

# What a node has lost of what was confirmed.
sub compare
{
	my ($which) = @_;
	my %has = counts($which);
	my @older = map { "$_ is " . ($has{$_} // 'gone') . ", was $confirmed{$_}" }
	  grep { ($has{$_} // 0) < $confirmed{$_} } sort keys %confirmed;
	my %alive = map { $_ => 1 } split /\n/,
	  $group->psql($which, q{SELECT cache_keys('d%')});
	return @older, map { "$_ is back" } grep { $alive{$_} } sort keys %deleted;
}

foreach my $i (0 .. $#rounds)
{
	my ($who, $sync, $with_peer) = @{ $rounds[$i] };
	my @wrong = storm($i + 1, @{ $rounds[$i] });
	is_deeply(\@wrong, [],
		"a $who is killed, journal_sync $sync, "
		  . ($with_peer ? 'with' : 'without')
		  . ' the peer: nothing confirmed is lost');
	$group->same_digest('both nodes hold the same');
}
cmp_ok(scalar keys %confirmed, '==', $clients * $keys,
	'every key was confirmed at some time');
cmp_ok(scalar keys %deleted, '>', 0, 'and so were deletes');

done_testing();
