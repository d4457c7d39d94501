# A hot standby is a full node: it reads and writes the cache, keeps it over a
# restart and goes on as a primary. And what cache_invalidate deletes reaches
# its cache before the WAL does; a fill of the old row is refused there until
# the new one can be seen.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $streaming = q{
wal_level = replica
max_wal_senders = 5
};

my $group = CacheCluster::Cluster->new(nodes => 1, proxy => 1,
	conf => $streaming);
$group->start;
my $standby = $group->add_standby;
$group->start($standby);
$group->wait_ready;

$group->psql(1, q{
	CREATE TABLE users (id int PRIMARY KEY, name text);
	INSERT INTO users SELECT i, 'old' FROM generate_series(1, 9) AS i;
	CREATE TRIGGER cached AFTER INSERT OR UPDATE OR DELETE ON users
		FOR EACH ROW
		EXECUTE FUNCTION cache_invalidate('default', 'user:{id}');
	CREATE TRIGGER emptied AFTER TRUNCATE ON users FOR EACH STATEMENT
		EXECUTE FUNCTION cache_invalidate('default', 'user:{id}');
	CREATE FUNCTION load_user(wanted int) RETURNS text AS $$
	DECLARE
		found text := cache_get('user:' || wanted);
		stored boolean;
	BEGIN
		IF found IS NOT NULL THEN
			RETURN found || ', cached';
		END IF;
		SELECT name INTO found FROM users WHERE id = wanted;
		stored := cache_put('user:' || wanted, found);
		RETURN found || CASE WHEN stored THEN ', stored' ELSE ', not stored' END;
	END $$ LANGUAGE plpgsql;
});

sub catch_up
{
	$group->node(1)->wait_for_catchup($group->node($standby), 'replay',
		$group->node(1)->lsn('insert'));
	return;
}

# An invalidation of this very millisecond refuses fills too, and the writer
# notes a while later what has been replayed: until then nothing is stored.
sub wait_loaded
{
	my ($id, $expected, $what, $which) = @_;
	my $answer;
	CacheCluster::Cluster::wait_until($what, sub {
		$answer = $group->psql($which || $standby, "SELECT load_user($id)");
		return $answer eq $expected;
	});
	is($answer, $expected, $what);
	return;
}

sub pause
{
	$group->psql($standby, 'SELECT pg_wal_replay_pause()');
	$group->wait_for($standby, 'SELECT pg_get_wal_replay_pause_state()',
		'replay to be paused', 'paused');
	return;
}

sub resume { $group->psql($standby, 'SELECT pg_wal_replay_resume()'); return; }

catch_up();

# Everything works there.
is($group->psql($standby, q{
	SELECT pg_is_in_recovery(), cache_put('s', 'from the standby', '1 hour')}),
	't|t', 'a standby takes puts');
$group->wait_converged;
is($group->psql(1, q{SELECT cache_get('s')}), 'from the standby',
	'which the primary has');
is($group->psql($standby, q{
	SELECT cache_incr('n', 2);
	SELECT cache_touch('s', '2 hours'), cache_delete('s');
	SELECT cache_get('s') IS NULL, cache_get('n'), count(*) FROM cache_keys('s')}),
	"2\nt|t\nt|2|0", 'increments, touches and deletes');
$group->psql(1, q{SELECT cache_put('p', 'from the primary')});
$group->wait_converged;
is($group->psql($standby, q{SELECT cache_get('p')}), 'from the primary',
	'a standby has what the primary puts');
is($group->psql(1, q{SELECT cache_get('s') IS NULL}), 't',
	'and the primary has lost what it deleted');

# The race, made certain: the invalidation is here, the WAL is not.
wait_loaded(1, 'old, stored', 'a fill on the standby is stored');
$group->wait_converged;
is($group->psql(1, 'SELECT load_user(1)'), 'old, cached', 'for both');
pause();
$group->psql(1, q{UPDATE users SET name = 'new' WHERE id <= 3});
$group->wait_converged;
is($group->psql($standby, q{SELECT name, cache_has('user:1') FROM users
	WHERE id = 1}), 'old|f', 'the invalidation came before the WAL');
is($group->psql($standby, 'SELECT load_user(1)'), 'old, not stored',
	'the old row is not cached');
is($group->psql($standby, 'SELECT load_user(2)'), 'old, not stored',
	'nor under a key that was not cached before');
