-- Statistics by namespace, and their reset.
SELECT cache_wait_ready('60 s');
SELECT current_database() AS db \gset
SELECT pg_stat_cachecluster_reset();
SELECT stats_reset AS before FROM pg_stat_cachecluster \gset

-- a hit counts once, in the node's counters and in those of its namespace
SELECT cache_put('ns:1', 'v') AS put, cache_get('ns:1') AS hit, cache_get('ns:nothing') AS miss;
SELECT n.hits, n.misses, n.hits = s.hits AND n.misses = s.misses AND n.puts = s.puts AS same
FROM pg_stat_cachecluster_namespaces n, pg_stat_cachecluster s
WHERE n.database = :'db' AND n.namespace = 'default';
SELECT count(cache_get('ns:1')) FROM generate_series(1, 1000);
SELECT hits, misses, conflicts FROM pg_stat_cachecluster_namespaces
WHERE database = :'db' AND namespace = 'default';

-- other processes count too
\c
SELECT cache_get('ns:1');
SELECT hits, misses FROM pg_stat_cachecluster_namespaces
WHERE database = :'db' AND namespace = 'default';

-- the system's own namespace is not shown, and no row comes twice
SELECT count(*) FROM pg_stat_cachecluster_namespaces WHERE database = '' OR namespace = '';
SELECT count(*) FROM (SELECT FROM pg_stat_cachecluster_namespaces
                      GROUP BY database, namespace HAVING count(*) > 1) twice;

-- a reset zeroes both, and says when it was
SELECT pg_stat_cachecluster_reset();
SELECT hits, misses, puts, deletes, evictions, expirations FROM pg_stat_cachecluster_namespaces
WHERE database = :'db' AND namespace = 'default';
SELECT hits, misses, puts, deletes, rejected, evictions, expirations FROM pg_stat_cachecluster;
SELECT stats_reset > :'before' AS later FROM pg_stat_cachecluster;
SELECT cache_get('ns:1');
SELECT hits, misses FROM pg_stat_cachecluster_namespaces
WHERE database = :'db' AND namespace = 'default';

-- for those who may read statistics, and nobody else
CREATE ROLE stats_user;
CREATE ROLE stats_monitor;
GRANT pg_read_all_stats TO stats_monitor;
SET ROLE stats_user;
SELECT * FROM pg_stat_cachecluster_namespaces;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_stat_get_cachecluster_namespaces();
\echo :LAST_ERROR_SQLSTATE
SELECT pg_stat_cachecluster_reset();
\echo :LAST_ERROR_SQLSTATE
SET ROLE stats_monitor;
SELECT count(*) > 0 FROM pg_stat_cachecluster_namespaces;
SELECT pg_stat_cachecluster_reset();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
DROP ROLE stats_user;
DROP ROLE stats_monitor;

SELECT cache_delete('ns:1');
