-- Events: what happened to the cache of this node, read by position.
SELECT cache_wait_ready('60 s');

-- ids have no gaps, and times do not go back
SELECT count(*) > 0 AS some, count(*) = max(id) - min(id) + 1 AS gapless,
       bool_and(at <= clock_timestamp()) AS past
FROM cache_events;
SELECT count(*) FROM (SELECT at < lag(at) OVER (ORDER BY id) AS back FROM cache_events) e
WHERE back;

-- every detail is an object or missing
SELECT count(*) FROM cache_events WHERE jsonb_typeof(detail) <> 'object';

-- read by position: what comes after the last one that was seen
SELECT max(id) AS seen FROM cache_events \gset
SELECT count(*) FROM cache_events WHERE id > :seen;
SELECT count(*) FROM cache_events WHERE id > 9223372036854775806;

SELECT count(*) <= 1024
FROM (SELECT id, at, kind, node, detail FROM cache_events WHERE id > 42 ORDER BY id) newer;

-- reading and writing entries is no event
SELECT cache_put('event:1', 'v'), cache_get('event:1'), cache_delete('event:1');
SELECT count(*) FROM cache_events WHERE id > :seen;

-- a clear is one, when it takes effect
BEGIN;
SELECT cache_clear();
SELECT count(*) FROM cache_events WHERE id > :seen;
ROLLBACK;
SELECT count(*) FROM cache_events WHERE id > :seen;
BEGIN;
SELECT cache_clear();
COMMIT;
SELECT kind, node = (SELECT node_name FROM cache_status()) AS this_node,
       detail = jsonb_build_object('database', current_database(), 'namespace', 'default') AS detail
FROM cache_events WHERE id > :seen;

-- so is what is said of a namespace, but not what was said before
SELECT max(id) AS seen FROM cache_events \gset
SELECT cache_namespace('odd "name" \ é');
SELECT cache_namespace('odd "name" \ é', ttl => '1 h');
SELECT cache_namespace('odd "name" \ é', ttl => '1 h');
SELECT cache_drop_namespace('odd "name" \ é');
SELECT cache_namespace(repeat('"', 63));
SELECT cache_drop_namespace(repeat('"', 63));
SELECT kind, detail->>'what' AS what, detail->>'namespace' AS namespace
FROM cache_events WHERE id > :seen ORDER BY id;

-- those who may read statistics see it, nobody else, and nobody writes it
CREATE ROLE events_user;
CREATE ROLE events_monitor;
GRANT pg_read_all_stats TO events_monitor;
SET ROLE events_user;
SELECT * FROM cache_events;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_stat_get_cachecluster_events();
\echo :LAST_ERROR_SQLSTATE
SET ROLE events_monitor;
SELECT count(*) > 0 FROM cache_events;
BEGIN READ ONLY;
SELECT count(*) > 0 FROM cache_events;
COMMIT;
INSERT INTO cache_events (kind) VALUES ('forged');
RESET ROLE;
DROP ROLE events_user;
DROP ROLE events_monitor;
