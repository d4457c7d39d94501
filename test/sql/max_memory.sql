-- A namespace with max_memory stays within it, and evicts nobody else's.
SELECT cache_wait_ready('60 s');
SET cachecluster.transactional = off;
SELECT cache_namespace('small', max_memory => '1MB');
SELECT cache_namespace('free');
SELECT cache_namespace('other', max_memory => '1MB');
SELECT count(*), bool_and(cache_put('k' || i, repeat('f', 300), namespace => 'free'))
FROM generate_series(1, 2000) i;
SELECT count(*), bool_and(cache_put('k' || i, repeat('o', 300), namespace => 'other'))
FROM generate_series(1, 1000) i;

CREATE FUNCTION bytes_of(name text) RETURNS bigint LANGUAGE sql
RETURN (SELECT bytes FROM pg_stat_cachecluster_namespaces
        WHERE namespace = name AND database = current_database());
CREATE FUNCTION evictions_of(name text) RETURNS bigint LANGUAGE sql
RETURN (SELECT evictions FROM pg_stat_cachecluster_namespaces
        WHERE namespace = name AND database = current_database());

-- ten times as much as it may hold: at no time is it more
SELECT count(*), bool_and(cache_put('k' || i, repeat('s', 300), namespace => 'small')) AS stored,
       bool_and(bytes_of('small') <= 1048576) AS bounded
FROM generate_series(1, 2000) i;
SELECT count(*), bool_and(cache_put('k' || i, repeat('s', 300 + i % 700), namespace => 'small'))
FROM generate_series(2001, 20000) i;
SELECT bytes_of('small') BETWEEN 900000 AND 1048576 AS bounded_and_used,
       cache_has('k20000', namespace => 'small') AS has_newest,
       bool_and(value = repeat('s', length(value))) AS whole
FROM cache_entries(namespace => 'small');
SELECT evictions_of('small') > 10000 AS its_own, evictions_of('free') AS of_free, evictions_of('other') AS of_other;
SELECT cache_count('free') AS free, cache_count('other') AS other;

-- what is counted is what there is
SELECT n.namespace, n.entries = cache_count(n.namespace) AS entries
FROM pg_stat_cachecluster_namespaces n
WHERE n.database = current_database() AND n.namespace IN ('small', 'free', 'other')
ORDER BY 1;

-- what is read stays
SELECT bool_and(cache_put('hot' || i, 'hot', namespace => 'small')) FROM generate_series(0, 4) i;
SELECT count(*), bool_and(cache_put('new' || i, repeat('s', 300), namespace => 'small') AND
                          cache_has('hot' || i % 5, namespace => 'small'))
FROM generate_series(1, 10000) i;

-- at the commit too
SET cachecluster.transactional = on;
BEGIN;
SELECT count(*), bool_and(cache_put('t' || i, repeat('t', 300), namespace => 'small'))
FROM generate_series(1, 10000) i;
COMMIT;
SELECT bytes_of('small') BETWEEN 900000 AND 1048576 AS bounded_and_used,
       cache_has('t10000', namespace => 'small') AS has_newest;
BEGIN READ ONLY;
SELECT cache_put('read only', repeat('t', 300), namespace => 'small');
COMMIT;
SELECT cache_has('read only', namespace => 'small'), bytes_of('small') <= 1048576 AS bounded;
SET cachecluster.transactional = off;

-- a value that fits takes the place of many, another one takes its place
SELECT cache_put('large', repeat('l', 900000), namespace => 'small'),
       cache_has('large', namespace => 'small'), bytes_of('small') <= 1048576 AS bounded;
SELECT cache_put('large2', repeat('l', 900000), namespace => 'small'),
       cache_has('large2', namespace => 'small'), cache_has('large', namespace => 'small'),
       bytes_of('small') <= 1048576 AS bounded;

-- one that does not is refused at the call, and nothing goes for it
DO $$
DECLARE hint text;
BEGIN
    PERFORM cache_put('huge', repeat('h', 1040000), namespace => 'small');
EXCEPTION WHEN program_limit_exceeded THEN
    GET STACKED DIAGNOSTICS hint = pg_exception_hint;
    RAISE INFO '%, %: %', sqlstate, sqlerrm, hint;
END $$;
SET cachecluster.transactional = on;
DO $$
BEGIN
    PERFORM cache_put('huge', repeat('h', 1040000), namespace => 'small');
EXCEPTION WHEN program_limit_exceeded THEN
    RAISE INFO 'refused';
END $$;
SET cachecluster.transactional = off;
SELECT cache_has('huge', namespace => 'small'), cache_has('large2', namespace => 'small');
SELECT cache_put('huge', repeat('h', 1040000), namespace => 'free'), cache_delete('huge', namespace => 'free');

-- counters are values like others, and refused where they don't fit
SELECT cache_namespace('tiny', max_memory => 200);
SELECT cache_incr('c', namespace => 'tiny');
SELECT cache_put('c', repeat('c', 200), namespace => 'tiny');
SELECT cache_put('a', 'a', namespace => 'tiny'), cache_put('b', 'b', namespace => 'tiny');
SELECT cache_get('a', namespace => 'tiny') AS a, cache_get('b', namespace => 'tiny') AS b;

-- a raised bound is used
SELECT cache_namespace('small', max_memory => '4MB');
SELECT count(*), bool_and(cache_put('r' || i, repeat('r', 300), namespace => 'small'))
FROM generate_series(1, 15000) i;
SELECT bytes_of('small') BETWEEN 3900000 AND 4194304 AS bounded_and_used;

-- a lowered one is reached, also when nobody puts
SELECT cache_namespace('small', max_memory => '512kB');
DO $$
BEGIN
    FOR i IN 1 .. 100000 LOOP
        PERFORM cache_put('l' || i, repeat('l', 300), namespace => 'small');
        EXIT WHEN bytes_of('small') <= 524288;
    END LOOP;
END $$;
SELECT bytes_of('small') <= 524288 AS bounded, cache_count('small') > 100 AS used;
SELECT cache_namespace('small', max_memory => '64kB');
DO $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN bytes_of('small') <= 65536;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT bytes_of('small') <= 65536 AS bounded, cache_count('small') > 10 AS used;

-- zero takes it away
SELECT cache_namespace('small', max_memory => 0);
SELECT count(*), bool_and(cache_put('z' || i, repeat('z', 300), namespace => 'small'))
FROM generate_series(1, 5000) i;
SELECT count(*) FROM cache_keys('z%', namespace => 'small');

-- a bound for what is there already: the old ones go
SELECT cache_namespace('free', max_memory => '300kB');
SELECT count(*), bool_and(cache_put('n' || i, repeat('n', 300), namespace => 'free'))
FROM generate_series(1, 200) i;
DO $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN bytes_of('free') <= 300 * 1024;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT bytes_of('free') <= 300 * 1024 AS bounded,
       count(*) > 150 AS new_ones_stay
FROM cache_keys('n%', namespace => 'free');
SELECT cache_count('other'), evictions_of('other');

-- clearing and dropping leave nothing behind
SELECT cache_clear('other');
SELECT count(*), bool_and(cache_put('k' || i, repeat('o', 300), namespace => 'other'))
FROM generate_series(1, 1000) i;
SELECT cache_count('other'), bytes_of('other') <= 1048576 AS bounded;
SELECT cache_drop_namespace(n) FROM unnest('{small,free,other,tiny}'::text[]) n;
DROP FUNCTION bytes_of, evictions_of;
