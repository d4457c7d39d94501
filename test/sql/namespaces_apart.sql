-- The same key in two namespaces never meets, nor does what is done to one.
SELECT cache_wait_ready('60 s');
SELECT cache_namespace('apart_a');
SELECT cache_namespace('apart_b');
SELECT count(*), bool_and(cache_put('k' || i, 'default' || i) AND
                          cache_put('k' || i, 'a' || i, namespace => 'apart_a') AND
                          cache_put('k' || i, 'b' || i, namespace => 'apart_b'))
FROM generate_series(1, 500) i;
SELECT bool_and(cache_get('k' || i) = 'default' || i) AS "default",
       bool_and(cache_get('k' || i, namespace => 'apart_a') = 'a' || i) AS a,
       bool_and(cache_get('k' || i, namespace => 'apart_b') = 'b' || i) AS b
FROM generate_series(1, 500) i;

CREATE FUNCTION counted(name text, OUT entries bigint, OUT one_chunk_each boolean) LANGUAGE sql
RETURN (SELECT ROW(entries, bytes = entries * 192) FROM pg_stat_cachecluster_namespaces
        WHERE namespace = name AND database = current_database());
SELECT n, c.* FROM unnest('{apart_a,apart_b}'::text[]) n, counted(n) c ORDER BY n;

-- a change of size, of type, a delete, NULL: in one of them
SELECT cache_put('k1', repeat('long', 1000), namespace => 'apart_a'),
       cache_put('k2', '{"j": 1}'::jsonb, namespace => 'apart_a'),
       cache_put('k3', NULL::text, namespace => 'apart_a'),
       cache_delete('k4', namespace => 'apart_a'),
       cache_delete('k4', namespace => 'apart_a'),
       cache_incr('k5c', namespace => 'apart_a');
SELECT n, c.* FROM unnest('{apart_a,apart_b}'::text[]) n, counted(n) c ORDER BY n;
SELECT cache_put('k1', 'short again', namespace => 'apart_a');
SELECT n, c.* FROM unnest('{apart_a,apart_b}'::text[]) n, counted(n) c ORDER BY n;
SELECT cache_get('k1', namespace => 'apart_b'), cache_get('k2', namespace => 'apart_b'),
       cache_get('k3', namespace => 'apart_b'), cache_get('k4', namespace => 'apart_b');

-- listing, counting, deleting by one of them
SELECT count(*), bool_and(value LIKE 'b%') FROM cache_entries(namespace => 'apart_b');
SELECT count(cache_delete(k, namespace => 'apart_b')) FROM cache_keys('k1%', namespace => 'apart_b') k;
SELECT cache_count('apart_a'), cache_count('apart_b'), cache_has('k1'), cache_has('k1', namespace => 'apart_a');
SELECT n, c.* FROM unnest('{apart_a,apart_b}'::text[]) n, counted(n) c ORDER BY n;

-- clearing one
SELECT cache_clear('apart_a');
SELECT cache_count('apart_a'), cache_count('apart_b'), cache_get('k7');
SELECT cache_put('k7', 'after', namespace => 'apart_a');
SELECT cache_get('k7', namespace => 'apart_a'), cache_get('k7', namespace => 'apart_b'), cache_get('k7');

-- key and namespace are not glued together
SELECT cache_namespace('apart');
SELECT cache_put('_ak7', 'glued', namespace => 'apart');
SELECT cache_get('k7', namespace => 'apart_a'), cache_get('_ak7', namespace => 'apart'),
       cache_get('_ak7', namespace => 'apart_a');

-- what expires is counted where it was
SELECT evictions, expirations FROM pg_stat_cachecluster_namespaces
WHERE namespace = 'apart_b' AND database = current_database();
SELECT cache_put('e' || i, 'e', '1 ms', namespace => 'apart_b') FROM generate_series(1, 3) i;
DO $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN (SELECT expirations FROM pg_stat_cachecluster_namespaces
                   WHERE namespace = 'apart_b' AND database = current_database()) = 3;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SELECT namespace, expirations FROM pg_stat_cachecluster_namespaces
WHERE namespace IN ('apart', 'apart_a', 'apart_b') AND database = current_database() ORDER BY 1;

SELECT cache_drop_namespace(n) FROM unnest('{apart,apart_a,apart_b}'::text[]) n;
SELECT bool_and(cache_get('k' || i) = 'default' || i) AS "default" FROM generate_series(1, 500) i;
SELECT count(cache_delete(k)) FROM cache_keys('k%') k;
DROP FUNCTION counted;
