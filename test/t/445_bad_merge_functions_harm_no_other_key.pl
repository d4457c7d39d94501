# A merge function that raises, loops, swallows everything, returns rubbish or
# too much, is dropped or replaced: its key stays pending with the error beside
# it, all others are decided, clients are not held up, and cache_heal() decides
# the rest when the function is mended.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1,
	conf => "cachecluster.merge_timeout = 300ms\n"
	  . "cachecluster.max_value_size = 10kB\n");
$group->start;
$group->wait_ready;

# What it does depends on the key.
my $faulty = q{
	CREATE OR REPLACE FUNCTION faulty(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	DECLARE
		kind text := split_part(ours.key, ':', 1);
	BEGIN
		IF kind = 'raises' THEN
			RAISE EXCEPTION 'cannot merge %', ours.key;
		ELSIF kind = 'divides' THEN
			ours.value := 1 / (length(ours.value) - length(ours.value));
		ELSIF kind = 'sleeps' THEN
			PERFORM pg_sleep(600);
		ELSIF kind = 'loops' THEN
			LOOP
				NULL;
			END LOOP;
		ELSIF kind = 'swallows' THEN
			LOOP
				BEGIN
					PERFORM pg_sleep(600);
				EXCEPTION
					WHEN query_canceled OR OTHERS THEN
						NULL;
				END;
			END LOOP;
		ELSIF kind = 'renames' THEN
			ours.key := 'another';
		ELSIF kind = 'moves' THEN
			ours.namespace := 'default';
		ELSIF kind = 'large' THEN
			ours.value := repeat('x', 20000);
		ELSIF kind = 'type' THEN
			ours.value_type := 'xml';
		ELSIF kind = 'json' THEN
			ours.value_type := 'jsonb';
			ours.value := '"not json';
		ELSE
			ours.value := 'merged';
		END IF;
		RETURN ours;
	END $$;
};
my $mended = q{
	CREATE OR REPLACE FUNCTION faulty(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		ours.value := 'merged';
		RETURN ours;
	END $$;
};
my @kinds = qw(divides json large loops moves raises renames sleeps swallows
  type);
$group->psql_all($faulty . q{
	CREATE FUNCTION dropped(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$ SELECT (ours).* $$;
	CREATE FUNCTION dropped(ours cache_entry, theirs cache_entry, state jsonb)
	RETURNS cache_merge LANGUAGE plpgsql AS $$
	BEGIN
		RETURN ROW('theirs', NULL, NULL, NULL)::cache_merge;
	END $$;
	CREATE FUNCTION keys(a text, b text, c jsonb, OUT d text[], OUT e jsonb)
	LANGUAGE plpgsql AS $$
	BEGIN
		IF c IS NULL THEN
			d := '{fine:1}';
			e := '1';
		ELSE
			RAISE 'no more keys';
		END IF;
	END $$;
	CREATE FUNCTION healthy(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$
		SELECT (CASE WHEN ours.version > theirs.version THEN ours ELSE theirs
			END).* $$});
$group->psql(1, q{
	SELECT cache_namespace('ns'), cache_namespace('other'),
		cache_namespace('gone'), cache_namespace('whole'), cache_namespace('manual', on_split => 'manual');
	SELECT cache_set_merge('ns', 'faulty(cache_entry,cache_entry)');
	SELECT cache_set_merge('gone', 'dropped(cache_entry,cache_entry)');
	SELECT cache_set_merge('whole', 'dropped(cache_entry,cache_entry,jsonb)');
	SELECT cache_namespace('chosen'), cache_set_merge('chosen',
		'healthy(cache_entry,cache_entry)', fetcher => 'keys(text,text,jsonb)');
	SELECT cache_set_merge('other', 'healthy(cache_entry,cache_entry)')});
$group->wait_converged;
$group->psql_all(q{DROP FUNCTION dropped(cache_entry, cache_entry),
	dropped(cache_entry, cache_entry, jsonb)});
my $offset = $group->log_offset(1);

$group->part([1], [2]);
foreach my $which (1, 2)
{
	$group->psql($which, "SELECT cache_put('$_:1', 'of $which',
		namespace => 'ns')") foreach @kinds;
	$group->psql($which, qq{
		SELECT cache_put('fine:' || i, 'of $which', namespace => n)
		FROM unnest('{ns,other,gone,whole,chosen}'::text[]) n, generate_series(1, 300) i});
}
$group->mend;
$group->wait_reachable($_, 2) foreach 1, 2;

# Clients are served meanwhile, also of the very keys.
my $slowest = 0;
foreach (1 .. 20)
{
	my $start = time;
	$group->psql(1, q{SELECT cache_get('loops:1', 'ns'),
		cache_put('busy', 'x', namespace => 'ns')});
	my $took = time - $start;
	$slowest = $took if $took > $slowest;
}
cmp_ok($slowest, '<', 5, 'gets and puts are not held up by a merge');

my $bad = join ',', sort map { "$_:1" } @kinds;
$group->wait_pending('ns', $bad);
$group->wait_pending('other', '');
pass('all keys but the bad are decided, and all namespaces but the bad');
is($group->psql($_, q{
		SELECT value, count(*) FROM cache_entries('fine:%', 'ns')
		GROUP BY value}), 'merged|300',
	"node$_: the good keys have their value") foreach 1, 2;

my %error = (
	divides => 'division by zero',
	json => 'json',
	large => 'too large|10240|max_value_size|10kB|exceeds',
	loops => 'merge_timeout|timeout|canceling',
	moves => 'another (key|namespace)',
	raises => 'cannot merge raises:1',
	renames => 'another key',
	sleeps => 'merge_timeout|timeout|canceling',
	swallows => 'merge_timeout|timeout|canceling',
	type => 'xml|type');
$group->wait_for(1, q{
	SELECT count(DISTINCT key) = 10 FROM cache_conflicts
	WHERE namespace = 'ns' AND decision = 'pending' AND error IS NOT NULL},
	'an error beside each bad key');
foreach my $kind (@kinds)
{
	like($group->psql(1, qq{
			SELECT error FROM cache_conflicts
			WHERE namespace = 'ns' AND key = '$kind:1'
				AND decision = 'pending'}),
		qr/$error{$kind}/i, "$kind: the error stands beside the key");
}
$group->wait_for(1, q{
	SELECT count(*) = 300 FROM cache_conflicts
	WHERE namespace = 'gone' AND decision = 'pending' AND error LIKE '%dropped%'},
	'the missing function to be named');
pass('a function that was dropped is named beside the keys');
$group->wait_for(1, q{
	SELECT count(*) = 300 AND bool_and(error = 'no more keys')
	FROM cache_conflicts WHERE namespace = 'chosen' AND decision = 'pending'},
	'the error of the fetcher beside all keys');
pass('a fetcher that fails leaves no key out');
is($group->psql(1, q{SELECT cache_get('sleeps:1', 'ns')}), 'of 1',
	'what waits is served as before');
is($group->psql(2, q{SELECT cache_get('sleeps:1', 'ns')}), 'of 2',
	'on either side');
is($group->psql($_, q{SELECT cache_wait_converged('20 s')}), 't',
	"node$_ waits for nothing that failed, nor for a walk without a function")
  foreach 1, 2;

# Retried by itself, and at once when asked to.
is($group->psql(2, q{SELECT cache_has('another', 'ns')
	OR cache_has('renames:1') OR cache_has('moves:1')}), 'f',
	'nothing was written where it should not be');
$group->psql_all($mended . q{
	CREATE FUNCTION dropped(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql AS $$ SELECT (ours).* $$;
	CREATE FUNCTION dropped(ours cache_entry, theirs cache_entry, state jsonb)
	RETURNS cache_merge LANGUAGE plpgsql AS $$
	BEGIN
		RETURN ROW('theirs', NULL, NULL, NULL)::cache_merge;
	END $$;
	CREATE OR REPLACE FUNCTION keys(a text, b text, c jsonb, OUT d text[],
		OUT e jsonb)
	LANGUAGE sql AS $$
		SELECT array_agg('fine:' || i), '1'::jsonb
		FROM generate_series(1, 300) i WHERE c IS NULL
	$$});
$group->psql(2, q{SELECT cache_heal()});
$group->wait_pending($_, '') foreach 'ns', 'gone', 'whole', 'chosen';
$group->wait_converged;
is($group->psql($_, q{
		SELECT value, count(*) FROM cache_entries('%:1', 'ns')
		GROUP BY value}), 'merged|11',
	"node$_: cache_heal() decides the rest when the function is mended")
  foreach 1, 2;
$group->same_contents('all hold the same');

# The wrong forms are refused at once, with the right ones in the hint.
$group->psql(1, q{
	CREATE FUNCTION wrong(a text) RETURNS text LANGUAGE sql AS 'SELECT a'});
my ($status, undef, $err) = $group->node(1)->psql('postgres',
	"SELECT cache_set_merge('ns', 'wrong(text)')");
isnt($status, 0, 'a function of the wrong form is refused');
like($err, qr/HINT:.*cache_entry, theirs cache_entry.*cache_merge|HINT:.*cache_entry.*cache_entry.*jsonb/s,
	'with both right forms in the hint');

# The server was not harmed, and said what to do.
my $log = slurp_file($group->node(1)->logfile, $offset);
unlike($log, qr/terminated by signal|PANIC|crash of another server process/,
	'no process crashed');
like($log, qr/WARNING:[^\n]*merge/i, 'the log tells of it');
like($log, qr/WARNING:  merge function of cache namespace "ns" in database "postgres" has ended its process\n[^\n]*Key "swallows:1"[^\n]*\n[^\n]*HINT:.*query_canceled/,
	'and which key has cost a process');
unlike($log, qr/function [^\n]*dropped[^\n]* does not exist\n[^\n]*\n[^\n]*search_path/,
	'a function that is not there is no matter of the search_path');
like($log, qr/WARNING:  conflicts of cache namespace "ns" [^\n]* cannot be merged: cannot merge [^\n]*\n[^\n]*DETAIL:[^\n]*faulty[^\n]*\n[^\n]*HINT:[^\n]*\n[^\n]*CONTEXT:[^\n]*faulty[^\n]* line \d+ at RAISE/,
	'and in which line of a function an error was raised');
my @warnings = $log =~ /WARNING:/g;
cmp_ok(scalar(@warnings), '<', 60, 'not once for each key');

done_testing();
