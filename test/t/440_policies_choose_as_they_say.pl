# Each policy chooses what it says: latest, oldest_island, largest_island,
# longest_ttl, a merge function in SQL or PL/pgSQL, people. All nodes show the
# same, and say by whom it was decided.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 4, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION highest(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$
		SELECT (CASE WHEN ours.value::int >= theirs.value::int
			THEN ours ELSE theirs END).* $$;
	CREATE FUNCTION cart_union(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		IF ours IS NULL OR theirs IS NULL THEN
			RETURN NULL;
		END IF;
		ours.value := (ours.value::jsonb || theirs.value::jsonb)::text;
		ours.expires_at := greatest(ours.expires_at, theirs.expires_at);
		RETURN ours;
	END $$});
$group->psql(1, q{
	SELECT cache_namespace('latest');
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('largest', on_split => 'largest_island');
	SELECT cache_namespace('longest', on_split => 'longest_ttl');
	SELECT cache_namespace('sql');
	SELECT cache_set_merge('sql', 'highest(cache_entry,cache_entry)');
	SELECT cache_namespace('cart');
	SELECT cache_set_merge('cart', 'cart_union(cache_entry,cache_entry)')});
$group->psql(1, q{SELECT cache_put('deleted', '{"x": 1}'::jsonb,
	namespace => 'cart'), cache_put('deleted', 'before', namespace => 'oldest'),
	cache_put('deleted', 'before', namespace => 'largest'),
	cache_put('deleted', 'before', namespace => 'latest'),
	cache_put('deleted', 'before', namespace => 'longest')});
$group->wait_converged;

sub put
{
	my ($which, $namespace, $key, $value, $ttl) = @_;
	$ttl = defined $ttl ? ", ttl => '$ttl'" : '';
	$group->psql($which,
		"SELECT cache_put('$key', $value, namespace => '$namespace'$ttl)");
	return;
}

sub served
{
	my ($which, $namespace) = @_;
	return $group->psql($which, qq{
		SELECT coalesce(string_agg(key || '=' || value, ' '
			ORDER BY key COLLATE "C"), '')
		FROM cache_entries('%', namespace => '$namespace')});
}

sub all_serve
{
	my ($namespace, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(served($_, $namespace), $expected, "node$_: $what") foreach 1 .. 4;
	return;
}

# One against three. Node 1 is the oldest; it writes first here, then last.
$group->part([1], [ 2, 3, 4 ]);
foreach my $namespace (qw(latest oldest largest))
{
	put(1, $namespace, 'k', "'of 1'");
	put(1, $namespace, 'left', "'of 1'");
	put(3, $namespace, 'right', "'of 3'");
	put(3, $namespace, 'k', "'of 3'");
	put(2, $namespace, 'late', "'of 2'");
	put(1, $namespace, 'late', "'of 1'");
	put(4, $namespace, 'deleted', "'of 4'");
	$group->psql(1, "SELECT cache_delete('deleted', '$namespace')");
}
put(1, 'longest', 'k', "'of 1'", '3 hours');
put(3, 'longest', 'k', "'of 3'", '2 hours');
put(1, 'longest', 'never', "'of 1'");
put(3, 'longest', 'never', "'of 3'", '2 hours');
put(1, 'longest', 'none', "'of 1'");
put(3, 'longest', 'none', "'of 3'");
put(2, 'longest', 'deleted', "'of 2'", '1 min');
$group->psql(1, q{SELECT cache_delete('deleted', 'longest')});
put(1, 'sql', 'k', "'9'");
put(3, 'sql', 'k', "'10'");
put(3, 'sql', 'l', "'-9'");
put(1, 'sql', 'l', "'-10'");
put(1, 'cart', 'k', q{'{"apple": 1}'::jsonb}, '3 hours');
put(4, 'cart', 'k', q{'{"pear": 2}'::jsonb}, '2 hours');
put(4, 'cart', 'deleted', q{'{"pear": 2}'::jsonb});
$group->psql(1, q{SELECT cache_delete('deleted', 'cart')});
$group->rejoin;

all_serve('latest', 'k=of 3 late=of 1 left=of 1 right=of 3',
	'latest: the newest, be it a delete');
all_serve('oldest', 'k=of 1 late=of 1 left=of 1',
	'oldest_island: that of node1, be it alone, and nothing else');
all_serve('largest', 'deleted=of 4 k=of 3 late=of 2 right=of 3',
	'largest_island: that of three, and nothing else');
all_serve('longest', 'deleted=of 2 k=of 1 never=of 1 none=of 3',
	'longest_ttl: the latest deadline, none being the latest, else the newest');
all_serve('sql', 'k=10 l=-9', 'a merge function in SQL');
all_serve('cart', 'k={"pear": 2, "apple": 1}',
	'a merge function in PL/pgSQL that makes a new value, or none');
is($group->psql($_, q{SELECT value_type, expires_at > now() + interval '150 min'
	FROM cache_entry('k', 'cart')}), 'jsonb|t',
	"node$_: the type is kept and the deadline is the function's")
  foreach 1 .. 4;
$group->same_contents('all hold the same after one against three');

foreach my $case ([ 'oldest', 'k', 'oldest_island' ],
	[ 'largest', 'k', 'largest_island' ], [ 'longest', 'k', 'longest_ttl' ],
	[ 'sql', 'k', 'merge' ])
{
	my ($namespace, $key, $how) = @$case;
	is( $group->psql($_, qq{
			SELECT count(*), count(decided_at), min(decided_by) FROM cache_conflicts
			WHERE namespace = '$namespace' AND key = '$key'}),
		"1|1|$how on node1",
		"node$_: it is in the log of conflicts that $how decided")
	  foreach 1, 3;
}
is($group->psql(2, q{SELECT decision FROM cache_conflicts
	WHERE namespace = 'sql' AND key = 'k'}), 'ours',
	'with what became of it, as seen from there');

# Two against two: of islands of one size that with the oldest is the largest.
$group->part([ 1, 4 ], [ 2, 3 ]);
put(1, 'largest', 'tie', "'of 1'");
put(2, 'largest', 'tie', "'of 2'");
put(2, 'largest', 'tie:right', "'of 2'");
put(4, 'oldest', 'tie', "'of 4'");
put(3, 'oldest', 'tie', "'of 3'");
$group->rejoin;
all_serve('largest', 'deleted=of 4 k=of 3 late=of 2 right=of 3 tie=of 1',
	'largest_island: a tie goes to the oldest');
all_serve('oldest', 'k=of 1 late=of 1 left=of 1 tie=of 4',
	'oldest_island: the whole island counts, not the node');

# Age is when a node joined, not when it was started.
$group->restart(1);
$group->wait_ready;
$group->wait_converged;
$group->part([1], [ 2, 3, 4 ]);
put(1, 'oldest', 'restarted', "'of 1'");
put(2, 'oldest', 'restarted', "'of 2'");
$group->rejoin;
is($group->psql($_, q{SELECT cache_get('restarted', 'oldest')}), 'of 1',
	"node$_: a restart makes no node younger") foreach 1 .. 4;
$group->same_contents('all hold the same in the end');

done_testing();
