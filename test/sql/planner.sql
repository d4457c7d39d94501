-- A read is stable: called once for an index scan.
SELECT cache_wait_ready('60 s');
CREATE TABLE planner_test AS SELECT i AS id, i::text AS k FROM generate_series(1, 10000) i;
CREATE UNIQUE INDEX ON planner_test (k);
ANALYZE planner_test;
SELECT cache_put('planner:1', '42');

SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM planner_test WHERE k = cache_get('planner:1');
SELECT id FROM planner_test WHERE k = cache_get('planner:1');

-- in a plan that is kept it is read anew
PREPARE q AS SELECT cache_get('planner:1');
EXECUTE q;
SELECT cache_put('planner:1', '43');
EXECUTE q;
DEALLOCATE q;

-- a write in a read-only transaction is fine, as on a standby
BEGIN READ ONLY;
SELECT cache_put('planner:1', '44');
SELECT cache_get('planner:1');
COMMIT;

-- in PL/pgSQL
DO $$
DECLARE
    v text;
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM cache_put('planner:' || i % 10, i::text);
        v := cache_get('planner:' || i % 10);
        IF v IS DISTINCT FROM i::text THEN
            RAISE 'read % instead of %', v, i;
        END IF;
    END LOOP;
END
$$;

SELECT count(cache_delete(k)) FROM cache_keys('planner:%') k;
DROP TABLE planner_test;
