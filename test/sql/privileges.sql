-- Everybody may use the data functions, nobody those of the group.
SELECT cache_wait_ready('60 s');
CREATE ROLE cache_user;
CREATE ROLE cache_monitor;
CREATE ROLE cache_peer;
GRANT pg_read_all_stats TO cache_monitor;
GRANT EXECUTE ON FUNCTION cachecluster_hello(bytea), cachecluster_apply(bytea) TO cache_peer;

SET ROLE cache_user;
SELECT cache_put('priv:1', 'v'), cache_get('priv:1'), cache_has('priv:1'),
       cache_touch('priv:1', '1 h'), cache_persist('priv:1'), cache_ttl('priv:1');
SELECT key FROM cache_entries('priv:%');
SELECT * FROM cache_keys('priv:%');
SELECT cache_incr('priv:2'), cache_delete('priv:2'), cache_count() > 0;

SELECT * FROM cache_status();
\echo :LAST_ERROR_SQLSTATE
SELECT cache_wait_ready('1 s');
SELECT cache_wait_converged('1 s');
SELECT cache_join('host=127.0.0.1 port=1');
SELECT cache_forget('x');
SELECT cachecluster_hello('');
SELECT cachecluster_apply('');
SELECT * FROM pg_stat_cachecluster;
SELECT * FROM pg_stat_cachecluster_peers;
SELECT * FROM pg_stat_get_cachecluster();
SELECT pg_stat_cachecluster_reset();

-- statistics follow pg_read_all_stats
SET ROLE cache_monitor;
SELECT phase FROM cache_status();
SELECT cache_wait_ready('1 s'), cache_wait_converged('10 s');
SELECT entries > 0 FROM pg_stat_cachecluster;
SELECT count(*) FROM pg_stat_cachecluster_peers;
SELECT cache_join('host=127.0.0.1 port=1');
SELECT pg_stat_cachecluster_reset();

-- a peer sends what it likes: the answer is a refusal, not an error
SET ROLE cache_peer;
SELECT length(cachecluster_hello('rubbish')) > 0;
SELECT length(cachecluster_hello('')) > 0;
SELECT length(cachecluster_apply('')) > 0;
SELECT length(cachecluster_apply(decode(repeat('43435031', 1000), 'hex'))) > 0;
RESET ROLE;
SELECT phase FROM cache_status();

SELECT cache_get('priv:1');
SELECT cache_delete('priv:1');
REVOKE EXECUTE ON FUNCTION cachecluster_hello(bytea), cachecluster_apply(bytea) FROM cache_peer;
DROP ROLE cache_user;
DROP ROLE cache_monitor;
DROP ROLE cache_peer;

--
-- Privileges on namespaces
--
CREATE ROLE cache_owner;
CREATE ROLE cache_reader;
CREATE ROLE cache_writer;
CREATE ROLE cache_member IN ROLE cache_reader;
CREATE ROLE cache_stranger;
CREATE ROLE cache_stats IN ROLE pg_read_all_stats;
-- what a role is told: "ok", or SQLSTATE, message and hint
CREATE FUNCTION says(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement;
    RESET ROLE;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(hint, ''));
END $$;
-- who may do what
CREATE VIEW rights AS
    SELECT r AS role,
           says(r, $$SELECT cache_get('k', 'mine')$$) = 'ok' AS read,
           says(r, $$SELECT cache_put('w', 'v', namespace => 'mine', immediate => true)$$) = 'ok' AS write,
           says(r, $$SELECT cache_namespace('mine')$$) = 'ok' AS owns
    FROM unnest(ARRAY['cache_owner', 'cache_reader', 'cache_writer', 'cache_member', 'cache_stranger']) r;
\pset format unaligned

-- to create one takes CREATE or TEMPORARY on the database, which PUBLIC has
SELECT current_database() AS db \gset
SELECT says('cache_owner', $$SELECT cache_namespace('mine', ttl => '1 h')$$);
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';
REVOKE TEMPORARY ON DATABASE :"db" FROM PUBLIC;
SELECT says('cache_stranger', $$SELECT cache_namespace('other')$$);
SELECT says('cache_owner', $$SELECT cache_namespace('mine', ttl => '2 h')$$);
GRANT CREATE ON DATABASE :"db" TO cache_stranger;
SELECT says('cache_stranger', $$SELECT cache_namespace('other')$$);
REVOKE CREATE ON DATABASE :"db" FROM cache_stranger;
GRANT TEMPORARY ON DATABASE :"db" TO PUBLIC;

