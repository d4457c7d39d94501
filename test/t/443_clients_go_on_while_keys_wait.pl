# While keys wait for a decision clients read and write them as ever: a put or
# a delete settles the conflict, on whatever node; a value that expires or was
# deleted counts as none, and the merge function is told so by NULL.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION told(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	DECLARE
		result cache_entry := coalesce(ours, theirs);
		a text := coalesce(ours.value, 'none');
		b text := coalesce(theirs.value, 'none');
	BEGIN
		result.value := least(a, b) || '+' || greatest(a, b);
		RETURN result;
	END $$});
$group->psql(1, q{SELECT cache_namespace('ns', on_split => 'manual')});
$group->psql(1, q{SELECT cache_put('was:deleted', 'before', namespace => 'ns')});
$group->wait_converged;

my @keys = qw(put:1 put:2 put:again delete take many expires both:expire
  replaced);
$group->part([1], [ 2, 3 ]);
foreach my $which (1, 2)
{
	$group->psql($which, "SELECT cache_put('$_', 'of $which',
		namespace => 'ns')") foreach @keys;
}
$group->psql(1, q{SELECT cache_put('expires', 'of 1', namespace => 'ns',
	ttl => '3 s'), cache_put('both:expire', 'of 1', namespace => 'ns',
	ttl => '3 s'), cache_delete('was:deleted', 'ns')});
$group->psql(3, q{SELECT cache_put('was:deleted', 'of 3', namespace => 'ns'),
	cache_put('both:expire', 'of 2', namespace => 'ns', ttl => '2 s')});
$group->rejoin;
$group->wait_pending('ns', join(',', sort @keys, 'was:deleted'));
pass('all wait');

# Each on one node, after which no other has it pending.
my %settled = (
	'put:1' => [ 1, q{cache_put('put:1', 'new', namespace => 'ns')}, 'new' ],
	'put:2' => [ 3, q{cache_put('put:2', 'new', namespace => 'ns',
		if_present => true)}, 'new' ],
	'delete' => [ 2, q{cache_delete('delete', 'ns')}, '' ],
	'take' => [ 1, q{cache_take('take', 'ns')}, '' ],
	'many' => [ 3, q{cache_put_many('{many}'::text[], '{new}'::text[],
		namespace => 'ns')}, 'new' ]);
foreach my $key (sort keys %settled)
{
	my ($which, $call, $expected) = @{ $settled{$key} };
	ok($group->psql($which, "SELECT $call"), "$call on node$which");
	$group->wait_for($_, qq{
		SELECT NOT EXISTS (SELECT FROM cache_conflicts
			WHERE namespace = 'ns' AND key = '$key' AND decision = 'pending')
			AND coalesce(cache_get('$key', 'ns'), '') = '$expected'},
		"what settled $key") foreach 1 .. 3;
	pass("settles the conflict on all nodes");
}
is($group->psql(2, q{SELECT count(*) FROM cache_conflicts
	WHERE key = 'put:1' AND decided_by = 'write on node1'}), 1,
	'the log of conflicts says so');

# Two clients on different nodes at once: the newest of both stays, no more
# conflict, whatever came first.
foreach (1 .. 20)
{
	my @clients = map { IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $group->node($_)->connstr('postgres'), '-c',
			"SELECT cache_put('put:again', 'round $_', namespace => 'ns')" ],
		'>', \my $out, '2>', \my $err) } 1 .. 3;
	IPC::Run::finish($_) or die 'psql failed' foreach @clients;
}
$group->wait_converged;
is(scalar(grep { /put:again/ } map { $group->pending($_, 'ns') } 1 .. 3), 0,
	'writes of connected nodes are no conflict');

# What expires while it waits is still a side of the conflict, with no value.
$group->wait_for(1, q{SELECT NOT cache_has('expires', 'ns')
	AND NOT cache_has('both:expire', 'ns')}, 'values to expire on one side');
$group->wait_for(2, q{SELECT NOT cache_has('both:expire', 'ns')},
	'values to expire on the other');
is($group->psql(2, q{SELECT cache_get('expires', 'ns')}), 'of 2',
	'the other side goes on serving its own');
is( $group->psql(1, q{
		SELECT ours_value IS NULL, ours_node, theirs_value, theirs_node
		FROM cache_conflicts WHERE decision = 'pending' AND key = 'expires'}),
	't|node1|of 2|node2',
	'an expired value is no value, and its side still counts');

# The function is told of it. What has no value left on any side is gone
# without a call.
$group->psql(2, q{SELECT cache_set_merge('ns', 'told(cache_entry,cache_entry)')});
$group->wait_pending('ns', '');
is( $group->psql($_, q{
		SELECT key, value FROM cache_entries('%', namespace => 'ns')
		WHERE key IN ('expires', 'both:expire', 'was:deleted', 'replaced')
		ORDER BY key}),
	"expires|none+of 2\nreplaced|of 1+of 2\nwas:deleted|none+of 3",
	"node$_: NULL for the function where a side has no value") foreach 1 .. 3;
$group->wait_converged;
$group->same_contents('all hold the same in the end');

done_testing();
