# An empty node that joins while others write ends up with all there is.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2);
$group->start;
$group->wait_ready;

my $entries = 20000;
$group->psql(1, qq{
	SELECT count(cache_put('old:' || n, repeat('x', n % 300), '1 day'))
	FROM generate_series(1, $entries) n});
$group->psql(1, q{
	SELECT count(cache_delete('old:' || n)) FROM generate_series(1, 1000) n});
$group->wait_converged;

# Both write until they see the key "stop".
sub writer
{
	my ($which) = @_;
	my $code = qq{SET cachecluster.transactional = off; DO \$\$
		DECLARE i int := 0;
		BEGIN
			WHILE NOT cache_has('stop') LOOP
				i := i + 1;
				PERFORM cache_put('new:' || i % 3000, '$which, ' || i);
				IF i % 7 = 0 THEN
					PERFORM cache_delete('new:' || (i * 13) % 3000);
				END IF;
				IF i % 1000 = 0 THEN
					PERFORM cache_put('progress:$which', i::text);
				END IF;
			END LOOP;
		END \$\$};
	return IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $group->node($which)->connstr('postgres'),
			'-c', $code ],
		'>', '/dev/null');
}

sub progress
{
	my ($which, $on) = @_;
	return $group->psql($on,
		"SELECT coalesce(cache_get('progress:$which')::int, 0)");
}

my @writers = map { writer($_) } 1, 2;
$group->wait_for($_, "SELECT cache_has('progress:$_')", 'the writers to begin')
  foreach 1, 2;

my $new = $group->add_node(seeds => [2]);
$group->start($new);
$group->wait_for($new, q{SELECT phase = 'ready' FROM cache_status()},
	'the new node to be ready');
$group->wait_reachable($new, 3);
is( $group->psql($new,
		q{SELECT count(cache_get('old:' || n)) FROM generate_series(1, 20000) n}),
	$entries - 1000,
	'a node that is ready has all that was there before');

# The writers go on, and the new node keeps following both.
foreach my $which (1, 2)
{
	my $seen = progress($which, $new);
	$group->wait_for($new,
		"SELECT cache_get('progress:$which')::int > $seen",
		"the writer on node$which to be followed");
}

$group->psql($new, q{SELECT cache_put('stop', '1')});
ok($_->finish, 'a writer ends without an error') foreach @writers;
$group->wait_converged;
$group->same_digest('all three hold the same');
is($group->psql($new, q{SELECT members FROM cache_status()}),
	3, 'one seed has introduced all members');
$group->wait_peer_state($new, 1, 'streaming');
$group->wait_peer_state(1, $new, 'streaming');

done_testing();
