-- What a node says of itself: status, statistics, peers.
SELECT cache_wait_ready('60 s');
SELECT cache_wait_ready('0'), cache_wait_ready('-1 s');

SELECT node_id ~ '^[0-9a-f]{32}$' AS node_id, node_name <> '' AS node_name,
       phase, members, reachable, conflicts_pending, last_error
FROM cache_status();

-- alone it has converged at once
SELECT cache_wait_converged('0');
SELECT cache_wait_converged('10 s');
SELECT count(*) FROM pg_stat_cachecluster_peers;

-- the counters
SELECT pg_stat_cachecluster_reset();
SELECT hits, misses, puts, deletes, rejected, evictions FROM pg_stat_cachecluster;
SELECT cache_put('stat:1', 'v'), cache_put('stat:2', 'v'), cache_put('stat:3', 'v', '0'),
       cache_put('stat:1', 'v', if_absent => true), cache_incr('stat:4');
SELECT cache_get('stat:1'), cache_get('stat:nothing'), cache_get_jsonb('stat:4'),
       cache_has('stat:nothing');
SELECT cache_delete('stat:1'), cache_delete('stat:1');
SELECT cache_put('stat:5', repeat('v', 1024 * 1024 + 1));
SELECT hits, misses, puts, deletes, rejected FROM pg_stat_cachecluster;
SELECT pg_stat_cachecluster_reset();
SELECT hits, misses, puts, deletes, rejected FROM pg_stat_cachecluster;
SELECT stats_reset BETWEEN now() - interval '1 min' AND now() + interval '1 s',
       started_at <= stats_reset, load_ms >= 0, expiration_lag >= '0'
FROM pg_stat_cachecluster;

-- waits until the sweep has freed what is over, and nothing changes any more
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE EXISTS (SELECT FROM pg_stat_cachecluster
                  WHERE tombstones > 0 OR entries <> cache_count()) LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'what is over is not freed';
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;

-- what is held
SELECT entries AS e, bytes_used AS b FROM pg_stat_cachecluster \gset
SELECT cache_put('stat:6', repeat('v', 100000));
SELECT entries - :e, bytes_used - :b BETWEEN 100000 AND 110000, bytes_used < bytes_total
FROM pg_stat_cachecluster;
SELECT cache_delete('stat:6');
-- waits until the sweep has freed what is over, and nothing changes any more
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE EXISTS (SELECT FROM pg_stat_cachecluster
                  WHERE tombstones > 0 OR entries <> cache_count()) LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'what is over is not freed';
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
SELECT entries - :e, bytes_used - :b FROM pg_stat_cachecluster;

-- within the setting
SELECT bytes_total BETWEEN 0.8 * m AND m
FROM pg_stat_cachecluster,
     (SELECT pg_size_bytes(current_setting('cachecluster.memory')) AS m) s;

SELECT count(cache_delete(k)) FROM cache_keys('stat:%') k;
