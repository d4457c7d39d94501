-- Deciding conflicts by hand: what is refused, who may, and what there is to
-- see where nothing is in conflict.
SELECT cache_wait_ready('60 s');
SET client_min_messages = warning;

-- nothing is pending
SELECT cache_namespace('heal manual', on_split => 'manual'),
       cache_namespace('heal oldest', on_split => 'oldest_island');
SELECT cache_put('k', 'v', namespace => 'heal manual', immediate => true);
SELECT cache_heal() AS all, cache_heal('heal manual') AS one,
       cache_heal('default') AS latest, cache_heal('heal manual', NULL) AS nobody;
SELECT cache_resolve('k', 'ours', namespace => 'heal manual') AS plain,
       cache_resolve('nothing', 'delete', namespace => 'heal manual') AS none,
       cache_resolve('k', 'write', 'w') AS elsewhere;
SELECT cache_get('k', 'heal manual');
SELECT count(*) FROM cache_conflicts;
SELECT conflicts_pending FROM cache_status();
SELECT conflicts_pending FROM pg_stat_cachecluster;
SELECT conflicts FROM pg_stat_cachecluster_namespaces
WHERE database = current_database() AND namespace = 'heal manual';
SELECT cache_wait_converged('10 s');

-- this node can be named as winner, by name or id
SELECT cache_heal('heal manual', node_name), cache_heal(winner => upper(node_id))
FROM cache_status();

-- what cannot be
CREATE FUNCTION heal_error(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; hint text;
BEGIN
    EXECUTE query;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', state, message, nullif(hint, ''));
END $$;
SELECT heal_error(q) FROM (VALUES
    ($$SELECT cache_heal('heal nowhere')$$),
    ($$SELECT cache_heal('heal manual', 'node_nowhere')$$),
    ($$SELECT cache_heal(winner => '')$$),
    ($$SELECT cache_resolve(NULL, 'ours')$$),
    ($$SELECT cache_resolve('', 'ours')$$),
    ($$SELECT cache_resolve('k', NULL)$$),
    ($$SELECT cache_resolve('k', 'mine')$$),
    ($$SELECT cache_resolve('k', 'OURS')$$),
    ($$SELECT cache_resolve('k', 'ours', 'a value')$$),
    ($$SELECT cache_resolve('k', 'delete', 'a value')$$),
    ($$SELECT cache_resolve('k', 'ours', namespace => NULL)$$),
    ($$SELECT cache_resolve('k', 'ours', namespace => 'heal nowhere')$$),
    ($$SELECT cache_resolve(repeat('k', 1025), 'ours')$$)
) AS v(q);

-- neither needs a transaction that may write
BEGIN READ ONLY;
SELECT cache_heal('heal manual'), cache_resolve('k', 'ours', namespace => 'heal manual');
COMMIT;

-- privileges: a conflict is decided by who may write, all of them by the owner
CREATE ROLE regress_heal_reader;
CREATE ROLE regress_heal_writer;
CREATE ROLE regress_heal_owner;
SET ROLE regress_heal_owner;
SELECT cache_namespace('heal owned', on_split => 'manual');
SELECT cache_grant('heal owned', 'regress_heal_reader', 'read'),
       cache_grant('heal owned', 'regress_heal_writer', 'write');
SELECT cache_heal('heal owned'), cache_heal(), cache_resolve('k', 'ours', namespace => 'heal owned');
SELECT heal_error($$SELECT cache_heal('heal manual')$$);
SELECT heal_error($$SELECT cache_heal('default')$$);
SET ROLE regress_heal_reader;
SELECT count(*) FROM cache_conflicts;
SELECT cache_heal() AS of_none;
SELECT heal_error($$SELECT cache_heal('heal owned')$$);
SELECT heal_error($$SELECT cache_resolve('k', 'ours', namespace => 'heal owned')$$);
SELECT heal_error($$SELECT cache_resolve('k', 'ours', namespace => 'heal manual')$$);
SET ROLE regress_heal_writer;
SELECT cache_resolve('k', 'ours', namespace => 'heal owned');
SELECT heal_error($$SELECT cache_heal('heal owned', 'any')$$);
RESET ROLE;

-- the contract of the view
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = 'cache_conflicts'::regclass AND attnum > 0 ORDER BY attnum;

SELECT cache_drop_namespace(n) FROM unnest(ARRAY['heal manual', 'heal oldest', 'heal owned']) AS n;
DROP FUNCTION heal_error;
DROP ROLE regress_heal_reader, regress_heal_writer, regress_heal_owner;
