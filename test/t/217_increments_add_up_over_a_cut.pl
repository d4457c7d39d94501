# Increments made on all nodes at once add up, also over a cut, a restart and a
# crash: each counts once. A put or a delete that came after them ends the sum,
# and what was made later begins it again.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;

# Four clients on a node, each so many increments of "hits".
sub start_clients
{
	my ($which, $each) = @_;
	my $script = $group->node($which)->basedir . '/incr.sql';
	PostgreSQL::Test::Utils::append_to_file($script,
		"SELECT cache_incr('hits');\n")
	  unless -e $script;
	return IPC::Run::start(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', 4, '-t', $each, '-f', $script,
			$group->node($which)->connstr('postgres') ],
		'>', '/dev/null', '2>', \my $error);
}

sub finish
{
	foreach my $clients (@_)
	{
		IPC::Run::finish($clients) or die 'pgbench failed';
	}
	return;
}

sub incr
{
	my ($which, $key, $times, $ttl) = @_;
	$ttl = defined $ttl ? ", ttl => '$ttl'" : '';
	return $group->psql($which, qq{
		SELECT max(cache_incr('$key'$ttl)) FROM generate_series(1, $times)});
}

sub all_have
{
	my ($key, $value, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$group->wait_reachable($_, 3) foreach 1 .. 3;
	$group->wait_converged;
	is($group->psql($_, "SELECT cache_get('$key')"), $value, "node$_: $what")
	  foreach 1 .. 3;
	return;
}

# Node 3 hears of the others nothing, and they nothing of it.
sub split_off
{
	$group->split([3], [ 1, 2 ]);
	$group->wait_peer_state(3, $_, 'down') foreach 1, 2;
	$group->wait_peer_state($_, 3, 'down') foreach 1, 2;
	return;
}

# 4 clients on each of 3 nodes, 10,000 increments each; cut off in the middle.
my @clients = map { start_clients($_, 5000) } 1 .. 3;
$group->wait_for(3, q{SELECT coalesce(cache_get('hits')::int > 2000, false)},
	'the clients to get going');
split_off();
finish(@clients);
my $before = $group->psql(3, q{SELECT cache_get('hits')});
@clients = map { start_clients($_, 5000) } 1 .. 3;
$group->wait_for(3, qq{SELECT cache_get('hits')::int > $before + 2000},
	'increments in the cut');
$group->mend;
finish(@clients);
all_have('hits', 120000, 'each of 120,000 increments over a cut counts once');
$group->same_digest('and all hold the same');

# A counter of which neither side knew.
split_off();
incr(3, 'new', 5);
incr(1, 'new', 4);
incr(2, 'new', 3);
$group->mend;
all_have('new', 12, 'a counter that began on both sides');

# A clean stop goes on with what it had; a crash loses nothing that was heard.
incr(2, 'new', 2);
$group->restart(2);
$group->wait_ready;
incr(2, 'new', 1);
$group->wait_converged;
$group->kill9(3);
incr(1, 'new', 10);
$group->start(3);
$group->wait_ready;
incr(3, 'new', 1);
all_have('new', 26, 'a counter over a restart and a crash');

# A number that is put begins the sum again.
split_off();
incr(3, 'new', 7);
$group->psql(1, q{SELECT cache_put('new', '1000')});
incr(1, 'new', 2);
$group->mend;
all_have('new', 1002, 'a put ends what was counted before it');
incr($_, 'new', 1) foreach 1 .. 3;
all_have('new', 1005, 'and what comes after counts');

# A delete ends it, wherever the increments are that came before.
split_off();
incr(3, 'new', 7);
incr(2, 'new', 7);
$group->psql(1, q{SELECT cache_delete('new')});
$group->mend;
all_have('new', '', 'a delete ends what was counted before it');
incr($_, 'new', $_) foreach 1 .. 3;
all_have('new', 6, 'and it begins at nothing');

# Deletes in the midst of increments: nobody can tell how many are left, but
# all agree.
@clients = map { start_clients($_, 1000) } 1 .. 3;
$group->wait_for(3, q{SELECT cache_get('hits')::int > 121000},
	'the clients to get going');
$group->psql(1, q{SELECT cache_delete('hits')});
$group->psql(2, q{SELECT cache_delete('hits')});
finish(@clients);
$group->wait_converged;
$group->same_digest('all agree after deletes in the midst of increments');
$group->psql(1, q{SELECT cache_delete('hits')});
$group->wait_converged;
incr($_, 'hits', 1) foreach 1 .. 3;
all_have('hits', 3, 'and nothing from before is back after the last');

# The time to live counts from when the counter began, and ends it everywhere.
incr(1, 'short', 1, '1 hour');
$group->wait_converged;
split_off();
incr(3, 'short', 2, '9 hours');
incr(1, 'short', 3, '9 hours');
$group->mend;
all_have('short', 6, 'a counter with a time to live');
is( $group->psql($_, q{SELECT cache_ttl('short') <= '1 hour'}),
	't', "node$_: its first deadline stays") foreach 1 .. 3;
$group->psql(2, q{SELECT cache_touch('short', '10 ms')});
$group->wait_for($_, q{SELECT NOT cache_has('short')}, 'the counter to expire')
  foreach 1 .. 3;
incr(3, 'short', 4);
all_have('short', 4, 'what has expired does not count');

# As with nextval there is no way back.
is($group->psql(1, q{
	BEGIN;
	SELECT cache_incr('short');
	ROLLBACK;
	BEGIN READ ONLY;
	SELECT cache_incr('short');
	COMMIT;}), "5\n6", 'increments act at once, also where they are read only');
all_have('short', 6, 'and stay when the transaction is rolled back');

done_testing();
