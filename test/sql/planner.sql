-- The getters are STABLE: one evaluation finds a row by index; and they are
-- right in parallel plans, where workers know nothing of what waits.
SELECT cache_wait_ready('60 s');
CREATE TABLE planner_t AS SELECT i AS id, 'k' || i % 10 AS key FROM generate_series(1, 20000) i;
ALTER TABLE planner_t ADD PRIMARY KEY (id);
VACUUM ANALYZE planner_t;
SELECT cache_put('planner:x', '4711');
SELECT pg_stat_cachecluster_reset();
EXPLAIN (COSTS OFF) SELECT * FROM planner_t WHERE id = cache_get('planner:x')::int;
SELECT * FROM planner_t WHERE id = cache_get('planner:x')::int;
-- one at planning for the estimate, one at execution
SELECT hits <= 4 AS few FROM pg_stat_cachecluster;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
BEGIN;
SELECT count(cache_put('k' || i, i::text)) FROM generate_series(0, 9) i;
EXPLAIN (COSTS OFF)
SELECT count(*) FROM planner_t WHERE cache_get(key) = '7' AND id % 2 = 1;
SELECT count(*) FROM planner_t WHERE cache_get(key) = '7' AND id % 2 = 1;
EXPLAIN (COSTS OFF)
SELECT count(*), max(cache_get('k7')) FROM planner_t WHERE id % 2 = 1;
SELECT count(*), max(cache_get('k7')) FROM planner_t WHERE id % 2 = 1;
-- who writes is not run in parallel at all
EXPLAIN (COSTS OFF)
SELECT count(cache_put(key, 'x')) FROM planner_t WHERE id % 2 = 1;
ROLLBACK;
SELECT count(*) FROM planner_t WHERE cache_get(key) = '7' AND id % 2 = 1;
SET force_parallel_mode = on;
SELECT cache_get('planner:x');
DROP TABLE planner_t;
SELECT cache_delete('planner:x');