is($group->psql($standby, q{
	BEGIN; SELECT cache_get('user:3');
	SELECT cache_put('user:3', name, immediate => true) FROM users WHERE id = 3;
	COMMIT}), "\nf", 'nor at once');
is($group->psql($standby, q{
	BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT load_user(3);
	COMMIT;
	SET cachecluster.transactional = off;
	SELECT load_user(3)}), "old, not stored\nold, not stored",
	'in no kind of transaction');
wait_loaded(1, 'new, stored', 'the primary caches the new row meanwhile', 1);
$group->wait_converged;
is($group->psql($standby, 'SELECT load_user(1)'), 'new, cached',
	'and the standby serves it');

# An old snapshot stays one when the WAL has been replayed.
my $session = $group->node($standby)->background_psql('postgres');
$session->query_safe(q{
	BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT count(*) FROM users;
	SELECT cache_get('user:2')});
resume();
catch_up();
is($session->query_safe(q{
	SELECT cache_put('user:2', name) FROM users WHERE id = 2}), 'f',
	'a fill from a snapshot before the replay is refused after it');
$session->query_safe('COMMIT');
$session->quit;
wait_loaded(2, 'new, stored', 'a new statement fills');

# What was there before the pause, and what is a put of the user's own, counts.
pause();
is($group->psql($standby, q{SELECT cache_put('user:9', 'by hand')}), 't',
	'a put that followed no miss is none of this');
wait_loaded(8, 'old, stored', 'rows that did not change are cached meanwhile');
resume();

# The other way round: the WAL and the invalidation are both behind, so a fill
# of the old row is stored; the invalidation replaces it when it comes.
catch_up();
wait_loaded(4, 'old, stored', 'a row is cached');
$group->wait_converged;
is($group->psql($standby, q{SELECT cache_delete('user:5')}), 'f',
	'a key that nobody had');
$group->wait_converged;
catch_up();
pause();
$group->stall(1, $standby);
$group->psql(1, q{UPDATE users SET name = 'new' WHERE id IN (5, 6)});
like($group->psql($standby, 'SELECT load_user(6)'), qr/^old, (not )?stored$/,
	'a fill while nothing of the change has come');
like($group->psql($standby, 'SELECT load_user(5)'), qr/^old, (not )?stored$/,
	'also of a key that was deleted');
$group->mend(1, $standby);
$group->wait_converged;
is($group->psql($standby,
		q{SELECT cache_has('user:5'), cache_has('user:6')}),
	'f|f', 'the invalidation that comes later takes it away');
is($group->psql(1, q{SELECT cache_has('user:5'), cache_has('user:6')}),
	'f|f', 'on the primary too');
resume();
catch_up();
wait_loaded(5, 'new, stored', 'and the new row is cached afterwards');
wait_loaded(6, 'new, stored', 'so is the other');

# TRUNCATE takes the namespace, and fills with it.
pause();
$group->psql(1, 'TRUNCATE users');
$group->wait_converged;
is($group->psql($standby, 'SELECT load_user(8)'), 'old, not stored',
	'what was truncated is not cached again before the WAL is replayed');
resume();
catch_up();
$group->psql(1, q{INSERT INTO users VALUES (8, 'newer')});
catch_up();
wait_loaded(8, 'newer, stored', 'and is afterwards');

# A restart keeps what it had.
$group->wait_converged;
$group->psql($standby, q{SELECT cache_put('kept', 'x')});
$group->node($standby)->restart;
$group->wait_ready;
is($group->psql($standby, q{SELECT cache_get('kept'), pg_is_in_recovery()}),
	'x|t', 'a restarted standby has its cache');
$group->wait_converged;
$group->same_digest('both hold the same');

# A crash too.
$group->kill9($standby);
$group->start($standby);
$group->wait_ready;
$group->wait_converged;
$group->same_digest('and after a crash');
is($group->psql($standby, q{SELECT cache_get('kept')}), 'x',
	'nothing is lost that the other held');

# Its primary goes; the standby becomes one, and its triggers fire.
$group->node(1)->stop('immediate');
$group->node($standby)->promote;
is($group->psql($standby, q{SELECT cache_get('kept'), cache_put('own', 'x')}),
	'x|t', 'a promoted standby has its cache');
is($group->psql($standby, 'SELECT load_user(8)'), 'newer, cached',
	'with the fills of before');
$group->psql($standby, q{UPDATE users SET name = 'newest' WHERE id = 8});
wait_loaded(8, 'newest, stored', 'and cache_invalidate deletes');

done_testing();
