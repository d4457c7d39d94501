# Only what neither side had seen of the other is a conflict. What follows
# another value replaces it, what one side did not have is copied, a delete
# against nothing stays a delete, a touch is no change; a delete against a
# write that it did not know is a conflict.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql(1, q{SELECT cache_namespace('ns', on_split => 'manual')});

sub put
{
	my ($which, $key, $value, $more) = @_;
	$more = defined $more ? ", $more" : '';
	return $group->psql($which,
		"SELECT cache_put('$key', '$value', namespace => 'ns'$more)");
}

sub delete_it
{
	my ($which, $key) = @_;
	return $group->psql($which, "SELECT cache_delete('$key', 'ns')");
}

put(1, $_, 'before')
  foreach qw(changed deleted deleted:both deleted:written written:deleted
  overwritten touched touched:written untouched cleared);
$group->psql(1, q{SELECT cache_incr('counter', namespace => 'ns')});
$group->wait_converged;

# What was written shortly before a split may not have come, so it counts as
# written in it; these are older.
$group->wait_for(1, q{SELECT bool_and(written_at < clock_timestamp()
	- interval '2 s') FROM cache_entries('%', namespace => 'ns')},
	'entries to be older than a split is written back');
$group->part([1], [ 2, 3 ]);

put(2, 'changed', 'by 2');
delete_it(1, 'deleted');
delete_it($_, 'deleted:both') foreach 1, 3;
delete_it(1, 'deleted:written');
put(3, 'deleted:written', 'by 3');
put(1, 'written:deleted', 'by 1');
delete_it(3, 'written:deleted');
put(2, 'overwritten', 'by 2');
$group->wait_converged(2, 3);
put(3, 'overwritten', 'by 3');
put(3, 'only:there', 'by 3');
put(1, 'only:here', 'by 1');
put(1, 'made:and:deleted', 'by 1');
delete_it(1, 'made:and:deleted');
put(1, 'conflict', 'by 1');
put(2, 'conflict', 'by 2');
$group->psql(1, q{SELECT cache_touch('touched', '1 hour', 'ns'),
	cache_touch('touched:written', '1 hour', 'ns')});
put(2, 'touched:written', 'by 2');
$group->psql(2, q{SELECT cache_incr('counter', 5, namespace => 'ns')});
$group->psql(1, q{SELECT cache_incr('counter', 4, namespace => 'ns')});
$group->rejoin;

# What one has on both sides is with all the same.
my %expected = (
	'changed' => 'by 2',
	'overwritten' => 'by 3',
	'only:there' => 'by 3',
	'only:here' => 'by 1',
	'touched' => 'before',
	'touched:written' => 'by 2',
	'untouched' => 'before',
	'cleared' => 'before',
	'counter' => '10');
my @conflicts = qw(conflict deleted:written written:deleted);

foreach my $which (1 .. 3)
{
	$group->wait_pending('ns', join(',', @conflicts), $which);
	pass("node$which: what neither side had seen is pending, and nothing else");
	is( $group->psql($which, q{
			SELECT key, value FROM cache_entries('%', namespace => 'ns')
			WHERE key NOT IN ('conflict', 'deleted:written', 'written:deleted')
			ORDER BY key COLLATE "C"}),
		join("\n", map { "$_|$expected{$_}" } sort keys %expected),
		"node$which: the others have followed");
	is($group->psql($which, qq{SELECT cache_has('$_', 'ns')}), 'f',
		"node$which: $_ stays deleted")
	  foreach 'deleted', 'deleted:both', 'made:and:deleted';
}

# A delete is a side of a conflict, without a value.
is( $group->psql(1, q{
		SELECT key, ours_value, ours_node, theirs_value, theirs_node
		FROM cache_conflicts WHERE decision = 'pending' AND namespace = 'ns'
		ORDER BY key COLLATE "C"}),
	"conflict|by 1|node1|by 2|node2\n"
	  . "deleted:written||node1|by 3|node3\n"
	  . 'written:deleted|by 1|node1||node3',
	'node1 sees the deletes, too');
is($group->psql(1, q{SELECT cache_has('deleted:written', 'ns')}),
	'f', 'the side that deleted it goes on without it');
is($group->psql(2, q{SELECT cache_get('deleted:written', 'ns')}),
	'by 3', 'and the other side with it');

# What is written after the heal has seen both sides: it ends the conflict, and
# is none.
put(3, 'conflict', 'after');
put(1, 'overwritten', 'after');
put(2, 'only:here', 'after');
delete_it(2, 'only:there');
is(delete_it(2, 'deleted:written'), 't', 'a delete finds what it deletes');
$group->wait_converged;
foreach my $which (1 .. 3)
{
	is($group->pending($which, 'ns'), 'written:deleted',
		"node$which: a write after the heal settles the conflict");
	is( $group->psql($which, q{
			SELECT cache_get('conflict', 'ns'), cache_get('overwritten', 'ns'),
				cache_get('only:here', 'ns'), cache_has('only:there', 'ns'),
				cache_has('deleted:written', 'ns')}),
		'after|after|after|f|f',
		"node$which: and replaces what it followed");
}

# One by one, by people: each side of it, another value, none.
is($group->psql(2,
	q{SELECT cache_resolve('written:deleted', 'theirs', namespace => 'ns')}),
	't', 'cache_resolve decides one');
is($group->psql(2,
	q{SELECT cache_resolve('written:deleted', 'theirs', namespace => 'ns')}),
	'f', 'and says when nothing is pending');
$group->wait_converged;
is($group->psql($_, q{SELECT cache_get('written:deleted', 'ns')}), 'by 1',
	"node$_: has the side that was chosen") foreach 1 .. 3;
$group->same_contents('all hold the same');

$group->part([ 1, 2 ], [3]);
foreach my $key (qw(ours theirs write delete write:null))
{
	put(1, $key, 'by 1', "ttl => '1 hour'");
	put(3, $key, 'by 3', "ttl => '2 hours'");
}
$group->rejoin;
is($group->psql(3, qq{SELECT cache_resolve('$_', '$_', 'by hand', 'ns')}), 't',
	"cache_resolve with $_") foreach qw(write);
is($group->psql(3, qq{SELECT cache_resolve('$_', '$_', namespace => 'ns')}), 't',
	"cache_resolve with $_") foreach qw(ours theirs delete);
is($group->psql(3, q{
	SELECT cache_resolve('write:null', 'write', NULL, 'ns')}), 't',
	'cache_resolve with a value of NULL');
$group->wait_converged;
is( $group->psql($_, q{
		SELECT key, value, expires_at > now() + interval '90 min'
		FROM cache_entries('%', namespace => 'ns')
		WHERE key IN ('ours', 'theirs', 'write', 'delete', 'write:null')
		ORDER BY key COLLATE "C"}),
	"ours|by 3|t\ntheirs|by 1|f\nwrite|by hand|t\nwrite:null||t",
	"node$_: each is as it was decided") foreach 1 .. 3;
is( $group->psql(3, q{
		SELECT count(*) FROM cache_conflicts
		WHERE namespace = 'ns' AND decided_by LIKE 'cache_resolve%node3'}),
	5, 'who decided is in the log of conflicts');
is($group->pending($_, 'ns'), '', "node$_: nothing is pending") foreach 1 .. 3;
$group->same_contents('all hold the same after all was decided');

done_testing();
