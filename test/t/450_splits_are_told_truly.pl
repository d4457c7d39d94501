# cache_splits says of each split who was out of reach, with the islands as seen
# from the node that is asked, when it began, was noticed and ended: from either
# side, for every split anew, over restarts; and nothing of what was none.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;
$group->wait_converged;

my $rows = q{
	SELECT peer, island_a, island_b, healed_at IS NOT NULL,
		   began_at <= detected_at AND began_at > detected_at - interval '60 s'
		   AND coalesce(healed_at >= detected_at, true)
	FROM cache_splits ORDER BY id};

sub open_splits
{
	my ($which, $n, $what) = @_;
	return $group->wait_for($which,
		"SELECT count(*) = $n FROM cache_splits WHERE healed_at IS NULL",
		$what);
}

is($group->psql($_, 'SELECT count(*) FROM cache_splits'),
	0, "node$_: to meet for the first time is no split")
  foreach 1 .. 3;

# One link of three: there is a path still.
$group->cut(1, 2);
$group->wait_peer_state(1, 2, 'down');
$group->wait_peer_state(2, 1, 'down');
$group->psql(1, q{SELECT cache_put('detour', 'taken')});
$group->wait_for(2, q{SELECT cache_get('detour') = 'taken'}, 'the detour');
is($group->psql($_, 'SELECT count(*) FROM cache_splits'),
	0, "node$_: who can be reached over another is not split off")
  foreach 1 .. 3;
$group->mend;
$group->wait_reachable($_, 3) foreach 1 .. 3;

# Seen from each side.
my $log_at = -s $group->node(1)->logfile;
$group->split([1], [ 2, 3 ]);
open_splits(1, 2, 'the split from both others');
open_splits($_, 1, 'the split from node1') foreach 2, 3;
is( $group->psql(1, $rows), join("\n",
		'node2|{node1}|{node2,node3}|f|t', 'node3|{node1}|{node2,node3}|f|t'),
	'the islands as node1 sees them');
foreach my $which (2, 3)
{
	my $other = 5 - $which;
	is($group->psql($which, $rows),
		"node1|{node$which,node$other}|{node1}|f|t",
		"the islands as node$which sees them");
}
is( $group->psql(1, q{
		SELECT kind, string_agg(node, ',' ORDER BY node),
			   min(detail->>'island_a'), min(detail->>'island_b')
		FROM cache_events WHERE kind = 'split' GROUP BY kind}),
	'split|node2,node3|["node1"]|["node2", "node3"]',
	'and it is an event for each');
$group->mend;
open_splits($_, 0, 'the split to be over') foreach 1 .. 3;
is( $group->psql(1, q{SELECT count(*) FROM cache_events WHERE kind = 'heal'}),
	2, 'so is its end');
my $log = slurp_file($group->node(1)->logfile, $log_at);
is(scalar(() = $log =~ /the group is split: "node1" here, "node2", "node3" out/g),
	1, 'one line in the log names both islands');
like($log, qr/the split from "node3" is over after \d/, 'and one its end');

# The next one is another row.
$group->split([ 1, 2 ], [3], 'stall');
open_splits($_, 1, 'the second split') foreach 1, 2;
open_splits(3, 2, 'the second split');
is( $group->psql(2, $rows), join("\n",
		'node1|{node2,node3}|{node1}|t|t', 'node3|{node2,node1}|{node3}|f|t'),
	'a second split is a row of its own');

# A restart in the middle changes neither; the split goes on.
$group->restart(2);
$group->wait_for(2, q{SELECT phase = 'ready' FROM cache_status()}, 'ready');
$group->wait_reachable(2, 2);
$group->wait_peer_state(2, 3, 'down');
is( $group->psql(2, $rows), join("\n",
		'node1|{node2,node3}|{node1}|t|t', 'node3|{node2,node1}|{node3}|f|t'),
	'the history outlives a restart');
$group->mend;
open_splits($_, 0, 'the second split to be over') foreach 1 .. 3;

# So does it a crash, once the file is written.
my $history = $group->psql(2, 'SELECT * FROM cache_splits');
my $file = $group->node(2)->data_dir . '/cachecluster/pgsql_tmp.splits';
$group->node(2)->stop('fast');
$group->start(2);
$group->wait_ready;
is($group->psql(2, 'SELECT * FROM cache_splits'),
	$history, 'what ended stays as it was');
$group->kill9(2);
$group->start(2);
$group->wait_ready;
is($group->psql(2, 'SELECT * FROM cache_splits'),
	$history, 'also over a crash');

# A file that is damaged, or of another node, costs the history and nothing else.
foreach my $how (qw(damaged foreign))
{
	$group->stop(2);
	if ($how eq 'damaged')
	{
		my $bytes = slurp_file($file);
		substr($bytes, 60, 1) ^= "\x01";
		open my $out, '>', $file or die "$file: $!";
		binmode $out;
		print $out $bytes;
		close $out;
	}
	else
	{
		unlink $file;
		system_or_bail('cp', $group->node(1)->data_dir
			  . '/cachecluster/pgsql_tmp.splits', $file);
	}
	my $at = -s $group->node(2)->logfile;
	$group->start(2);
	$group->wait_ready;
	is($group->psql(2, 'SELECT count(*) FROM cache_splits'),
		0, "a $how file is not used");
	like(slurp_file($group->node(2)->logfile, $at),
		qr/history of splits in "pgsql_tmp.splits" is not used/,
		"and a $how one is told of");
	$group->split([2], [ 1, 3 ]);
	open_splits(2, 2, 'a split after that');
	$group->mend;
	open_splits(2, 0, 'its end');
}

# A link that is back in time.
foreach my $which (1 .. 3)
{
	$group->wait_peer_state($which, $_, 'streaming')
	  foreach grep { $_ != $which } 1 .. 3;
}
my @before = map {
	$group->psql($_, 'SELECT count(*) FROM cache_splits')
} 1 .. 3;
$group->proxy($_)->reset_links foreach 1 .. 3;
$group->psql($_, "SELECT cache_put('again', '$_')") foreach 1 .. 3;
$group->wait_reachable($_, 3) foreach 1 .. 3;
$group->wait_converged;
is($group->psql($_, 'SELECT count(*) FROM cache_splits'),
	$before[ $_ - 1 ], "node$_: a link that comes back in time is no split")
  foreach 1 .. 3;

# A member that is forgotten while it is away.
$group->stop(3);
open_splits($_, 1, 'node3 to be away') foreach 1, 2;
$group->psql(1, q{SELECT cache_forget('node3')});
open_splits($_, 0, 'no split from who is no member') foreach 1, 2;

done_testing();
