# Merge functions of any language and kind are run as the owner of their
# namespace, each with what it needs: rows of tables that are his to see,
# settings of its own, the rights of who defined it. What they return is stored
# with its type; what comes back unchanged keeps its deadline; NULL deletes.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1,
	conf => "cachecluster.merge_timeout = 500ms\n");
$group->start;
$group->wait_ready;

$group->psql_all(q{
	CREATE ROLE shop;
	GRANT TEMPORARY ON DATABASE postgres TO shop;
	CREATE TABLE prices (item text, price int, visible_to name);
	INSERT INTO prices VALUES ('a', 7, 'shop'), ('a', 1000, 'other');
	ALTER TABLE prices ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON prices USING (visible_to = current_user);
	GRANT SELECT ON prices TO shop;
	CREATE TABLE secret (word text);
	INSERT INTO secret VALUES ('swordfish');
	CREATE TABLE audit (key text, ours text, theirs text, who name);
	GRANT INSERT ON audit TO shop;

	-- a C function of the server's own: the first argument, as it is
	CREATE FUNCTION in_c(cache_entry, cache_entry) RETURNS cache_entry
		LANGUAGE internal AS 'int8up';
	CREATE FUNCTION in_sql(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE sql
	BEGIN ATOMIC
		SELECT CASE WHEN ours.version > theirs.version THEN ours ELSE theirs END;
	END;
	CREATE FUNCTION from_table(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql STABLE AS $$
	BEGIN
		ours.value := (SELECT string_agg(price::text, ',') FROM public.prices);
		RETURN ours;
	END $$;
	CREATE FUNCTION as_definer(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = public AS $$
	BEGIN
		ours.value := (SELECT word FROM secret);
		RETURN ours;
	END $$;
	CREATE FUNCTION as_owner(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql SET work_mem = '1234kB' AS $$
	BEGIN
		INSERT INTO public.audit VALUES (ours.key, ours.value, theirs.value,
			current_user);
		ours.value := current_user || ' ' || current_setting('work_mem') || ' '
			|| current_setting('search_path');
		RETURN ours;
	END $$;
	CREATE FUNCTION escapes(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE split_part(ours.key, '>', 2);
		RETURN ours;
	END $$;
	CREATE FUNCTION by_key(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		CASE ours.key
			WHEN 'ours' THEN RETURN ours;
			WHEN 'theirs' THEN RETURN theirs;
			WHEN 'null' THEN RETURN NULL;
			WHEN 'empty' THEN theirs := NULL; RETURN theirs;
			WHEN 'past' THEN ours.expires_at := now() - interval '1 s';
			WHEN 'later' THEN ours.expires_at := '2100-01-01 00:00:00.5+00';
			WHEN 'never' THEN ours.expires_at := NULL;
			WHEN 'void' THEN ours.value := NULL;
			WHEN 'bytes' THEN ours.value := '\xC0ffee'; ours.value_type := 'bytea';
			WHEN 'json' THEN
				ours.value := '{"b": 1,   "a": 2}'; ours.value_type := 'jsonb';
			WHEN 'bare' THEN
				theirs := NULL; theirs.value := 'made'; RETURN theirs;
			WHEN 'same' THEN ours.value := 'other';
		END CASE;
		RETURN ours;
	END $$;
	-- a key that one side deleted, with NULL for it
	CREATE FUNCTION of_deleted(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		IF ours IS NOT NULL AND theirs IS NOT NULL THEN
			RAISE 'both are there';
		END IF;
		IF ours IS NULL THEN
			theirs.value := 'theirs, ours deleted';
			RETURN theirs;
		END IF;
		ours.value := 'ours, theirs deleted';
		RETURN ours;
	END $$});

my %function = (c => 'in_c', sql => 'in_sql', table => 'from_table',
	definer => 'as_definer', owner => 'as_owner', escapes => 'escapes',
	by_key => 'by_key', deleted => 'of_deleted');
$group->psql(1, join ";\n", 'SET ROLE shop', map {
	("SELECT cache_namespace('$_')",
		"SELECT cache_set_merge('$_', '$function{$_}'::regproc)")
} sort keys %function);
$group->psql(1, q{SET ROLE shop; SELECT cache_put(k, 'before', namespace =>
	'deleted') FROM unnest('{a,b,c}'::text[]) k});
$group->wait_converged;

my @escapes = ('SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres',
	'CREATE TEMP TABLE t (i int)', 'COMMIT', 'SELECT word FROM public.secret',
	'DROP TABLE public.prices', 'LISTEN x', 'RESET ROLE',
	'SELECT public.cache_heal()',
	q(SELECT public.cache_namespace(''escapes'', ''1 h'')));
my @cases = qw(ours theirs null empty past later never void bytes json bare same);
$group->part([1], [2]);
foreach my $which (1, 2)
{
	$group->psql($which, join ";\n",
		(map { "SELECT cache_put('k', 'of $which', namespace => '$_')" }
			qw(c sql table definer owner)),
		(map { "SELECT cache_put('x>$_', 'of $which', namespace => 'escapes')" }
			@escapes),
		(map { "SELECT cache_put('$_', 'of $which', '1 day',
			namespace => 'by_key', grace => '1 h')" } @cases));
}
$group->psql(1, q{SELECT cache_delete('a', 'deleted'), cache_delete('c', 'deleted'),
	cache_put('b', 'of 1', namespace => 'deleted')});
$group->psql(2, q{SELECT cache_delete('b', 'deleted'), cache_delete('c', 'deleted'),
	cache_put('a', 'of 2', namespace => 'deleted')});
my $deadline = $group->psql(1, q{SELECT expires_at FROM cache_entry('same', 'by_key')});
$group->mend;
$group->wait_reachable($_, 2) foreach 1, 2;
$group->wait_pending($_, '') foreach grep { $_ ne 'escapes' } sort keys %function;

sub value
{
	my ($which, $namespace, $key) = @_;
	return $group->psql($which,
		"SELECT cache_get('$key', namespace => '$namespace')");
}
foreach my $which (1, 2)
{
	is(value($which, 'c', 'k'), 'of 1', "node$which: in C");
	is(value($which, 'sql', 'k'), 'of 2', "node$which: in SQL");
	is(value($which, 'table', 'k'), 7,
		"node$which: rows of a table, by its row security");
	is(value($which, 'definer', 'k'), 'swordfish',
		"node$which: security definer");
	is(value($which, 'owner', 'k'), 'shop 1234kB pg_catalog, public, pg_temp',
		"node$which: the owner, the function's setting, a safe search_path");
	is($group->psql($which, q{
			SELECT key, value FROM cache_entries('%', 'deleted') ORDER BY 1}),
		"a|theirs, ours deleted\nb|ours, theirs deleted",
		"node$which: NULL stands for who deleted; both: no call");
	is($group->psql($which, qq{
			SELECT key, coalesce(value, 'NULL'), value_type,
				CASE WHEN expires_at > '2099-01-01' THEN 'late'
					WHEN expires_at IS NULL THEN 'never' ELSE 'day' END
			FROM cache_entries('%', 'by_key') ORDER BY key COLLATE "C"}),
		join("\n", 'bare|made|text|never', 'bytes|\xc0ffee|bytea|day',
			'json|{"a": 2, "b": 1}|jsonb|day', 'later|of 1|text|late',
			'never|of 1|text|never', 'ours|of 1|text|day', 'same|other|text|day',
			'theirs|of 2|text|day', 'void|NULL|text|day'),
		"node$which: what was returned is stored");
}
is($group->psql(2, q{SELECT expires_at FROM cache_entry('same', 'by_key')}),
	$deadline, 'a deadline that was not changed is the same');
is($group->psql(1, 'SELECT key, ours, theirs, who FROM audit'),
	'k|of 1|of 2|shop', 'a row in a table for each conflict');

# What a function must not do is an error beside its key.
$group->wait_for(1, q{SELECT count(*) = 10 FROM cache_conflicts
	WHERE namespace = 'escapes' AND decision = 'pending' AND error IS NOT NULL},
	'the errors');
is($group->psql(1, q{
		SELECT replace(key, 'x>', ''), error FROM cache_conflicts
		WHERE namespace = 'escapes' ORDER BY key COLLATE "C"}),
	join("\n", 'COMMIT|EXECUTE of transaction commands is not implemented',
		'CREATE TEMP TABLE t (i int)|cannot create temporary table within security-restricted operation',
		'DROP TABLE public.prices|must be owner of table prices',
		'LISTEN x|cannot execute LISTEN within security-restricted operation',
		'RESET ROLE|cannot set parameter "role" within security-definer function',
		'SELECT public.cache_heal()|merge functions cannot declare cache namespaces, nor ask for conflicts to be decided again',
		"SELECT public.cache_namespace('escapes', '1 h')|merge functions cannot declare cache namespaces, nor ask for conflicts to be decided again",
		'SELECT word FROM public.secret|permission denied for table secret',
		'SET ROLE postgres|cannot set parameter "role" within security-definer function',
		'SET SESSION AUTHORIZATION postgres|cannot set parameter "session_authorization" within security-definer function'),
	'a function cannot leave its owner\'s rights');

# A right that was taken: the keys wait with the error.
$group->psql(1, q{REVOKE EXECUTE ON FUNCTION in_sql FROM PUBLIC});
$group->part([1], [2]);
$group->psql($_, "SELECT cache_put('r', 'of $_', namespace => 'sql')")
  foreach 1, 2;
$group->mend;
$group->wait_for(1, q{SELECT count(*) = 1 FROM cache_conflicts
	WHERE namespace = 'sql' AND decision = 'pending'
		AND error LIKE 'role "shop" may not execute%'}, 'the missing right');
$group->psql(1, q{GRANT EXECUTE ON FUNCTION in_sql TO shop; SELECT cache_heal('sql')});
$group->wait_pending('sql', '');
is(value($_, 'sql', 'r'), 'of 2', "node$_: decided once the right is back")
  foreach 1, 2;

$group->psql(1, q{SELECT cache_heal('escapes', 'node1')});
$group->wait_converged;
$group->same_contents('both hold the same');

# Mergers go when nothing is left to do.
$group->wait_for($_, q{SELECT count(*) = 0 FROM pg_stat_activity
	WHERE backend_type = 'cachecluster merger'}, 'mergers to end') foreach 1, 2;
pass('no merger stays');

done_testing();
