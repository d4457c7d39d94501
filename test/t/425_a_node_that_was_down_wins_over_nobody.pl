# Under the island policies a split takes away what only the losing side wrote.
# A node that was stopped, or is new, has been on no side: what the others wrote
# meanwhile stays, be that node the oldest or its side the largest. And what was
# written before the policy was set is not judged by it.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql(1, q{
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('largest', on_split => 'largest_island');
	SELECT cache_namespace('later')});
$group->wait_converged;

my @namespaces = qw(oldest largest);

sub put
{
	my ($which, $namespace, $key) = @_;
	$group->psql($which, qq{
		SELECT cache_put('$key', 'by $which', namespace => '$namespace')});
	return;
}

sub keys_of
{
	my ($which, $namespace) = @_;
	return $group->psql($which, qq{
		SELECT coalesce(string_agg(k, ' ' ORDER BY k COLLATE "C"), '')
		FROM cache_keys('%', namespace => '$namespace') k});
}

# The oldest is stopped while the others write.
foreach my $how ('stop', 'kill9')
{
	$group->$how(1);
	$group->wait_peer_state($_, 1, 'down') foreach 2, 3;
	put(2, $_, "while $how") foreach @namespaces;
	$group->start(1);
	$group->wait_ready(1);
	$group->rejoin;
}
is(keys_of(1, $_), 'while kill9 while stop', "$_: what was written stays")
  foreach @namespaces;

# One alone, which writes; then two of three are stopped while it is.
$group->stop(2);
$group->stop(3);
$group->wait_peer_state(1, $_, 'down') foreach 2, 3;
put(1, $_, 'alone') foreach @namespaces;
$group->start(2, 3);
$group->wait_ready;
$group->rejoin;
is(keys_of(3, $_), 'alone while kill9 while stop',
	"$_: two that were down are no larger island")
  foreach @namespaces;

# The same with a cut.
$group->part([1], [ 2, 3 ]);
put(1, $_, 'left') foreach @namespaces, 'later';
put(3, $_, 'right') foreach @namespaces, 'later';
$group->rejoin;
foreach my $which (1 .. 3)
{
	is(keys_of($which, 'oldest'), 'alone left while kill9 while stop',
		"node$which: the oldest wins over those that were there");
	is(keys_of($which, 'largest'), 'alone right while kill9 while stop',
		"node$which: and so does the largest island");
}
$group->psql(2, q{SELECT cache_namespace('later', on_split => 'oldest_island')});
$group->wait_converged;

# A split of which that namespace is none of the concern: it has no writes.
$group->part([1], [ 2, 3 ]);
put(2, 'oldest', 'second');
$group->rejoin;
is(keys_of($_, 'later'), 'left right',
	"node$_: a policy does not judge what was healed before it was set")
  foreach 1 .. 3;
is(keys_of(1, 'oldest'), 'alone left while kill9 while stop',
	'but what comes after it');
is($group->psql(1, q{SELECT sum(deleted) FROM cache_splits}), 3,
	'and on the resolver say how many were taken away');
$group->same_contents('all hold the same');

# A node that comes anew has seen nothing, and its side is the oldest nowhere.
my $new = $group->add_node;
$group->start($new);
$group->wait_ready;
$group->rejoin;
is(keys_of($new, $_), keys_of(1, $_), "$_: a new node takes nothing away")
  foreach @namespaces, 'later';
is(keys_of(1, 'later'), 'left right', 'also where there is much to take');
$group->same_contents('all hold the same with the new one');

done_testing();
