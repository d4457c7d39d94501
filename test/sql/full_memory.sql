-- Full memory evicts: no put fails, nothing grows, what is there is right.
SELECT cache_wait_ready('60 s');
SELECT pg_stat_cachecluster_reset();
SELECT bytes_total AS total FROM pg_stat_cachecluster \gset

-- three times the memory, in values from 1 to 200,000 bytes
SELECT count(*), bool_and(cache_put('full:' || i, i || ':' || repeat('v', (i * 7919) % 200000)))
FROM generate_series(1, 2000) i;
SELECT evictions > 0 AS evicted, bytes_used <= bytes_total AS bounded,
       bytes_used > 0.5 * bytes_total AS used, bytes_total = :total AS fixed
FROM pg_stat_cachecluster;

-- those that are left are whole
SELECT count(*) > 100 AS many,
       bool_and(value = split_part(key, ':', 2) || ':' ||
                repeat('v', (split_part(key, ':', 2)::int * 7919) % 200000)) AS whole
FROM cache_entries('full:%');

-- the newest is there, and the largest still fits
SELECT cache_has('full:2000');
SELECT cache_put('full:large', repeat('v', 1024 * 1024)), length(cache_get('full:large'));

-- small ones after large ones
SELECT count(*), bool_and(cache_put('full:s' || i, i::text)) FROM generate_series(1, 50000) i;
SELECT bool_and(value = substr(key, 7)) FROM cache_entries('full:s%');

SELECT count(*) > 0 FROM (SELECT cache_delete(k) FROM cache_keys('full:%') k) d;
SELECT count(*) FROM cache_keys('full:%');
