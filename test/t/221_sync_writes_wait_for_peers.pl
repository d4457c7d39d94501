# A write into a namespace with writes => 'sync' returns when every peer that
# can be reached has it. A peer that does not answer costs a WARNING after
# sync_timeout, and the write stands; one that is down is not waited for; a
# cancel is an error that says that the write stands.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1,
	conf => "cachecluster.peer_timeout = 4s\n");
$group->start(1);
$group->wait_ready(1);
$group->psql(1, q{SELECT cache_namespace('s', writes => 'sync')});
my $began = time;
is($group->psql(1, q{SELECT cache_put('k', 'alone', namespace => 's')}),
	't', 'a node that is alone waits for nobody');
cmp_ok(time - $began, '<', 4, 'and returns at once');
$group->start($_) foreach 2, 3;
$group->wait_ready;
$group->wait_converged;

# Runs SQL on a node; returns what it prints and its messages.
sub run_sql
{
	my ($which, $sql) = @_;
	my ($status, $out, $err) = $group->node($which)->psql('postgres', $sql);
	return ($out, $err);
}

# What the peers have at the moment at which node1's call has returned.
sub peers_have
{
	my ($sql, $query, $expected, $what) = @_;
	my ($out, $err) = run_sql(1, $sql);
	is($err, '', "$what: no warning");
	foreach my $peer (2, 3)
	{
		is($group->psql($peer, $query), $expected,
			"$what: node$peer has it when the call returns");
	}
	return;
}

foreach my $n (1 .. 20)
{
	my ($out, $err) = run_sql(1,
		qq{SELECT cache_put('k', 'value $n', namespace => 's')});
	my @seen = map {
		$group->psql($_, q{SELECT cache_get('k', namespace => 's')})
	} 2, 3;
	next if "@seen$err" eq "value $n value $n";
	fail("put $n is on the peers when it returns: @seen $err");
	last;
}
pass('twenty puts were on the peers when they returned');

peers_have(
	q{SELECT cache_put('t', 'x', ttl => '1 h', namespace => 's'),
		cache_touch('t', '1 day', namespace => 's')},
	q{SELECT cache_ttl('t', namespace => 's') > '23 h'}, 't', 'cache_touch');
peers_have(q{SELECT cache_incr('n', 5, namespace => 's')},
	q{SELECT cache_get('n', namespace => 's')}, 5, 'cache_incr');
peers_have(q{SELECT cache_delete('t', namespace => 's')},
	q{SELECT cache_has('t', namespace => 's')}, 'f', 'cache_delete');
peers_have(
	q{BEGIN; SELECT cache_put('r', 'x', namespace => 's'); ROLLBACK},
	q{SELECT cache_get('r', namespace => 's')}, 'x',
	'a write acts at once, whatever becomes of the transaction');
peers_have(
	q{BEGIN READ ONLY; SELECT cache_put('r', 'y', namespace => 's'); COMMIT},
	q{SELECT cache_get('r', namespace => 's')}, 'y',
	'a READ ONLY transaction');
SKIP:
{
	skip 'there are no functions for many keys', 12
	  if $group->psql(1, q{
		SELECT count(DISTINCT proname) < 4 FROM pg_proc
		WHERE proname IN ('cache_take', 'cache_put_many', 'cache_delete_many',
						  'cache_delete_like')}) eq 't';
	peers_have(
		q{SELECT cache_put_many(array_agg('m:' || n), array_agg('x'::text),
								namespace => 's')
			FROM generate_series(1, 500) n},
		q{SELECT count(*) FROM cache_keys('m:%', namespace => 's')}, 500,
		'cache_put_many');
	peers_have(
		q{SELECT cache_delete_many(ARRAY['m:1', 'm:2'], namespace => 's')},
		q{SELECT count(*) FROM cache_keys('m:%', namespace => 's')}, 498,
		'cache_delete_many');
	peers_have(q{SELECT cache_take('m:3', namespace => 's')},
		q{SELECT cache_has('m:3', namespace => 's')}, 'f', 'cache_take');
	peers_have(q{SELECT cache_delete_like('m:%', namespace => 's')},
		q{SELECT count(*) FROM cache_keys('m:%', namespace => 's')}, 0,
		'cache_delete_like');
}
peers_have(q{SELECT cache_clear(namespace => 's')},
	q{SELECT cache_count(namespace => 's')}, 0, 'cache_clear');

