# A merge function of the full form is called once with its arguments, then
# once for each key that either side changed, with the state that the call
# before returned; NULL stands for the side that did not change the key. It may
# choose, write, delete, put off and stop; and a fetcher says what is compared.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;

# Does what the key says, and numbers its calls by the state.
$group->psql_all(q{
	CREATE TABLE calls (id serial, key text, ours text, theirs text,
		state jsonb);
	CREATE FUNCTION by_key(ours cache_entry, theirs cache_entry, state jsonb)
	RETURNS cache_merge LANGUAGE plpgsql SET search_path = public AS $$
	DECLARE
		k text := coalesce(ours.key, theirs.key);
		next jsonb := state || jsonb_build_object('n',
			coalesce((state->>'n')::int, 0) + 1);
	BEGIN
		INSERT INTO calls (key, ours, theirs, state)
			VALUES (k, ours.value, theirs.value, state);
		RETURN CASE split_part(k, '>', 2)
			WHEN 'write' THEN ROW('write', 'written by ' || (next->>'n'),
				interval '1 hour', next)::cache_merge
			ELSE ROW(split_part(k, '>', 2), NULL, NULL, next)::cache_merge
		END;
	END $$;
	CREATE FUNCTION stops(ours cache_entry, theirs cache_entry, state jsonb)
	RETURNS cache_merge LANGUAGE plpgsql SET search_path = public AS $$
	DECLARE
		n int := coalesce((state->>'n')::int, 0);
	BEGIN
		IF n = (state->>'after')::int THEN
			RETURN ROW('stop', NULL, NULL, NULL)::cache_merge;
		END IF;
		RETURN ROW('theirs', NULL, NULL,
			state || jsonb_build_object('n', n + 1))::cache_merge;
	END $$;
	CREATE FUNCTION all_ours(ours cache_entry, theirs cache_entry, state jsonb)
	RETURNS cache_merge LANGUAGE sql SET search_path = public AS $$
		SELECT ROW('ours', NULL, NULL, state)::cache_merge $$;
	CREATE TABLE fetches (namespace text, node text, state jsonb);
	CREATE FUNCTION some_keys(namespace text, node text, state jsonb,
		OUT keys text[], OUT state_out jsonb)
	LANGUAGE plpgsql SET search_path = public AS $$
	DECLARE
		n int := coalesce((state->>'fetched')::int, 0);
	BEGIN
		INSERT INTO fetches VALUES (namespace, node, state);
		keys := CASE n WHEN 0 THEN '{f1,f2}'::text[] WHEN 1 THEN '{f3,none}' END;
		state_out := coalesce(state, '{}') || jsonb_build_object('fetched', n + 1);
	END $$});
$group->psql(1, q{
	SELECT cache_namespace(n) FROM unnest('{full,never,later,fetched}'::text[]) n;
	SELECT cache_set_merge('full', 'by_key(cache_entry,cache_entry,jsonb)',
		args => '{"greeting": "hello"}');
	SELECT cache_set_merge('never', 'stops(cache_entry,cache_entry,jsonb)',
		args => '{"after": 0}');
	SELECT cache_set_merge('later', 'stops(cache_entry,cache_entry,jsonb)',
		args => '{"after": 4}');
	SELECT cache_set_merge('fetched', 'all_ours(cache_entry,cache_entry,jsonb)',
		fetcher => 'some_keys(text,text,jsonb)')});

