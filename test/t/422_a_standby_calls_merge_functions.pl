# A hot standby is a full node in healing, too: when it is the oldest that is
# left it calls the merge functions that it has from its primary, which may read
# its tables. One that wants to write them fails, and its keys wait for people.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1, proxy => 1, conf => q{
wal_level = replica
max_wal_senders = 5
});
$group->start;
my $standby = $group->add_standby;
$group->start($standby);
$group->wait_ready;
my $other = $group->add_node(seeds => [1]);
$group->start($other);
$group->wait_ready;

my $functions = q{
	CREATE TABLE suffix (word text);
	INSERT INTO suffix VALUES ('merged');
	CREATE FUNCTION reads(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		ours.value := ours.value || ' and ' || theirs.value || ' '
			|| (SELECT word FROM suffix);
		IF ours.key = 'raises' THEN
			RAISE 'not %', ours.key;
		END IF;
		RETURN ours;
	END $$;
	CREATE FUNCTION writes(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO suffix VALUES ('written');
		RETURN ours;
	END $$;
	CREATE FUNCTION whole(ours cache_entry, theirs cache_entry, state jsonb)
	RETURNS cache_merge LANGUAGE plpgsql AS $$
	BEGIN
		state := to_jsonb(coalesce(state::int, 0) + 1);
		RETURN ROW('write', 'call ' || state::text, NULL, state)::cache_merge;
	END $$};
$group->psql($_, $functions) foreach 1, $other;
$group->psql(1, q{
	SELECT cache_namespace(n) FROM unnest('{reads,writes,whole}'::text[]) n;
	SELECT cache_set_merge(n, n::regproc)
	FROM unnest('{reads,writes,whole}'::text[]) n});
$group->wait_converged;
$group->node(1)->wait_for_catchup($group->node($standby), 'replay',
	$group->node(1)->lsn('insert'));

# The primary goes; its standby is the older of the two that are left.
$group->stop(1);
$group->wait_reachable($_, 2) foreach $standby, $other;
$group->part([$standby], [$other]);
foreach my $which ($standby, $other)
{
	my $name = $group->name($which);
	$group->psql($which, qq{
		SELECT cache_put(k, 'of $name', namespace => 'reads')
		FROM unnest('{k1,k2,raises}'::text[]) k;
		SELECT cache_put('k', 'of $name', namespace => n)
		FROM unnest('{writes,whole}'::text[]) n});
}
$group->mend;
$group->wait_reachable($_, 2) foreach $standby, $other;
$group->wait_pending('reads', 'raises', $standby, $other);
$group->wait_pending('whole', '', $standby, $other);
foreach my $which ($standby, $other)
{
	is($group->psql($which, q{
			SELECT key, value FROM cache_entries('k%', 'reads') ORDER BY key}),
		"k1|of node2 and of node3 merged\nk2|of node2 and of node3 merged",
		"$which: merged by a function that reads a table");
	is($group->psql($which, q{SELECT cache_get('k', 'whole')}), 'call 2',
		"$which: by one of the full form");
}
is($group->psql($standby, q{SELECT pg_is_in_recovery(),
		string_agg(DISTINCT decided_by, ',') FROM cache_conflicts
		WHERE decision <> 'pending'}), 't|merge on node2',
	'it was the standby that decided');
$group->wait_for($standby, q{SELECT count(*) = 2 FROM cache_conflicts
	WHERE error IS NOT NULL}, 'the errors');
is($group->psql($standby, q{
		SELECT namespace, key, error FROM cache_conflicts
		WHERE decision = 'pending' ORDER BY namespace}),
	"reads|raises|not raises\n"
	  . 'writes|k|cannot execute INSERT in a read-only transaction',
	'what cannot be done there is an error beside the key');

is($group->psql($_, q{SELECT cache_wait_converged('20 s')}), 't',
	"$_ waits for nothing that failed") foreach $standby, $other;

# People decide there as anywhere.
is($group->psql($standby, q{
		SELECT cache_resolve('raises', 'write', 'by hand', 'reads'),
			cache_heal('writes', 'node3')}), 't|1', 'decided by hand');
$group->wait_converged($standby, $other);
is($group->psql($_, q{
		SELECT cache_get('raises', 'reads'), cache_get('k', 'writes')}),
	'by hand|of node3', "$_ has what was decided by hand")
  foreach $standby, $other;

done_testing();
