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

-- a row at a time: what LIMIT does not ask for is not looked up, two listings
-- at once share nothing, and nothing is left of one that is not read to its end
SELECT cache_put_many(array_agg('list:n:' || lpad(i::text, 5, '0')), array_agg(i::text))
FROM generate_series(1, 20000) i;
SET work_mem = '64kB';
SELECT cache_keys('list:n:%') LIMIT 2;
SELECT (cache_entries('list:n:%')).value LIMIT 2;
SELECT cache_keys('list:n:%9'), cache_keys('list:n:0000_'), cache_keys('list:n:00007') LIMIT 3;
SELECT k, array_agg(e) FROM (SELECT cache_keys('list:n:0000_') k LIMIT 2) a,
    LATERAL (SELECT cache_keys(left(k, -1) || '%') e LIMIT 3) b GROUP BY k ORDER BY k;
SELECT count(*), min(n), max(n) FROM (
    SELECT cache_keys('list:n:00_00'), cache_keys('list:n:' || i || '000%') n
    FROM generate_series(0, 1) i) s;

BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT cache_keys('list:n:%');
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
FETCH 1 FROM c;
DECLARE d CURSOR WITH HOLD FOR SELECT (cache_entries('list:n:0000_')).key;
FETCH 1 FROM d;
CLOSE c;
COMMIT;
FETCH ALL FROM d;
CLOSE d;
BEGIN;
DECLARE c CURSOR FOR SELECT cache_keys('list:n:%');
FETCH 1 FROM c;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT cache_keys('list:n:%');
FETCH 1 FROM c;
SELECT cache_keys('list:n:\');
ROLLBACK;

-- a loop over one may write, and the listing shows each entry as it then is
DO $$
DECLARE
    k text;
    v text;
    n int := 0;
    dropped int := 0;
BEGIN
    FOR k, v IN SELECT (e).key, (e).value
                FROM (SELECT cache_entries('list:n:%') e OFFSET 0) s LOOP
        n := n + 1;
        ASSERT v = ltrim(substr(k, 8), '0') OR v = 'changed', k;
        BEGIN
            PERFORM cache_delete('list:n:' || lpad((n * 2)::text, 5, '0'));
            PERFORM cache_put('list:n:' || lpad((n + 1)::text, 5, '0'), 'changed', if_present => true);
            PERFORM cache_put('list:n:new' || n, 'v');
            PERFORM 1 / (n % 10);
        EXCEPTION WHEN division_by_zero THEN
            dropped := dropped + 1;
        END;
        EXIT WHEN n = 5000;
    END LOOP;
    RAISE NOTICE '%, % rolled back', n, dropped;
END $$;
SELECT count(*) FROM cache_keys('list:n:new%');
CREATE FUNCTION first_key(pattern text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    k text;
BEGIN
    FOR k IN SELECT cache_keys(pattern) LOOP
        RETURN k;
    END LOOP;
    RETURN NULL;
END $$;
SELECT first_key('list:n:%'), first_key('list:n:%'), first_key('none%') IS NULL AS none;
DROP FUNCTION first_key;
RESET work_mem;

-- one that takes too long can be cancelled, and leaves nothing behind
SELECT cache_put_many(array_agg('list:c:' || i || repeat('x', 100)), array_agg(NULL::text))
FROM generate_series(1, 50000) i;
SET statement_timeout = '1ms';
SELECT count(*) FROM cache_keys('list:%_%_%_%_%_%_%_%_y');
RESET statement_timeout;
SELECT count(*) FROM cache_keys('list:c:1%') WHERE cache_keys LIKE 'list:c:1x%';
SELECT cache_delete_like('list:%') > 50000;