sub put
{
	my ($which, $namespace, $value, @keys) = @_;
	$group->psql($which, join ";\n", map { "SELECT cache_put('$_', '$value',
		namespace => '$namespace')" } @keys);
	return;
}

put(2, 'full', 'before', 'unchanged>delete', 'gone>theirs', 'old>ours',
	'old>theirs');
$group->wait_converged;

# What was written shortly before a split counts as written in it.
$group->wait_for(1, q{SELECT bool_and(written_at < clock_timestamp()
	- interval '2 s') FROM cache_entries('%', namespace => 'full')},
	'entries to be older than a split is written back');
$group->part([1], [ 2, 3 ]);

my @both = map { "both>$_" } qw(ours theirs write delete defer nonsense);
my @left = map { "left>$_" } qw(ours theirs write delete);
my @right = map { "right>$_" } qw(ours theirs write delete);
put(1, 'full', 'of 1', @both, @left, 'old>ours');
put(3, 'full', 'of 3', @both, @right, 'old>theirs');
$group->psql(1, q{SELECT cache_delete('gone>theirs', 'full')});
put($_, 'never', "of $_", map { "k$_" } 1 .. 5) foreach 1, 2;
put($_, 'later', "of $_", map { "k$_" } 1 .. 5) foreach 1, 2;
put($_, 'fetched', "of $_", map { "f$_" } 1 .. 5) foreach 1, 2;
$group->meet;
$group->wait_pending('full', 'both>defer,both>nonsense');
# who decides knows of the walk for what one side alone has changed
$group->wait_converged(1);

# One call to begin with, then one for each change on either side; what a call
# that failed has written is undone.
is($group->psql(1, q{
		SELECT key IS NULL, ours IS NULL, theirs IS NULL, state
		FROM calls ORDER BY id LIMIT 1}),
	't|t|t|{"greeting": "hello"}',
	'the first call has no entries, and the arguments as its state');
is($group->psql(1, q{
		SELECT key, coalesce(ours, 'NULL'), coalesce(theirs, 'NULL')
		FROM (SELECT DISTINCT ON (key) * FROM calls WHERE key IS NOT NULL
			  ORDER BY key, id) c
		ORDER BY key COLLATE "C"}),
	join("\n",
		(map { "$_|of 1|of 3" } grep { !/nonsense/ } sort @both),
		(map { "$_|of 1|NULL" } sort @left),
		'old>ours|of 1|NULL', 'old>theirs|NULL|of 3',
		(map { "$_|NULL|of 3" } sort @right)),
	'it is called for what either side changed, NULL being who did not');
is($group->psql(1, q{
		SELECT count(*) - count(DISTINCT key) FROM calls
		WHERE key IS NOT NULL AND key <> 'both>nonsense'}), 0,
	'once each');
is($group->psql(1, q{
		SELECT count(*) FROM (
			SELECT key, state->>'greeting' AS greeting,
				coalesce((state->>'n')::int, 0) AS n,
				lag(coalesce((state->>'n')::int, 0)) OVER (ORDER BY id)
					AS n_before
			FROM calls) c
		WHERE key IS NOT NULL
			AND (greeting <> 'hello' OR n <> n_before + 1)}), 0,
	'the state of each call is what the call before returned');
is($group->psql($_, 'SELECT count(*) FROM calls'), 0,
	"node$_ calls nothing, as it decides nothing") foreach 2, 3;

# What came of it.
foreach my $which (1 .. 3)
{
	is( $group->psql($which, q{
			SELECT key, regexp_replace(value, 'by \d+', 'by n'),
				expires_at BETWEEN now() + interval '50 min'
					AND now() + interval '1 hour'
			FROM cache_entries('%', namespace => 'full')
			WHERE key NOT IN ('both>defer', 'both>nonsense')
			ORDER BY key COLLATE "C"}),
		join("\n",
			'both>ours|of 1|', 'both>theirs|of 3|', 'both>write|written by n|t',
			'left>ours|of 1|', 'left>write|written by n|t', 'old>ours|of 1|',
			'old>theirs|of 3|', 'right>theirs|of 3|', 'right>write|written by n|t',
			'unchanged>delete|before|'),
		"node$which: what each call said was done");
}
like($group->psql(1, q{SELECT error FROM cache_conflicts
	WHERE key = 'both>nonsense' AND decision = 'pending'}), qr/nonsense/,
	'an unknown action is an error beside the key');
is($group->psql(1, q{SELECT sum(deferred) FROM cache_splits}), 1,
	'what was put off is counted');
is($group->psql($_, q{SELECT cache_get('both>defer', 'full')}),
	$_ == 1 ? 'of 1' : 'of 3',
	"node$_: and stays as it is") foreach 1 .. 3;

# To stop ends it, at once or in the middle; the rest waits until asked for.
$group->wait_pending('never', 'k1,k2,k3,k4,k5');
pass('stop at the first call: nothing is decided');
$group->wait_for($_, q{
	SELECT count(DISTINCT key) = 2 FROM cache_conflicts
	WHERE namespace = 'later' AND decision = 'pending'},
	'two keys to be left') foreach 1 .. 3;
is($group->psql(1, q{SELECT cache_wait_converged('60 s')}), 't',
	'nobody waits for what was stopped');
is($group->psql(1, q{SELECT namespace, error, count(*) FROM cache_conflicts
		WHERE namespace IN ('never', 'later') AND decision = 'pending'
		GROUP BY 1, 2 ORDER BY 1}),
	"later|stopped by the merge function|2\nnever|stopped by the merge function|5",
	'and why they wait is shown');
$group->psql(3, q{SELECT cache_heal('later')});
$group->wait_pending('later', '');
is($group->psql($_, q{
		SELECT value, count(*) FROM cache_entries('%', namespace => 'later')
		GROUP BY value}), 'of 2|5',
	"node$_: cache_heal begins anew and ends it") foreach 1 .. 3;

# Only what is fetched is compared.
$group->wait_pending('fetched', 'f4,f5');
is($group->psql($_, q{
		SELECT key, value FROM cache_entries('%', namespace => 'fetched')
		WHERE key < 'f4' ORDER BY key}),
	"f1|of 1\nf2|of 1\nf3|of 1", "node$_: what was fetched is decided")
  foreach 1 .. 3;
is($group->psql(1, q{
		SELECT DISTINCT namespace, (state->>'fetched') IS NULL FROM fetches
		ORDER BY 2 DESC LIMIT 1}), 'fetched|t',
	'the fetcher is told the namespace, and its own state');
$group->psql(1, q{SELECT cache_set_merge('fetched',
	'all_ours(cache_entry,cache_entry,jsonb)')});
$group->wait_pending('fetched', '');
pass('without a fetcher all that differ are compared');

$group->psql(1, q{SELECT cache_heal('full', 'node3')});
$group->psql(1, q{SELECT cache_heal('never', 'node1')});
$group->wait_converged;
is($group->psql($_, q{SELECT conflicts_pending FROM cache_status()}), 0,
	"node$_: nothing is left") foreach 1 .. 3;
$group->same_contents('all hold the same in the end');

done_testing();
