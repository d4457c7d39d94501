# A server that is stopped while a commit hands over to the cache what it has
# written waits for it: an invalidation that was lost there would leave the old
# row in the cache for good.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1);
$group->start;
$group->wait_ready;
$group->psql(1, q{
	CREATE TABLE users (id int PRIMARY KEY, name text);
	INSERT INTO users VALUES (7, 'old');
	CREATE TRIGGER cached AFTER UPDATE ON users FOR EACH ROW
		EXECUTE FUNCTION cache_invalidate('default', 'user:{id}')});
is($group->psql(1, q{SELECT cache_put('user:7', name) FROM users}), 't',
	'the old row is cached');

# The invalidation comes last, behind enough to be interrupted in; the row is
# seen by others before the cache is written.
my $session = $group->node(1)->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{
	BEGIN;
	SELECT count(cache_put('k' || n % 1000 || ':' || n / 1000, 'x', '1 s'))
	FROM generate_series(1, 400000) n;
	UPDATE users SET name = 'new'});
$session->{stdin} .= "COMMIT;\n";
$session->{run}->pump_nb;
$group->wait_for(1, 'SELECT name FROM users', 'the commit to begin', 'new');
$group->node(1)->stop('fast');
eval { $session->quit };

$group->start(1);
$group->wait_ready;
is($group->psql(1, q{SELECT name, cache_get('user:7') IS NULL FROM users}),
	'new|t', 'what was committed is in the cache, though the server stopped');

done_testing();
