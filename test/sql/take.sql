-- cache_take reads and deletes in one step.
SELECT cache_wait_ready('60 s');

SELECT cache_put('take:1', 'v');
SELECT cache_take('take:1'), cache_has('take:1'), cache_take('take:1');

-- what is not there is not deleted either: nothing counts and nothing is stored
SELECT tombstones AS t FROM pg_stat_cachecluster \gset
SELECT cache_take('take:never');
SELECT tombstones - :t AS tombstones FROM pg_stat_cachecluster;

-- types as cache_get
SELECT cache_put('take:2', '{"a": [1, null]}'::jsonb);
SELECT cache_take('take:2'), cache_has('take:2');
SELECT cache_incr('take:3', 41), cache_incr('take:3');
SELECT cache_take('take:3'), cache_has('take:3');
SELECT cache_incr('take:3');
SELECT cache_take('take:3');
SELECT cache_put('take:4', NULL::text);
SELECT cache_take('take:4') IS NULL, cache_has('take:4');
SELECT cache_put('take:4', '');
SELECT cache_take('take:4'), cache_has('take:4');
SELECT cache_put('take:5', repeat('x', 1000000));
SELECT length(cache_take('take:5')), cache_has('take:5');

-- a bytea stays where it is, unless it is NULL
SELECT cache_put('take:6', '\xc0ff'::bytea);
SELECT cache_take('take:6');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get_bytea('take:6');
SELECT cache_put('take:6', NULL::bytea);
SELECT cache_take('take:6') IS NULL, cache_has('take:6');

-- it acts at once: a rollback does not bring the value back
SELECT cache_put('take:7', 'v');
BEGIN;
SELECT cache_take('take:7');
ROLLBACK;
SELECT cache_has('take:7');
BEGIN READ ONLY;
SELECT cache_take('take:7');
COMMIT;

-- a hit and a delete, or a miss
SELECT cache_put('take:8', 'v');
SELECT hits AS h, misses AS m, deletes AS d FROM pg_stat_cachecluster \gset
SELECT cache_take('take:8'), cache_take('take:8');
SELECT hits - :h AS hits, misses - :m AS misses, deletes - :d AS deletes
FROM pg_stat_cachecluster;

-- what is in its grace is not there
SELECT cache_put('take:9', 'v', '1 ms', grace => '1 h');
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE cache_has('take:9') LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'the key is still there';
        END IF;
    END LOOP;
END $$;
SELECT cache_take('take:9');

-- errors
SELECT cache_take(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_take('');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_take('k', 'take_nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_take('k', NULL);
\echo :LAST_ERROR_SQLSTATE
