# cache_invalidate deletes on all nodes whatever changes the row: a session, a
# worker of logical replication, while too few nodes can be reached for puts.
# Where the transaction does not commit nothing is deleted.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, conf => q{
wal_level = logical
max_wal_senders = 5
max_replication_slots = 5
});
$group->start;
$group->wait_ready;

my $table = q{
	CREATE TABLE users (id int PRIMARY KEY, name text)};
$group->psql(1, "$table; INSERT INTO users VALUES (1, 'old'), (2, 'old')");
$group->psql(2, qq{
	$table;
	CREATE TRIGGER cached AFTER INSERT OR UPDATE OR DELETE ON users
		FOR EACH ROW
		EXECUTE FUNCTION cache_invalidate('default', 'user:{id}');
	CREATE TRIGGER emptied AFTER TRUNCATE ON users FOR EACH STATEMENT
		EXECUTE FUNCTION cache_invalidate('default', 'user:{id}')});

sub fill
{
	$group->psql(1, q{SELECT cache_put('user:' || i, 'x')
		FROM generate_series(1, 3) AS i});
	$group->wait_converged;
	return;
}

# Keys that both nodes hold.
sub is_left
{
	my ($expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$group->wait_converged;
	is($group->psql($_, q{SELECT string_agg(k, ' ') FROM cache_keys() AS k}),
		$expected, "$what, on node $_")
	  foreach 1, 2;
	return;
}

# On a subscriber, once the trigger says so.
my $publisher = $group->node(1)->connstr . ' dbname=postgres';
$group->psql(1, 'CREATE PUBLICATION users FOR TABLE users');
$group->psql(2, qq{CREATE SUBSCRIPTION users CONNECTION '$publisher'
	PUBLICATION users});
$group->wait_for(2, q{
	SELECT count(*) = 1 FROM pg_subscription_rel WHERE srsubstate = 'r'},
	'the subscription');
fill();
$group->psql(1, q{UPDATE users SET name = 'new' WHERE id = 1});
$group->node(1)->wait_for_catchup('users');
is($group->psql(2, 'SELECT name FROM users WHERE id = 1'), 'new',
	'the subscriber has the new row');
is_left('user:1 user:2 user:3', 'its trigger has not fired');

$group->psql(2, q{
	ALTER TABLE users ENABLE ALWAYS TRIGGER cached;
	ALTER TABLE users ENABLE REPLICA TRIGGER emptied});
$group->psql(1, q{UPDATE users SET name = 'newer' WHERE id = 1});
$group->node(1)->wait_for_catchup('users');
is_left('user:2 user:3', 'ENABLE ALWAYS: it has');
$group->psql(1, 'TRUNCATE users');
$group->node(1)->wait_for_catchup('users');
is_left('', 'ENABLE REPLICA: for a TRUNCATE too');
$group->psql(2, 'DROP SUBSCRIPTION users');

# A session that goes in the middle.
fill();
my $session = $group->node(2)->background_psql('postgres');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe(q{BEGIN; INSERT INTO users VALUES (3, 'x')});
is($session->query_safe(q{SELECT cache_has('user:3')}), 'f',
	'the transaction sees its own invalidation');
$group->psql(2, "SELECT pg_terminate_backend($pid, 60000)");
eval { $session->quit };
is_left('user:1 user:2 user:3', 'a session that was terminated deletes nothing');

# Writes of tables do not depend on how many nodes can be reached.
$group->psql(2, q{ALTER SYSTEM SET cachecluster.min_nodes = 3});
$group->node(2)->reload;
$group->wait_for(2, 'SHOW cachecluster.min_nodes', 'the setting', '3');
my ($status, undef, $error) =
  $group->node(2)->psql('postgres', q{SELECT cache_put('user:4', 'x')});
like($error, qr/too few nodes/, 'puts are refused');
$group->psql(2, q{INSERT INTO users VALUES (1, 'x')});
is_left('user:2 user:3', 'invalidations are not');
$group->psql(2, q{
	ALTER TABLE users ENABLE ALWAYS TRIGGER emptied;
	TRUNCATE users});
is_left('', 'of a whole namespace neither');

# Two-phase commit says what it cannot.
(undef, undef, $error) = $group->node(2)->psql('postgres', q{
	BEGIN; INSERT INTO users VALUES (1, 'x'); PREPARE TRANSACTION 'x'});
like($error, qr/cannot PREPARE a transaction/,
	'a transaction that invalidates cannot be prepared');

done_testing();