# All processes of a node stop, as on a machine that hangs.
sub signal_node
{
	my ($which, $signal) = @_;
	my $postmaster = $group->node($which)->{_pid};
	kill $signal, $postmaster;
	kill $signal, split ' ',
	  slurp_file("/proc/$postmaster/task/$postmaster/children");
	return;
}

signal_node(3, 'STOP');
$began = time;
my ($out, $err) = run_sql(1, q{
	SET cachecluster.sync_timeout = '700ms';
	SELECT cache_put('slow', 'x', namespace => 's')});
my $took = time - $began;
like($err,
	qr/WARNING:  cache write was acknowledged by 1 of 2 reachable peers/,
	'a peer that hangs costs a warning that says who has it');
is($out, 't', 'and no error');
cmp_ok($took, '>=', 0.7, 'after sync_timeout');
is($group->psql(1, q{SELECT cache_get('slow', namespace => 's')}),
	'x', 'the write stands');
is($group->psql(2, q{SELECT cache_get('slow', namespace => 's')}),
	'x', 'and the other peer has it');

# Cancelled while it waits: seen by its wait event, which others can see too.
my $node = $group->node(1);
my $waiting = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		q{SET cachecluster.sync_timeout = '1h'},
		'-c', q{SELECT cache_put('slow', 'cancelled', namespace => 's')} ],
	'>', \my $stdout, '2>', \my $stderr);
CacheCluster::Cluster::wait_until(
	'the write to wait',
	sub {
		$group->psql(1, q{
			SELECT count(*) FROM pg_stat_activity
			WHERE query LIKE '%cancelled%' AND wait_event_type = 'Extension'
				AND pid <> pg_backend_pid()}) == 1;
	});
$group->psql(1, q{
	SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE query LIKE '%cancelled%' AND pid <> pg_backend_pid()});
IPC::Run::finish($waiting);
like($stderr, qr/ERROR:  canceling statement due to user request/,
	'a cancel is an error');
like($stderr, qr/DETAIL:  The cache write stands on this node/,
	'which says that the write stands');
is($group->psql(1, q{SELECT cache_get('slow', namespace => 's')}),
	'cancelled', 'and it does');

# Declared down while somebody waits for it: not waited for any longer.
$began = time;
($out, $err) = run_sql(1, q{
	SET cachecluster.sync_timeout = '1h';
	SELECT cache_put('slow', 'down', namespace => 's')});
is($err, '', 'a peer that goes down meanwhile is waited for no longer');
$group->wait_peer_state(1, 3, 'down');
$began = time;
($out, $err) = run_sql(1, q{
	SET cachecluster.sync_timeout = '1h';
	SELECT cache_put('slow', 'still down', namespace => 's')});
is($err, '', 'a peer that is down is not waited for');
is($group->psql(2, q{SELECT cache_get('slow', namespace => 's')}),
	'still down', 'but the other one is');
signal_node(3, 'CONT');
$group->wait_ready;
$group->wait_converged;
is($group->psql(3, q{SELECT cache_get('slow', namespace => 's')}),
	'still down', 'and the one that was away gets it later');

# A namespace that is not synchronous waits for nobody.
signal_node(3, 'STOP');
($out, $err) = run_sql(1, q{
	SET cachecluster.sync_timeout = '1h';
	SELECT cache_put('k', 'x', immediate => true)});
is("$out $err", 't ', 'writes elsewhere do not wait');
signal_node(3, 'CONT');
$group->wait_ready;

$group->stop;
done_testing();
