# Conflicts that wait are kept with all their values over a restart and over a
# crash of the whole server, and are decided after it as if nothing had been;
# when the resolver is away the next oldest decides, the same.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1,
	conf => "cachecluster.journal_sync = always\n");
$group->start;
$group->wait_ready;

# Works only where and when it is allowed to.
$group->psql_all(q{
	CREATE TABLE allowed (yes boolean);
	CREATE FUNCTION joined(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		IF NOT EXISTS (SELECT FROM allowed) THEN
			RAISE EXCEPTION 'not allowed here';
		END IF;
		ours.value := least(ours.value, theirs.value) || '+'
			|| greatest(ours.value, theirs.value);
		RETURN ours;
	END $$});
$group->psql(1, q{
	SELECT cache_namespace('manual', on_split => 'manual');
	SELECT cache_namespace('merge');
	SELECT cache_set_merge('merge', 'joined(cache_entry,cache_entry)')});
$group->wait_converged;

$group->part([1], [ 2, 3 ]);
foreach my $which (1, 3)
{
	$group->psql($which, qq{
		SELECT cache_put('k' || i, 'of $which', namespace => n, ttl => '1 hour')
		FROM unnest('{manual,merge}'::text[]) n, generate_series(1, 30) i});
}
$group->psql(1, q{SELECT cache_put('deleted', 'x', namespace => 'manual')});
$group->psql(3, q{SELECT cache_put('deleted', 'y', namespace => 'manual'),
	cache_delete('deleted', 'manual')});
$group->rejoin;

# Both sides of each key that waits, whichever is shown first, with versions.
sub waiting
{
	my ($which) = @_;
	return $group->psql($which, q{
		SELECT namespace, key,
			least(ROW(ours_node, ours_value, ours_version)::text,
				ROW(theirs_node, theirs_value, theirs_version)::text),
			greatest(ROW(ours_node, ours_value, ours_version)::text,
				ROW(theirs_node, theirs_value, theirs_version)::text)
		FROM cache_conflicts WHERE decision = 'pending' ORDER BY 1, 2});
}

sub all_wait
{
	my ($what, @which) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$group->wait_for($_, q{SELECT conflicts_pending = 61 FROM cache_status()},
		'61 pending keys') foreach @which;
	is(waiting($_), waiting($which[0]), "$what: node$_ has both sides of all")
	  foreach @which;
	foreach my $which (@which)
	{
		my $own = $which == 1 ? 1 : 3;
		is( $group->psql($which, q{
				SELECT value, count(*) FROM cache_entries('k%', 'manual')
				GROUP BY value}),
			"of $own|30",
			"$what: node$which serves what it served before");
	}
	return;
}

all_wait('after the heal', 1 .. 3);
my $waiting = waiting(1);
is(scalar(split /\n/, $waiting), 61, 'with two values each');

# A clean restart of one, and of all at once.
$group->restart(2);
$group->wait_ready;
$group->wait_converged;
all_wait('after a restart of one', 1 .. 3);
$group->restart(1 .. 3);
$group->wait_ready;
$group->wait_converged;
all_wait('after a restart of all', 1 .. 3);
is(waiting(2), $waiting, 'and the values are those from before');

# A crash of one, and of all at once: from their files.
$group->kill9(1);
$group->start(1);
$group->wait_ready;
$group->wait_converged;
all_wait('after a crash of one', 1 .. 3);
$group->kill9($_) foreach 1 .. 3;
$group->start;
$group->wait_ready;
$group->wait_converged;
all_wait('after a crash of all', 1 .. 3);
is(waiting(3), $waiting, 'and the values are those from before');

# The resolver is away: the next oldest has the same originals.
$group->stop(1);
$group->wait_peer_state($_, 1, 'down') foreach 2, 3;
$group->psql(2, q{INSERT INTO allowed VALUES (true)});
$group->psql(3, q{SELECT cache_heal()});
$group->wait_pending('merge', '', 2, 3);
is($group->psql($_, q{
		SELECT value, count(*) FROM cache_entries('%', namespace => 'merge')
		GROUP BY value}), 'of 1+of 3|30',
	"node$_ has what the next oldest decided") foreach 2, 3;
is($group->psql(3, q{SELECT DISTINCT decided_by FROM cache_conflicts
	WHERE namespace = 'merge'}), 'merge on node2', 'it was that one');
$group->start(1);
$group->wait_ready;
$group->wait_converged;
is($group->psql(1, q{
		SELECT value, count(*) FROM cache_entries('%', namespace => 'merge')
		GROUP BY value}), 'of 1+of 3|30',
	'and so has the resolver when it is back, without being allowed');
is($group->pending(1, 'merge'), '', 'nothing of it waits there');

# What was decided stays decided over a crash.
is($group->psql(1, q{SELECT cache_heal('manual', 'node1')}), 31,
	'people decide the rest');
$group->wait_converged;
$group->kill9($_) foreach 1 .. 3;
$group->start;
$group->wait_ready;
$group->wait_converged;
is( $group->psql($_, q{
		SELECT (SELECT conflicts_pending FROM cache_status()),
			(SELECT string_agg(DISTINCT value, ',')
			 FROM cache_entries('k%', 'manual')),
			(SELECT cache_get('deleted', 'manual')),
			(SELECT string_agg(DISTINCT value, ',')
			 FROM cache_entries('%', 'merge'))}),
	'0|of 1|x|of 1+of 3',
	"node$_: what was decided outlives a crash, too") foreach 1 .. 3;
$group->same_contents('all hold the same in the end');

done_testing();
