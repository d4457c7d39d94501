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

-- two namespaces count apart; one that is declared is shown, empty as it is
SELECT cache_namespace('stats a'), cache_namespace('stats b', max_memory => '1MB');
CREATE VIEW stats AS
SELECT namespace, entries, bytes > 0 AS bytes, hits, misses, puts, deletes,
       evictions > 0 AS evictions, expirations, conflicts
FROM pg_stat_cachecluster_namespaces
WHERE database = current_database() AND namespace LIKE 'stats _' ORDER BY namespace;
SELECT * FROM stats;
SELECT cache_put('k', 'a', namespace => 'stats a'), cache_put('k', 'b', namespace => 'stats b');
SELECT cache_get('k', 'stats a'), cache_get('k', 'stats b'), cache_get('k'),
       cache_get('nothing', 'stats b');
SELECT cache_delete('k', 'stats a'), cache_delete('k', 'stats a');
SELECT * FROM stats;

-- what rolls back was no put; a read of it was a read
BEGIN;
SELECT cache_put('k', 'v', namespace => 'stats a');
SELECT cache_get('k', 'stats a');
ROLLBACK;
SELECT * FROM stats;

-- what went for want of memory counts where it was
SELECT count(cache_put('k' || i, repeat('x', 1000), namespace => 'stats b', immediate => true))
FROM generate_series(1, 3000) AS i;
SELECT namespace, bytes, hits, misses, puts, deletes, evictions FROM stats
WHERE namespace = 'stats b';
SELECT bytes <= pg_size_bytes('1MB') AS bounded, entries + evictions = puts AS complete
FROM pg_stat_cachecluster_namespaces
WHERE database = :'db' AND namespace = 'stats b';

-- more of them than a process has places for; the sums are the node's
SELECT count(*) FROM (SELECT cache_namespace('stat many ' || i) FROM generate_series(1, 20) AS i) n;
SELECT count(cache_put('k', 'v', namespace => 'stat many ' || i)),
       count(cache_get('k' || j, 'stat many ' || i))
FROM generate_series(1, 5) AS j, generate_series(1, 20) AS i;
SELECT count(*), sum(puts), sum(misses), min(puts), max(puts)
FROM pg_stat_cachecluster_namespaces
WHERE database = :'db' AND namespace LIKE 'stat many %';
SELECT sum(n.hits) = min(s.hits) AS hits, sum(n.misses) = min(s.misses) AS misses,
       sum(n.puts) = min(s.puts) AS puts, sum(n.deletes) = min(s.deletes) AS deletes
FROM pg_stat_cachecluster_namespaces n, pg_stat_cachecluster s;

-- what is over counts where it was; and a namespace that is dropped is not shown
-- any more when it holds nothing
SELECT cache_put('over', 'v', '1 ms', namespace => 'stats a', immediate => true);
SELECT count(*) FROM (SELECT cache_drop_namespace('stat many ' || i) FROM generate_series(1, 20) AS i) n;
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE NOT EXISTS (SELECT FROM stats WHERE namespace = 'stats a' AND expirations = 1)
       OR EXISTS (SELECT FROM pg_stat_cachecluster_namespaces
                  WHERE database = current_database() AND namespace LIKE 'stat many %') LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'what is over or dropped is not freed';
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
SELECT namespace, hits, misses, puts, deletes, expirations FROM stats;
SELECT cache_drop_namespace('stats a'), cache_drop_namespace('stats b');
DROP VIEW stats;

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