-- the owner may do everything, nobody else anything; a superuser always
SELECT * FROM rights;
SELECT cache_put('k', 'v', namespace => 'mine');
SELECT says('cache_stranger', $$SELECT cache_get('k', 'mine')$$);
SELECT says('cache_stranger', $$SELECT cache_put('k', 'v', namespace => 'mine')$$);
SELECT says('cache_stranger', $$SELECT cache_namespace('mine', ttl => '9 h')$$);
SELECT says('cache_stranger', $$SELECT cache_drop_namespace('mine')$$);
SELECT says('cache_stranger', $$SELECT cache_grant('mine', 'cache_stranger', 'all')$$);
SELECT says('cache_stranger', $$SELECT cache_revoke('mine', 'cache_owner', 'all')$$);

-- the privilege to read, and to write, and what is neither
SELECT call, says('cache_stranger', format(call, 'mine')) FROM unnest(ARRAY[
    $$SELECT cache_get_jsonb('k', %L)$$, $$SELECT cache_get_bytea('k', %L)$$,
    $$SELECT cache_entry('k', %L)$$, $$SELECT cache_has('k', %L)$$, $$SELECT cache_ttl('k', %L)$$,
    $$SELECT cache_count(%L)$$, $$SELECT cache_keys('%%', %L)$$, $$SELECT cache_entries('%%', %L)$$,
    $$SELECT cache_put('k', '1'::jsonb, namespace => %L)$$,
    $$SELECT cache_put('k', '1'::bytea, namespace => %L)$$,
    $$SELECT cache_delete('k', %L)$$, $$SELECT cache_touch('k', '1 h', %L)$$,
    $$SELECT cache_persist('k', %L)$$, $$SELECT cache_incr('n', namespace => %L)$$,
    $$SELECT cache_put_many(ARRAY['k'], ARRAY['v'], namespace => %L)$$,
    $$SELECT cache_put_many(ARRAY[]::text[], ARRAY[]::text[], namespace => %L)$$,
    $$SELECT * FROM cache_get_many(ARRAY['k'], %L)$$, $$SELECT cache_delete_many(ARRAY['k'], %L)$$,
    $$SELECT cache_delete_like('k', %L)$$, $$SELECT cache_clear(%L)$$]) call;

-- grants: to a role, its members, several at once, again
SELECT says('cache_owner', $$SELECT cache_grant('mine', 'cache_reader', 'read')$$);
SELECT says('cache_owner', $$SELECT cache_grant('mine', 'cache_writer', 'WRITE')$$);
SELECT * FROM rights;
SELECT says('cache_writer', $$SELECT cache_get('k', 'mine')$$);
SELECT says('cache_writer', $$SELECT cache_incr('n', namespace => 'mine')$$);
SELECT says('cache_reader', $$SELECT cache_incr('n', namespace => 'mine')$$);
SELECT cache_grant('mine', 'cache_writer', ' read , write'), cache_grant('mine', 'cache_writer', 'all');
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';
SELECT cache_grant('mine', 'public', 'read');
SELECT * FROM rights;
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';

-- revokes: what was not granted is no error, the owner keeps his
SELECT cache_revoke('mine', 'public', 'all'), cache_revoke('mine', 'cache_writer', 'read'),
       cache_revoke('mine', 'cache_stranger', 'read'), cache_revoke('mine', 'cache_owner', 'all');
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';
SELECT * FROM rights;

-- a change of membership counts at once
GRANT cache_writer TO cache_stranger;
SELECT * FROM rights WHERE role = 'cache_stranger';
REVOKE cache_writer FROM cache_stranger;
GRANT cache_owner TO cache_stranger;
SELECT * FROM rights WHERE role = 'cache_stranger';
REVOKE cache_owner FROM cache_stranger;
SELECT * FROM rights WHERE role = 'cache_stranger';
ALTER ROLE cache_stranger SUPERUSER;
SELECT * FROM rights WHERE role = 'cache_stranger';
ALTER ROLE cache_stranger NOSUPERUSER;
SELECT * FROM rights WHERE role = 'cache_stranger';

