# A policy that is changed while conflicts wait decides them by the new one, on
# whatever node it is said, and each namespace by itself.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION joined(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		ours.value := least(ours.value, theirs.value) || '+'
			|| greatest(ours.value, theirs.value);
		RETURN ours;
	END $$;
	CREATE FUNCTION fails(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		RAISE EXCEPTION 'not today';
	END $$});
my @policies = qw(latest oldest_island largest_island longest_ttl merge);
$group->psql(1, qq{SELECT cache_namespace('$_', on_split => 'manual')})
  foreach @policies;
$group->psql(1, q{
	SELECT cache_namespace('stays', on_split => 'manual');
	SELECT cache_namespace('failing');
	SELECT cache_set_merge('failing', 'fails(cache_entry,cache_entry)')});
$group->wait_converged;

$group->part([1], [ 2, 3 ]);
foreach my $which (2, 1)
{
	my $ttl = $which == 1 ? '1 hour' : '2 hours';
	$group->psql($which, qq{
		SELECT cache_put('k' || i, 'of $which', namespace => n, ttl => '$ttl')
		FROM unnest('{latest,oldest_island,largest_island,longest_ttl,merge,
			stays,failing}'::text[]) n, generate_series(1, 10) i});
}
$group->rejoin;
my $keys = join ',', sort map { "k$_" } 1 .. 10;
$group->wait_pending($_, $keys) foreach @policies, 'stays', 'failing';
pass('all wait');
$group->wait_for(1, q{
	SELECT count(*) = 10 FROM cache_conflicts
	WHERE namespace = 'failing' AND error LIKE '%not today%'},
	'the errors beside the keys');
pass('those whose function fails with the error beside them');

my %expected = (
	latest => 'of 1',
	oldest_island => 'of 1',
	largest_island => 'of 2',
	longest_ttl => 'of 2',
	merge => 'of 1+of 2');
my $which = 0;
foreach my $policy (@policies)
{
	$which = $which % 3 + 1;
	$group->psql($which, $policy eq 'merge'
		? q{SELECT cache_set_merge('merge', 'joined(cache_entry,cache_entry)')}
		: qq{SELECT cache_namespace('$policy', on_split => '$policy')});
	$group->wait_pending($policy, '');
	is($group->psql($_, qq{
			SELECT value, count(*) FROM cache_entries('%', namespace => '$policy')
			GROUP BY value}), "$expected{$policy}|10",
		"node$_: changed to $policy it has decided") foreach 1 .. 3;
}

# Another function is another policy.
$group->psql(3, q{SELECT cache_set_merge('failing',
	'joined(cache_entry,cache_entry)')});
$group->wait_pending('failing', '');
is($group->psql($_, q{
		SELECT value, count(*) FROM cache_entries('%', namespace => 'failing')
		GROUP BY value}), 'of 1+of 2|10',
	"node$_: another function decides what the first could not") foreach 1 .. 3;

is($group->pending($_, 'stays'), $keys,
	"node$_: what was not changed still waits") foreach 1 .. 3;
$group->psql(2, q{SELECT cache_drop_namespace('stays')});
$group->wait_converged;
$group->wait_for($_, q{SELECT conflicts_pending = 0 FROM cache_status()},
	'no conflict to be left') foreach 1 .. 3;
pass('conflicts of a namespace that is dropped are gone');
$group->same_contents('all hold the same');

done_testing();
