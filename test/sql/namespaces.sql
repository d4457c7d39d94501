-- Namespaces as users declare them.
SELECT cache_wait_ready('60 s');
-- what a statement says: "ok", or SQLSTATE, message and hint
CREATE FUNCTION says(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(hint, ''));
END $$;
CREATE VIEW shown AS
    SELECT name, ttl, require_ttl AS req, persist AS pers, replicate AS repl,
           writes, on_split, max_memory AS mem, sliding AS slid, max_age,
           grace, merge_function AS merge, privileges AS priv
    FROM cache_namespaces WHERE database = current_database()
    ORDER BY name COLLATE "C";
\pset format unaligned

-- "default" exists in every database, and belongs to its owner
SELECT * FROM shown;
SELECT owner = (SELECT rolname FROM pg_database d JOIN pg_authid a ON a.oid = datdba
                WHERE datname = current_database())
FROM cache_namespaces WHERE name = 'default' AND database = current_database();

-- what is not said is the default when the namespace is new
SELECT cache_namespace('plain');
SELECT cache_namespace('full', ttl => '1 h', require_ttl => true, persist => false,
    replicate => false, writes => 'sync', on_split => 'longest_ttl', max_memory => '64MB',
    sliding => true, max_age => '1 day', grace => '5 s');
-- by position too
SELECT cache_namespace('position', '2 h', false, true, true, 'async', 'manual', 1048576, false, '3 h', '1 min');
SELECT * FROM shown;

-- and left as it is when it exists
SELECT cache_namespace('full', ttl => '2 h');
SELECT cache_namespace('full', grace => '0');
SELECT * FROM shown WHERE name = 'full';

-- zero means none
SELECT cache_namespace('full', ttl => '0', max_age => '0', max_memory => 0);
SELECT * FROM shown WHERE name = 'full';

-- persist, writes, on_split can be changed, replicate cannot
SELECT cache_namespace('full', persist => true, writes => 'async', on_split => 'oldest_island',
    require_ttl => false, sliding => false);
SELECT * FROM shown WHERE name = 'full';
SELECT says($$SELECT cache_namespace('full', replicate => true)$$);
SELECT says($$SELECT cache_namespace('full', replicate => false)$$);