-- wrong ones
SELECT says('cache_owner', $$SELECT cache_grant('mine', $$ || a || ')') FROM unnest(ARRAY[
    $$'cache_nobody', 'read'$$, $$'', 'read'$$, $$'cache_reader', ''$$, $$'cache_reader', 'read,'$$,
    $$'cache_reader', 'select'$$, $$'cache_reader', 'read write'$$,
    $$NULL, 'read'$$, $$'cache_reader', NULL$$]) a;
SELECT says('cache_owner', $$SELECT cache_revoke('mine', 'cache_nobody', 'read')$$);
SELECT says('cache_owner', $$SELECT cache_grant(NULL, 'cache_reader', 'read')$$);
SELECT says('cache_owner', $$SELECT cache_grant('mine', repeat('x', 70), 'read')$$);
-- at most so many
DO $$
BEGIN
    FOR i IN 1..70 LOOP
        EXECUTE format('CREATE ROLE cache_many%s', i);
    END LOOP;
END $$;
SELECT says('cache_owner', format($$SELECT cache_grant('mine', 'cache_many%s', 'read')$$, i))
FROM unnest(ARRAY[1]) i;
SELECT count(*) FROM generate_series(2, 62) i
WHERE says('cache_owner', format($$SELECT cache_grant('mine', 'cache_many%s', 'read')$$, i)) = 'ok';
SELECT says('cache_owner', $$SELECT cache_grant('mine', 'cache_many63', 'read')$$);
SELECT says('cache_many62', $$SELECT cache_get('k', 'mine')$$), says('cache_many63', $$SELECT cache_get('k', 'mine')$$);
DO $$
BEGIN
    FOR i IN 1..70 LOOP
        PERFORM cache_revoke('mine', 'cache_many' || i, 'all');
        EXECUTE format('DROP ROLE cache_many%s', i);
    END LOOP;
END $$;

-- the effective user counts: a SECURITY DEFINER function may more than its caller
CREATE FUNCTION read_mine(key text) RETURNS text LANGUAGE sql SECURITY DEFINER
AS $$SELECT cache_get(key, 'mine')$$;
ALTER FUNCTION read_mine(text) OWNER TO cache_reader;
CREATE FUNCTION write_mine(key text) RETURNS boolean LANGUAGE sql SECURITY DEFINER
AS $$SELECT cache_put(key, 'by function', namespace => 'mine')$$;
ALTER FUNCTION write_mine(text) OWNER TO cache_writer;
SET ROLE cache_stranger;
SELECT read_mine('k');
SELECT cache_get('k', 'mine');
SELECT write_mine('k');
SELECT read_mine('k');
-- and what it put was checked when it was put, not at the commit
BEGIN;
SELECT write_mine('k2');
COMMIT;
SELECT read_mine('k2');
RESET ROLE;
DROP FUNCTION read_mine, write_mine;

-- the view is for everybody, what a namespace holds for those who may read it
-- and for pg_read_all_stats
SELECT r, says(r, $$SELECT 1 / (entries IS NOT NULL AND bytes IS NOT NULL)::int
    FROM cache_namespaces WHERE name = 'mine'$$) = 'ok' AS sees
FROM unnest(ARRAY['cache_owner', 'cache_reader', 'cache_member', 'cache_stats', 'cache_writer', 'cache_stranger']) r;
SET ROLE cache_stranger;
SELECT name, owner, ttl, privileges, entries, bytes FROM cache_namespaces WHERE name = 'mine';
RESET ROLE;

-- "default" is everybody's, until its owner says otherwise
SELECT says('cache_stranger', $$SELECT cache_grant('default', 'cache_stranger', 'all')$$);
SELECT says('cache_stranger', $$SELECT cache_namespace('default', ttl => '1 h')$$);
SELECT cache_revoke('default', 'public', 'write');
SELECT says('cache_stranger', $$SELECT cache_put('k', 'v')$$);
SELECT says('cache_stranger', $$SELECT cache_get('k')$$);
SELECT cache_grant('default', 'cache_writer', 'all'), cache_revoke('default', 'public', 'read');
SELECT says('cache_stranger', $$SELECT cache_get('k')$$), says('cache_writer', $$SELECT cache_put('k', 'v')$$);
-- it goes with the database's owner
SELECT rolname AS me FROM pg_roles WHERE rolname = current_user \gset
ALTER DATABASE :"db" OWNER TO cache_owner;
SELECT owner FROM cache_namespaces WHERE name = 'default' AND database = :'db';
SELECT says('cache_owner', $$SELECT cache_grant('default', 'public', 'all')$$);
ALTER DATABASE :"db" OWNER TO :"me";
SELECT says('cache_owner', $$SELECT cache_grant('default', 'public', 'all')$$);
SELECT says('cache_stranger', $$SELECT cache_put('k', 'v')$$);
SELECT cache_revoke('default', 'cache_writer', 'all');

-- a dropped and re-created role gains nothing
DROP ROLE cache_writer;
CREATE ROLE cache_writer;
SELECT * FROM rights WHERE role = 'cache_writer';
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';
-- but what it is given: only that
SELECT cache_grant('mine', 'cache_writer', 'read');
SELECT * FROM rights WHERE role = 'cache_writer';
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';
-- a drop that is rolled back takes nothing
BEGIN;
DROP ROLE cache_reader;
ROLLBACK;
SELECT * FROM rights WHERE role = 'cache_reader';
BEGIN;
SAVEPOINT s;
DROP ROLE cache_reader;
ROLLBACK TO SAVEPOINT s;
COMMIT;
SELECT * FROM rights WHERE role = 'cache_reader';
-- one that nobody has asked for is no other
CREATE ROLE cache_asleep;
SELECT cache_grant('mine', 'cache_asleep', 'all');
DROP ROLE cache_asleep;
CREATE ROLE cache_asleep;
SELECT says('cache_asleep', $$SELECT cache_get('k', 'mine')$$);
DROP ROLE cache_asleep;
SELECT cache_revoke('mine', 'cache_asleep', 'all');
-- in one transaction
BEGIN;
DROP ROLE cache_reader;
CREATE ROLE cache_reader;
COMMIT;
SELECT * FROM rights WHERE role = 'cache_reader';
BEGIN;
DROP ROLE cache_reader;
CREATE ROLE cache_reader;
SELECT cache_grant('mine', 'cache_reader', 'write');
COMMIT;
SELECT * FROM rights WHERE role = 'cache_reader';
-- made and given rights in a transaction that is rolled back: the next one
-- gains nothing
BEGIN;
CREATE ROLE cache_never;
SELECT cache_grant('mine', 'cache_never', 'all');
ROLLBACK;
CREATE ROLE cache_never;
SELECT says('cache_never', $$SELECT cache_get('k', 'mine')$$);
SELECT cache_revoke('mine', 'cache_never', 'all');
DROP ROLE cache_never;
-- renamed, and another one under the old name
SELECT cache_grant('mine', 'cache_reader', 'all');
ALTER ROLE cache_reader RENAME TO cache_renamed;
SELECT says('cache_renamed', $$SELECT cache_get('k', 'mine')$$);
CREATE ROLE cache_reader;
SELECT * FROM rights WHERE role = 'cache_reader';
DROP ROLE cache_renamed;
-- a namespace is nothing that REASSIGN OWNED and DROP OWNED know of; an owner
-- who is renamed is its owner no more
CREATE ROLE cache_never;
SET ROLE cache_never;
SELECT cache_namespace('never');
RESET ROLE;
REASSIGN OWNED BY cache_never TO cache_writer;
DROP OWNED BY cache_never;
SELECT owner FROM cache_namespaces WHERE name = 'never';
SELECT says('cache_never', $$SELECT cache_count('never')$$);
ALTER ROLE cache_never RENAME TO cache_now;
SELECT says('cache_now', $$SELECT cache_count('never')$$);
SELECT cache_drop_namespace('never');
DROP ROLE cache_now;
-- who may make triggers on a table may invalidate what its owner may write
CREATE ROLE cache_never;
CREATE SCHEMA cache_never AUTHORIZATION cache_writer;
GRANT USAGE ON SCHEMA cache_never TO cache_never;
SET ROLE cache_writer;
SELECT cache_namespace('written');
SELECT cache_put('k', 'v', namespace => 'written');
CREATE TABLE cache_never.t (id int);
GRANT INSERT, TRIGGER ON cache_never.t TO cache_never;
SET ROLE cache_never;
CREATE TRIGGER k AFTER INSERT ON cache_never.t
    FOR EACH ROW EXECUTE FUNCTION cache_invalidate('written', 'k');
INSERT INTO cache_never.t VALUES (1);
RESET ROLE;
SELECT cache_has('k', 'written');
SELECT cache_drop_namespace('written');
DROP TABLE cache_never.t;
DROP SCHEMA cache_never;
DROP ROLE cache_never;
-- an owner too
DROP ROLE cache_owner;
SELECT owner, privileges FROM cache_namespaces WHERE name = 'mine';
CREATE ROLE cache_owner;
SELECT * FROM rights;
SELECT cache_drop_namespace('mine'), cache_drop_namespace('other');
SELECT says('cache_owner', $$SELECT cache_namespace('mine')$$);
SELECT * FROM rights;
SELECT cache_drop_namespace('mine');

DROP VIEW rights;
DROP FUNCTION says;
DROP ROLE cache_owner, cache_reader, cache_writer, cache_member, cache_stranger, cache_stats;
