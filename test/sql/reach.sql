-- Splits: a node that was never alone has none to tell of.
SELECT cache_wait_ready('60 s');
SELECT * FROM cache_splits;

SELECT attname, format_type(atttypid, NULL) AS type
FROM pg_attribute WHERE attrelid = 'cache_splits'::regclass AND attnum > 0
ORDER BY attnum;

-- those who may read statistics see it, nobody else, and nobody writes it
CREATE ROLE splits_user;
CREATE ROLE splits_monitor;
GRANT pg_read_all_stats TO splits_monitor;
SET ROLE splits_user;
SELECT * FROM cache_splits;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_stat_get_cachecluster_splits();
\echo :LAST_ERROR_SQLSTATE
SET ROLE splits_monitor;
SELECT count(*) FROM cache_splits;
BEGIN READ ONLY;
SELECT count(*) FROM cache_splits;
COMMIT;
DELETE FROM cache_splits;
RESET ROLE;
DROP ROLE splits_user;
DROP ROLE splits_monitor;
