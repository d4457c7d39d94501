# Of all sessions of a node that miss a key with cache_get_or_lock one is told
# to compute it, and the others wait for it. When it does not come (the
# computing session ends, its transaction is rolled back, the key is deleted)
# one of those who wait computes. A value that comes from another node ends the
# wait too.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $clients = 100;

my $group = CacheCluster::Cluster->new(nodes => 2, conf => q{
max_connections = 150
});
$group->start;
$group->wait_ready;

# A session, whose statements are sent without waiting for their result.
sub session
{
	my ($which) = @_;
	my $node = $group->node($which);
	my $s = { in => '', out => '', err => '' };
	$s->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-f', '-', '-d',
			$node->connstr('postgres')
		],
		'<', \$s->{in}, '>', \$s->{out}, '2>', \$s->{err});
	return $s;
}

sub send_sql
{
	my ($s, $sql) = @_;
	$s->{out} = '';
	$s->{in} .= "$sql;\n\\echo done\n";
	$s->{run}->pump_nb while length $s->{in};
	return;
}

# Waits until one of several sessions has its result; returns it.
sub first_of
{
	my @sessions = @_;
	my $first;
	CacheCluster::Cluster::wait_until('the result of a statement', sub {
		$_->{run}->pump_nb foreach @sessions;
		($first) = grep { $_->{out} =~ /^done$/m } @sessions;
		return $first;
	});
	return $first;
}

sub result
{
	my ($s) = @_;
	first_of($s);
	$s->{out} =~ s/^done\n\z//m;
	chomp $s->{out};
	return $s->{out};
}

sub run_sql { send_sql(@_); return result($_[0]); }

sub ask
{
	my ($key, $wait) = @_;
	return "SELECT * FROM cache_get_or_lock('$key', '1 h', wait => '$wait')";
}

# Waits until so many sessions of a node wait for a key.
sub wait_for_waiting
{
	my ($which, $count) = @_;
	$group->wait_for($which, qq{
		SELECT count(*) = $count FROM pg_stat_activity
		WHERE wait_event_type = 'Extension' AND state = 'active' AND
			  application_name NOT LIKE 'cachecluster/%'},
		"$count sessions to wait");
	return;
}

# All at once

$group->psql(1, q{
	CREATE TABLE computed (pid int);
	CREATE TABLE got (value text, pid int);
	CREATE FUNCTION expensive() RETURNS text AS $$
	DECLARE
		hit record;
	BEGIN
		PERFORM pg_advisory_lock_shared(4724);
		hit := cache_get_or_lock('expensive', '1 h', wait => '10 min');
		IF hit.must_compute THEN
			INSERT INTO computed VALUES (pg_backend_pid());
			hit.value := 'computed';
			-- not before all others wait for it
			PERFORM pg_advisory_lock(4725);
			PERFORM cache_put('expensive', hit.value, ttl => '1 h');
		END IF;
		INSERT INTO got VALUES (hit.value, pg_backend_pid());
		RETURN hit.value;
	END $$ LANGUAGE plpgsql});

my $gate = session(1);
run_sql($gate, 'SELECT pg_advisory_lock(4724), pg_advisory_lock(4725)');
append_to_file("$ENV{TESTDIR}/expensive.sql", "SELECT expensive();\n");
my ($out, $err) = ('', '');
my $bench = IPC::Run::start(
	[
		$group->node(1)->installed_command('pgbench'), '-n', '-c', $clients,
		'-t', 1, '-f', "$ENV{TESTDIR}/expensive.sql",
		$group->node(1)->connstr('postgres')
	],
	'>', \$out, '2>', \$err);
$group->wait_for(1, qq{
	SELECT count(*) = $clients FROM pg_locks
	WHERE locktype = 'advisory' AND objid = 4724 AND NOT granted},
	'all clients to be at the gate');
run_sql($gate, 'SELECT pg_advisory_unlock(4724)');
wait_for_waiting(1, $clients - 1);
is($group->psql(1, q{
	SELECT count(*) FROM pg_locks
	WHERE locktype = 'advisory' AND objid = 4725 AND NOT granted}),
	1, 'one client computes, all others wait');
run_sql($gate, 'SELECT pg_advisory_unlock(4725)');
ok($bench->finish, 'all clients have ended well') or diag($err);
is($group->psql(1, 'SELECT count(*) FROM computed'), 1, 'one has computed');
is($group->psql(1, q{
	SELECT count(DISTINCT pid), min(value), max(value) FROM got}),
	"$clients|computed|computed", 'all have the value');

# The value comes when its put takes effect.

my ($one, $two, $three) = map { session(1) } 1 .. 3;

is(run_sql($one, ask('commit', 0)), '|f|t', 'one is told to compute');
run_sql($one, 'BEGIN');
run_sql($one, q{SELECT cache_put('commit', 'v')});
send_sql($_, ask('commit', '10 min')) foreach $two, $three;
wait_for_waiting(1, 2);
run_sql($one, 'COMMIT');
is(result($_), 'v|f|f', 'another gets the value at the commit')
  foreach $two, $three;