-- max_memory is a number of bytes or a text with a unit
CREATE FUNCTION memory(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text := says(format('SELECT cache_namespace(''full'', max_memory => %s)', call));
BEGIN
    RETURN coalesce((SELECT mem::text FROM shown WHERE name = 'full' AND answer = 'ok'), answer);
END $$;
SELECT call, memory(call) FROM unnest(ARRAY[
    '16777216', $$'16MB'$$, $$'1GB'::text$$, '5000000000', '2e6', '3000::smallint',
    '4000000::float8', $$'2 MB'::varchar$$, $$'12345'$$, '1.5 * 1024 * 1024',
    'NULL', 'NULL::text', '0', '-1', $$'-1MB'$$, $$'MB'$$, $$''$$, $$'10 elephants'$$, 'true',
    $$'100 PB'$$, $$'99999999999999999999'$$, 'ARRAY[1]']) call;
PREPARE typed(text) AS SELECT cache_namespace('full', max_memory => $1);
EXECUTE typed('1MB');
SELECT mem FROM shown WHERE name = 'full';

-- wrong settings: nothing is changed, nothing made
SELECT says($$SELECT cache_namespace('wrong', $$ || a || ')') FROM unnest(ARRAY[
    $$ttl => '-1 s'$$, $$max_age => '-1 day'$$, $$grace => '-00:00:00.001'$$,
    $$ttl => '1 mon -31 days'$$, $$ttl => '200000000 years'$$,
    $$writes => 'maybe'$$, $$writes => ''$$, $$writes => 'SYNC'$$,
    $$on_split => 'newest'$$, $$on_split => ''$$, $$on_split => 'merge'$$]) a;
SELECT says($$SELECT cache_namespace('full', ttl => '1 h', grace => '-1 h')$$);
SELECT count(*) FROM shown WHERE name = 'wrong' OR (name = 'full' AND ttl IS NOT NULL);
SELECT count(says(format('SELECT cache_namespace(''plain'', on_split => %L)', w))),
       (SELECT on_split FROM shown WHERE name = 'plain')
FROM unnest(ARRAY['latest', 'oldest_island', 'largest_island', 'longest_ttl', 'manual']) w;
SELECT on_split FROM shown WHERE name = 'plain';

-- a name has 1 to 63 bytes, of any kind
SELECT says($$SELECT cache_namespace('')$$);
SELECT says($$SELECT cache_namespace(NULL)$$);
SELECT says(format('SELECT cache_namespace(%L)', repeat('x', 64)));
SELECT says(format('SELECT cache_namespace(%L)', repeat('ä', 32)));
SELECT says(format('SELECT cache_namespace(%L)', repeat('x', 1000000)));
SELECT says(format('SELECT cache_namespace(%L)', n)) FROM unnest(ARRAY[
    repeat('y', 63), repeat('ä', 31), ' ', E'a\tb', 'it''s', 'h', 'n']) n;
SELECT cache_put('k', 'in 63', namespace => repeat('y', 63)),
       cache_put('k', 'in quote', namespace => 'it''s'),
       cache_put('k', 'in h', namespace => 'h');
SELECT cache_get('k', repeat('y', 63)), cache_get('k', 'it''s'), cache_get('k', 'h'), cache_get('k', 'n');
SELECT count(says(format('SELECT cache_drop_namespace(%L)', n))) FROM unnest(ARRAY[
    repeat('y', 63), repeat('ä', 31), ' ', E'a\tb', 'it''s', 'h', 'n']) n;

-- an unknown namespace is an error with a hint, in every function
SELECT says(call) FROM unnest(ARRAY[
    $$SELECT cache_put('k', 'v', namespace => 'nowhere')$$,
    $$SELECT cache_get('k', 'nowhere')$$,
    $$SELECT cache_count('nowhere')$$,
    $$SELECT cache_drop_namespace('nowhere')$$,
    $$SELECT cache_grant('nowhere', 'public', 'read')$$,
    $$SELECT cache_revoke('nowhere', 'public', 'read')$$,
    $$SELECT cache_drop_namespace(NULL)$$]) call;

SELECT cache_namespace('same');
-- at once and for good, whatever becomes of the transaction
BEGIN;
SELECT cache_namespace('rolled', ttl => '1 h');
SELECT cache_put('k', 'v', namespace => 'rolled');
ROLLBACK;
SELECT ttl FROM shown WHERE name = 'rolled';
SELECT cache_get('k', 'rolled');

-- legal in READ ONLY transactions
BEGIN READ ONLY;
SELECT cache_namespace('ro', ttl => '1 h');
SELECT cache_grant('ro', 'public', 'read');
SELECT cache_revoke('ro', 'public', 'read');
SELECT ttl, priv FROM shown WHERE name = 'ro';
SELECT cache_drop_namespace('ro');
COMMIT;
SELECT count(*) FROM shown WHERE name = 'ro';

-- what the settings do
SELECT cache_namespace('t', ttl => '1 h');
SELECT cache_put('k', 'v', namespace => 't'), cache_put('own', 'v', ttl => '2 h', namespace => 't');
SELECT cache_ttl('k', 't') BETWEEN '59 min' AND '1 h', cache_ttl('own', 't') > '1 h';
SELECT cache_namespace('t', ttl => '0', require_ttl => true);
SELECT says($$SELECT cache_put('k2', 'v', namespace => 't')$$);
SELECT cache_put('k2', 'v', ttl => '1 min', namespace => 't'), cache_get('k', 't');
SELECT says($$SELECT cache_put('k3', 'v', keep_ttl => true, namespace => 't')$$);
SELECT cache_put('k2', 'w', keep_ttl => true, if_present => true, namespace => 't'),
       cache_put('k3', 'w', ttl => '1 min', keep_ttl => true, namespace => 't');
SELECT says($$SELECT cache_touch('k2', NULL, 't')$$);
SELECT says($$SELECT cache_persist('k2', 't')$$);
SELECT count(*), count(expires_at) FROM cache_entries('k_', 't');
-- a touch without a ttl takes the default too
SELECT cache_namespace('t', ttl => '1 h');
SELECT cache_touch('k2', NULL, 't'), cache_ttl('k2', 't') > '59 min' AS touched;

-- dropping removes the entries too, and a namespace declared again is empty
SELECT cache_drop_namespace('t');
SELECT says($$SELECT cache_get('k', 't')$$);
SELECT says($$SELECT cache_drop_namespace('t')$$);
SELECT cache_namespace('t');
SELECT cache_get('k', 't'), cache_count('t');
SELECT * FROM shown WHERE name = 't';
SELECT cache_put('k', 'new life', namespace => 't');
SELECT cache_get('k', 't');
SELECT says($$SELECT cache_drop_namespace('default')$$);
-- replicate is free again
SELECT cache_drop_namespace('full');
SELECT cache_namespace('full', replicate => true);
SELECT repl, mem FROM shown WHERE name = 'full';

-- what a transaction put before its namespace was dropped does not come back
SELECT cache_namespace('late');
BEGIN;
SELECT cache_put('k', 'late', namespace => 'late');
SELECT cache_drop_namespace('late');
COMMIT;
SELECT cache_namespace('late');
SELECT cache_get('k', 'late');

-- "default" takes settings as others do
SELECT cache_namespace('default', ttl => '1 h');
SELECT cache_put('d', 'v'), ttl FROM shown WHERE name = 'default';
SELECT cache_ttl('d') <= '1 h';
SELECT cache_namespace('default', ttl => '0');
SELECT cache_put('d', 'v');
SELECT cache_ttl('d');
SELECT says($$SELECT cache_namespace('default', replicate => false)$$);

-- the same key in two namespaces or two databases never meets
SELECT cache_put('k', 'of plain', namespace => 'plain'), cache_put('k', 'of default');
SELECT cache_get('k', 'plain'), cache_get('k'), cache_get('k', 'same');
SELECT cache_delete('k');
SELECT cache_get('k', 'plain'), cache_get('k');
SELECT current_database() AS here \gset
CREATE DATABASE regress_other TEMPLATE template0;
\c regress_other
SET client_min_messages = warning;
CREATE EXTENSION cachecluster;
SELECT cache_get('k');
SELECT cache_get('k', 'plain');
SELECT cache_namespace('plain', ttl => '10 s');
SELECT cache_get('k', 'plain'), cache_count('plain');
SELECT cache_put('k', 'of the other', namespace => 'plain'), cache_put('k', 'of the other''s default');
SELECT cache_put('secret', 's', namespace => 'plain');
SELECT database, name, ttl FROM cache_namespaces WHERE name = 'plain' ORDER BY database COLLATE "C";
\c :here
SELECT cache_get('k', 'plain'), cache_get('k'), cache_has('secret', 'plain');
SELECT count(*) FROM cache_entries('%', 'plain');
SELECT cache_get('k', 'plain');

-- DROP DATABASE takes its namespaces with it
DROP DATABASE regress_other;
SELECT count(*) FROM cache_namespaces WHERE database = 'regress_other';
CREATE DATABASE regress_other TEMPLATE template0;
\c regress_other
SET client_min_messages = warning;
CREATE EXTENSION cachecluster;
SELECT cache_get('k');
SELECT cache_get('k', 'plain');
SELECT cache_namespace('plain');
SELECT cache_get('k', 'plain'), cache_get('secret', 'plain');

-- ALTER DATABASE RENAME takes the declarations along, not the entries
SELECT cache_namespace('renamed', ttl => '77 s');
SELECT cache_grant('renamed', 'public', 'read');
SELECT cache_put('k', 'v', namespace => 'renamed');
\c :here
SELECT cache_get('k', 'plain');
BEGIN;
ALTER DATABASE regress_other RENAME TO regress_new;
ROLLBACK;
SELECT database, name, ttl FROM cache_namespaces WHERE name = 'renamed';
ALTER DATABASE regress_other RENAME TO regress_new;
ALTER DATABASE regress_new CONNECTION LIMIT 5;
SELECT database, name, ttl, privileges FROM cache_namespaces WHERE name = 'renamed';
\c regress_new
SELECT cache_get('k', 'renamed');
SELECT cache_put('k', 'v', namespace => 'renamed');
SELECT cache_get('k', 'renamed'), cache_ttl('k', 'renamed') <= '77 s';
\c :here
ALTER DATABASE regress_new RENAME TO regress_other;
SELECT database, name, ttl, privileges FROM cache_namespaces WHERE name = 'renamed';
\c regress_other
SELECT cache_get('k', 'renamed');
\c :here
DROP DATABASE regress_other;
SELECT count(*) FROM cache_namespaces WHERE database LIKE 'regress!_%' ESCAPE '!';

-- all that was made here goes
SELECT count(cache_drop_namespace(name)) FROM shown WHERE name <> 'default';
SELECT * FROM shown;
DROP VIEW shown;
DROP FUNCTION says, memory;
