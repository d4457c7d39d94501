# What is put on one of three nodes is on all of them, whoever was asked; each
# pair of nodes has one connection a direction, whatever the seeds say.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3);

# Seeds that name a node twice, and the node itself, do no harm.
$group->set_seeds('node2', qw(node1 node2 node1));
$group->set_seeds('node3', qw(node3 node2 node1));
$group->start;
$group->wait_ready;
foreach my $which (1 .. 3)
{
	$group->wait_peer_state($which, $_, 'streaming')
	  foreach grep { $_ != $which } 1 .. 3;
}

# Every node writes one entry of each type, and reads those of all.
foreach my $which (1 .. 3)
{
	$group->psql($which, qq{
		SELECT cache_put('text:$which', 'from $which', '1 hour'),
			   cache_put('jsonb:$which', '{"n": $which}'::jsonb),
			   cache_put('bytea:$which', '\\x00ff0$which'::bytea),
			   cache_put('null:$which', NULL::text)});
}
$group->wait_converged;
foreach my $which (1 .. 3)
{
	is( $group->psql($which, q{
			SELECT string_agg(cache_get('text:' || n), ',' ORDER BY n),
				   sum((cache_get_jsonb('jsonb:' || n) ->> 'n')::int),
				   string_agg(cache_get_bytea('bytea:' || n)::text, ','
							  ORDER BY n),
				   count(cache_get('null:' || n)),
				   bool_and(cache_has('null:' || n))
			FROM generate_series(1, 3) n}),
		'from 1,from 2,from 3|6|\x00ff01,\x00ff02,\x00ff03|0|t',
		"node$which reads what all have written");
}
$group->same_digest('the same value and expiry everywhere');

# Another node may overwrite, touch and delete what a first one has put.
$group->psql(2, q{
	SELECT cache_put('text:1', 'replaced by 2'), cache_delete('jsonb:1'),
		   cache_touch('text:3', '2 hours')});
$group->wait_converged;
is( $group->psql(3, q{
		SELECT cache_get('text:1'), cache_has('jsonb:1'),
			   cache_ttl('text:3') > '1 hour'}),
	'replaced by 2|f|t',
	'a third node sees the changes');
$group->same_digest('and so do all');

# The same keys written on all of them at once.
my @writers = map {
	my $name = $group->name($_);
	my $in = q{SET cachecluster.transactional = off;
		DO $$ BEGIN FOR i IN 1..2000 LOOP
		PERFORM cache_put('hot:' || i % 50, 'node } . $name . q{, ' || i);
		END LOOP; END $$};
	IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $group->node($_)->connstr('postgres'), '-c',
			$in ],
		'>', '/dev/null')
} 1 .. 3;
ok($_->finish, 'a writer ends without an error') foreach @writers;
$group->wait_converged;
$group->same_digest('keys written on all nodes at once end up the same');

# An entry expires on all of them.
$group->psql(1, q{SELECT cache_put('short', 'lived', '300 ms')});
$group->wait_for($_, q{SELECT NOT cache_has('short')}, 'expiry')
  foreach 1 .. 3;

# One connection from each node to each other one.
foreach my $which (1 .. 3)
{
	is( $group->psql($which, q{
			SELECT string_agg(application_name, ' ' ORDER BY application_name)
			FROM pg_stat_activity
			WHERE application_name LIKE 'cachecluster/%'}),
		join(' ', map { "cachecluster/node$_" } grep { $_ != $which } 1 .. 3),
		"node$which is called once by each of the others");
	is( $group->psql($which, q{
			SELECT count(*), sum(reconnects), count(last_error),
				   bool_and(rtt_ms < 10000 AND abs(clock_skew_ms) < 10000),
				   bool_and(entries_sent > 0 AND bytes_sent > 0)
			FROM pg_stat_cachecluster_peers}),
		'2|0|0|t|t',
		"node$which has kept its sessions");
}

done_testing();