run_sql($one, ask('null', 0));
send_sql($two, ask('null', '10 min'));
wait_for_waiting(1, 1);
run_sql($one, q{SELECT cache_put('null', NULL::text)});
is(result($two), '|f|f', 'a stored NULL is a value');

# It does not come: one computes, and the other waits for that one.

sub takes_over
{
	my ($key, $what, @begin) = @_;
	my $end = pop @begin;

	run_sql($one, $_) foreach @begin;
	is(run_sql($one, ask($key, 0)), '|f|t', "$what: one is told to compute");
	send_sql($_, ask($key, '10 min')) foreach $two, $three;
	wait_for_waiting(1, 2);
	ref $end ? $end->() : run_sql($one, $end);
	wait_for_waiting(1, 1);
	my $next = first_of($two, $three);
	my $last = $next == $two ? $three : $two;
	is(result($next), '|f|t', "$what: one of those who wait computes");
	run_sql($next, qq{SELECT cache_put('$key', 'by the next')});
	is(result($last), 'by the next|f|f', "$what: the other one gets its value");
	return;
}

takes_over('rollback', 'rollback', 'BEGIN', 'ROLLBACK');
takes_over('savepoint', 'rollback to a savepoint', 'BEGIN', 'SAVEPOINT a',
	'ROLLBACK TO a');
run_sql($one, 'COMMIT');
takes_over('error', 'an error', 'BEGIN', 'SELECT 1 / 0');
run_sql($one, 'ROLLBACK');
takes_over('put back', 'a put that is rolled back', 'BEGIN', sub {
	run_sql($one, q{SELECT cache_put('put back', 'never')});
	run_sql($one, 'ROLLBACK');
});
takes_over('delete', 'a delete by anybody', sub {
	$group->psql(1, q{SELECT cache_delete('delete')});
});

# A session that has taken the lock in a transaction that is over ends.
takes_over('end', 'the end of the session', sub {
	$one->{in} .= "\\q\n";
	$one->{run}->finish;
});
$one = session(1);
takes_over('killed', 'a session terminated', sub {
	$group->psql(1, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE query LIKE '%''killed''%' AND state = 'idle'});
	$one->{run}->kill_kill;
});
$one = session(1);

# Two wait for each other's keys.
run_sql($_, 'BEGIN') foreach $one, $two;
run_sql($one, ask('a', 0));
run_sql($two, ask('b', 0));
send_sql($one, ask('b', '200 ms'));
send_sql($two, ask('a', '200 ms'));
is(result($_), '|f|f', 'who waits crosswise ends when its time is over')
  foreach $one, $two;
run_sql($_, 'ROLLBACK') foreach $one, $two;

# Who computed too late ends the lock of who computes now.
run_sql($one, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
is(run_sql($one, ask('late', 0)), '|f|t', 'one is told to compute');
$group->psql(1, q{SELECT cache_delete('late')});
is(run_sql($two, ask('late', 0)), '|f|t',
	'after the invalidation another one is');
send_sql($three, ask('late', '10 min'));
wait_for_waiting(1, 1);
is(run_sql($one, q{SELECT cache_put('late', 'old')}), 'f',
	'the first one comes too late');
is(result($three), '|f|t', 'and whoever waits computes');
run_sql($one, 'COMMIT');

# A node has locks of its own, and a value that comes from a peer is a value.
$group->wait_converged;
my $there = session(2);
run_sql($one, ask('peer', 0));
is(run_sql($there, ask('peer', 0)), '|f|t', 'each node has one that computes');
send_sql($two, ask('peer', '10 min'));
wait_for_waiting(1, 1);
run_sql($there, q{SELECT cache_put('peer', 'from there')});
is(result($two), 'from there|f|f', 'a value from a peer ends the wait');

# Sliding and grace are part of the entry.
$group->psql(1, q{
	SELECT cache_put('slide', 'v', '20 s', sliding => true),
		   cache_put('grace', 'old', '1 ms', grace => '1 h')});
$group->wait_converged;
is(run_sql($there, ask('grace', 0)), 'old|t|t', 'a stale value on a peer');
is(run_sql($there, q{SELECT cache_get('grace'), cache_has('grace')}), '|f',
	'and a miss for all others');
my $ends = q{SELECT expires_at FROM cache_entries('slide')};
my $first = $group->psql(1, $ends);
$group->wait_for(2, qq{SELECT cache_ttl('slide') < '17.5 s'},
	'a tenth of a TTL to be gone');
is(run_sql($there, q{SELECT cache_get('slide')}), 'v', 'it is read on a peer');
$group->wait_for(1, qq{
	SELECT expires_at > '$first' FROM cache_entries('slide')},
	'the deadline to move where it was put');
$group->wait_converged;
$group->same_digest('both nodes hold the same');

foreach my $s ($gate, $one, $two, $three, $there)
{
	$s->{in} .= "\\q\n";
	$s->{run}->finish;
}

done_testing();
