-- Values of every size come back as they were put.
SELECT cache_wait_ready('60 s');

-- around every boundary between pieces, with keys of several lengths
CREATE FUNCTION value_of(size int) RETURNS text AS $$
    SELECT substr(repeat('0123456789abcdefghijklmnopqrstuvwxyz', size / 36 + 1), 1, size)
$$ LANGUAGE sql IMMUTABLE;

SELECT cache_count() AS before \gset
SELECT bool_and(cache_put(rpad('large', keylen, 'k'), value_of(size))
                AND cache_get(rpad('large', keylen, 'k')) = value_of(size))
FROM generate_series(0, 1200) size, unnest(ARRAY[5, 100, 190, 1024]) keylen;
SELECT bool_and(cache_put('large', value_of(size)) AND cache_get('large') = value_of(size))
FROM unnest(ARRAY[10000, 99999, 262143, 262144, 262145, 1000000, 1048576]) size;

-- growing and shrinking in place
SELECT bool_and(cache_put('large', value_of(size)) AND cache_get('large') = value_of(size))
FROM (SELECT (i * 7919) % 50000 AS size FROM generate_series(1, 2000) i) s;

-- from a toasted column
CREATE TABLE large_test (v text, b bytea);
INSERT INTO large_test
SELECT string_agg(md5(i::text), ''), decode(string_agg(md5(i::text), ''), 'hex')
FROM generate_series(1, 3000) i;
SELECT cache_put('large:t', v), cache_put('large:b', b) FROM large_test;
SELECT cache_get('large:t') = v, cache_get_bytea('large:b') = b FROM large_test;
DROP TABLE large_test;

-- large documents
SELECT cache_put('large:j', jsonb_agg(jsonb_build_object('id', i, 'name', md5(i::text))))
FROM generate_series(1, 5000) i;
SELECT jsonb_array_length(cache_get_jsonb('large:j')),
       cache_get_jsonb('large:j') -> 4999 ->> 'id';

SELECT count(cache_delete(k)) FROM cache_keys('large%') k;
SELECT cache_count() - :before;
DROP FUNCTION value_of;
