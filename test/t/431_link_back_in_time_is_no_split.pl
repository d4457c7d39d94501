# A link that is back before either side declared the other down catches up
# silently: no split, no conflict, also where people decide; of two writes of a
# key at the same time the newest stays.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

# Long enough for a few statements in between, also on a slow machine.
my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1,
	conf => "cachecluster.peer_timeout = 30s\n");
$group->start;
$group->wait_ready;

my @policies = qw(manual oldest_island largest_island longest_ttl);
$group->psql(1, qq{
	SELECT cache_namespace('$_', on_split => '$_');
	SELECT cache_put('old', 'before', namespace => '$_'),
		cache_put('gone', 'before', namespace => '$_')}) foreach @policies;
$group->wait_converged;

sub write_on
{
	my ($which, $round, @keys) = @_;
	foreach my $namespace (@policies)
	{
		$group->psql($which, join ";\n",
			map { "SELECT cache_put('$_', '$round on $which',
				namespace => '$namespace')" } @keys);
	}
	return;
}

sub caught_up
{
	my ($what, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$group->wait_reachable($_, 3) foreach 1 .. 3;
	$group->wait_converged;
	$group->same_contents("$what: all hold the same");
	foreach my $namespace (@policies)
	{
		is($group->psql(1, qq{
			SELECT string_agg(key || '=' || value, ',' ORDER BY key)
			FROM cache_entries('%', namespace => '$namespace')}),
			$expected, "$what: $namespace has the newest of each");
	}
	foreach my $which (1 .. 3)
	{
		is($group->psql($which, q{
			SELECT (SELECT count(*) FROM cache_splits),
				(SELECT count(*) FROM cache_conflicts
				 WHERE decision = 'pending'),
				(SELECT conflicts_pending FROM cache_status()),
				(SELECT count(*) FROM cache_events
				 WHERE kind IN ('split', 'heal', 'peer_down'))}),
			'0|0|0|0', "$what: node$which knows of no split and no conflict");
	}
	return;
}

# Nothing passes, on open connections.
$group->split([1], [ 2, 3 ], 'stall');
write_on(1, 'stall', 'old', 'both', 'left');
write_on(2, 'stall', 'both', 'right');
write_on(3, 'stall', 'both');
$group->psql(3, qq{SELECT cache_delete('gone', '$_')}) foreach @policies;
isnt($group->psql(2, q{SELECT cache_get('both', 'manual')}),
	$group->psql(1, q{SELECT cache_get('both', 'manual')}),
	'both sides wrote without each other');
$group->mend;
caught_up('a silent moment',
	'both=stall on 3,left=stall on 1,old=stall on 1,right=stall on 2');

# Connections are broken and come back.
$group->split([2], [ 1, 3 ]);
write_on(3, 'cut', 'both');
write_on(2, 'cut', 'both', 'old');
write_on(1, 'cut', 'left');
$group->mend;
caught_up('a moment without links',
	'both=cut on 2,left=cut on 1,old=cut on 2,right=stall on 2');

# The same, many times over, under writes of the same keys.
foreach my $round (1 .. 5)
{
	$group->proxy($_)->reset_links foreach 1 .. 3;
	write_on($_, $round, 'both', 'old') foreach 3, 1, 2;
}
caught_up('links that break under writes',
	'both=5 on 2,left=cut on 1,old=5 on 2,right=stall on 2');

done_testing();
