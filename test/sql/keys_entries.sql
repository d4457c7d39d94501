-- Listings: those that match, in byte order, without those that are gone.
SELECT cache_wait_ready('60 s');

SELECT count(cache_put(k, 'v')) FROM unnest(ARRAY[
    'list:b', 'list:a', 'list:B', 'list:a:1', 'list:a:10', 'list:a:2',
    'list_a', 'list%a', 'list\a', U&'list:\00E4', U&'list:\00C4',
    U&'list:\+01F600']) k;

SELECT * FROM cache_keys('list%');
SELECT * FROM cache_keys('list:%');
SELECT * FROM cache_keys('list:a:%');
SELECT * FROM cache_keys('list:a');
SELECT * FROM cache_keys('list:a:_');
SELECT * FROM cache_keys('list:_');
SELECT * FROM cache_keys('%:10');
SELECT * FROM cache_keys('list\_%');
SELECT * FROM cache_keys('list\%a');
SELECT * FROM cache_keys('list\\a');
SELECT * FROM cache_keys('nothing%');
SELECT * FROM cache_keys('');
SELECT cache_keys('list:a%') ORDER BY 1 DESC LIMIT 1;
SELECT * FROM cache_keys(pattern => 'list:b', namespace => 'default');

-- every pattern agrees with LIKE
SELECT p, array_agg(k ORDER BY k COLLATE "C") = (SELECT array_agg(c) FROM cache_keys(p) c)
           AS agrees
FROM unnest(ARRAY['%', 'l%', 'list:a%', '%a%', '_____b', 'list_a']) p,
     cache_keys() k
WHERE k LIKE p GROUP BY p ORDER BY p COLLATE "C";

SELECT * FROM cache_keys('list\');
SELECT count(*) FROM cache_keys(NULL);

-- those deleted and expired are left out
SELECT cache_delete('list:b');
SELECT cache_put('list:gone', 'v', '1 ms');
DO $$ BEGIN WHILE cache_has('list:gone') LOOP NULL; END LOOP; END $$;
SELECT * FROM cache_keys('list:%') WITH ORDINALITY LIMIT 3;
SELECT count(*) FROM cache_keys('list:gone');

-- the whole entry
SELECT cache_put('list:j', '{"a":1}'::jsonb, '1 h'), cache_incr('list:n', 3),
       cache_put('list:x', '\xdeadbeef'::bytea), cache_put('list:z', NULL);
SELECT namespace, key, value, value_type,
       expires_at BETWEEN now() + interval '59 min' AND now() + interval '61 min',
       version > 0 AS version, origin = (cache_status()).node_name AS origin,
       written_at BETWEEN now() - interval '1 min' AND clock_timestamp() + interval '1 s'
           AS written_at
FROM cache_entries('list:_');
SELECT (cache_entry('list:j')).value;
SELECT e.key, e.value FROM cache_entries('list:j') e;

-- the version holds the time of writing
SELECT bool_and(abs(extract(epoch FROM written_at) * 1000 - (version >> 16)) < 1)
FROM cache_entries('list:%');

-- many: sorted and complete, also where the sort spills to disk
SELECT cache_count() AS before \gset
SELECT count(cache_put('list:many:' || i, repeat('x', 200))) FROM generate_series(1, 20000) i;
SELECT cache_count() - :before AS added;
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT key), bool_and(value = repeat('x', 200))
FROM cache_entries('list:many:%');
SELECT bool_and(k COLLATE "C" > lag) FROM (
    SELECT k, lag(k, 1, '') OVER (ORDER BY n)
    FROM cache_keys('list:many:%') WITH ORDINALITY a(k, n)) s;
RESET work_mem;
SELECT count(*) FROM (SELECT cache_delete(k) FROM cache_keys('list:many:%') k) d;
SELECT cache_count() - :before AS added;
SELECT count(cache_delete(k)) FROM cache_keys('list%') k;
