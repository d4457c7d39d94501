-- Many keys at once: all or nothing, and what a single call would do for each.
SELECT cache_wait_ready('60 s');

-- three overloads; literals need no casts
SELECT cache_put_many(ARRAY['many:a', 'many:b'], ARRAY['1', '2']);
SELECT cache_put_many(ARRAY['many:j', 'many:k'], ARRAY['{"a": 1}', NULL]::jsonb[]);
SELECT cache_put_many(ARRAY['many:x'], ARRAY['\xdead'::bytea]);
SELECT key, value, value_type, expires_at FROM cache_entries('many:%');

-- read: those found, in the order asked, as often as asked; NULL is no key
SELECT * FROM cache_get_many(ARRAY['many:k', 'many:b', 'many:none', NULL, 'many:a',
                                   'many:j', 'many:b']);
SELECT cache_incr('many:n', 41);
SELECT value FROM cache_get_many(ARRAY['many:n']);
SELECT * FROM cache_get_many(ARRAY['many:a', 'many:x']);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_many('{}');
SELECT * FROM cache_get_many(NULL);
SELECT * FROM cache_get_many(ARRAY['many:a', '']);
SELECT cache_get_many(ARRAY['many:a', 'many:b']);
SELECT cache_get_many(ARRAY['many:a', 'many:x']) LIMIT 1;
SELECT i, g.* FROM generate_series(1, 2) i,
    cache_get_many((ARRAY['many:b', 'many:a'])[i:2]) g;
SELECT v.* FROM (VALUES ('many:b'), ('many:none')) k(key)
    LEFT JOIN cache_get_many(ARRAY(SELECT key FROM (VALUES ('many:b')) l(key))) v USING (key);

-- each is a hit or a miss
SELECT pg_stat_cachecluster_reset();
SELECT count(*) FROM cache_get_many(ARRAY['many:a', 'many:none', 'many:b', 'many:nor']);
SELECT count(*) FROM cache_entry('many:a');
SELECT count(*) FROM cache_entry('many:none');
SELECT hits, misses FROM pg_stat_cachecluster;

-- of the same key the last one wins, and it counts once
SELECT cache_put_many(ARRAY['many:a', 'many:b', 'many:a', 'many:a'],
                      ARRAY['x', 'y', NULL, 'z']);
SELECT * FROM cache_get_many(ARRAY['many:a', 'many:b']);

-- nothing is asked
SELECT cache_put_many('{}', '{}'::text[]), cache_put_many('{}', '{}'::jsonb[]),
       cache_put_many('{}', '{}'::bytea[]), cache_delete_many('{}');

-- lower bounds do not matter
SELECT cache_put_many('[7:8]={many:a,many:b}', '[0:1]={7,8}'::text[]);
SELECT * FROM cache_get_many('[-1:0]={many:b,many:a}');

-- one deadline for all, and one that is over deletes
SELECT cache_put_many(array_agg('many:t' || i), array_agg(i::text), ttl => '1 h')
FROM generate_series(1, 5000) i;
SELECT count(*), count(DISTINCT expires_at),
       min(expires_at) BETWEEN now() + interval '59 min' AND now() + interval '61 min' AS ttl
FROM cache_entries('many:t%');
SELECT cache_put_many(ARRAY['many:t1', 'many:t2'], ARRAY['1', '2'], '0 s');
SELECT cache_put_many(ARRAY['many:t3', 'many:t4'], ARRAY['1', '2'], '-1 s');
SELECT count(*) FROM cache_keys('many:t%');
SELECT cache_put_many(ARRAY['many:a'], ARRAY['7'], NULL), cache_ttl('many:a') IS NULL;

-- all or nothing: what is wrong with the last is found before the first is
-- written, also where nothing waits for commit
SET cachecluster.transactional = off;
SELECT cache_put_many(ARRAY['many:no', NULL], ARRAY['1', '2']);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no', ''], ARRAY['1', '2']);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no', repeat('k', 1025)], ARRAY['1', '2']);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no', 'many:nor'], ARRAY['1', repeat('v', 1024 * 1024 + 1)]);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no', 'many:nor'],
                      ARRAY['1', to_jsonb(repeat('v', 1024 * 1024))]);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no', 'many:nor'], ARRAY['1']);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no'], ARRAY['1', '2']);
SELECT cache_put_many(ARRAY[['many:no'], ['many:nor']], ARRAY[['1'], ['2']]);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(NULL, ARRAY['1']);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no'], NULL::text[]);
SELECT cache_put_many(ARRAY['many:no'], ARRAY['1'], namespace => 'nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no'], ARRAY['1'], namespace => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put_many(ARRAY['many:no'], ARRAY['1'], '1000000 years');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM cache_keys('many:no%');
SELECT cache_put_many(ARRAY['many:now'], ARRAY['1']), cache_get('many:now');
SELECT cache_delete_many(ARRAY['many:now', 'many:none']), cache_get('many:now');
RESET cachecluster.transactional;

-- delete: how many there were; a key that comes twice was there once
SELECT cache_delete_many(ARRAY['many:a', 'many:none', 'many:b', 'many:a']);
SELECT cache_delete_many(ARRAY['many:a', 'many:b']);
SELECT cache_delete_many(ARRAY['many:j', NULL]);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_delete_many(ARRAY['many:j', '']);
SELECT cache_delete_many(NULL);
SELECT cache_delete_many(ARRAY[['many:j']]);
SELECT cache_has('many:j');

-- by pattern: as LIKE says, those seen at the call
SELECT cache_delete_like('many:t49_');
SELECT cache_delete_like('many:t5%');
SELECT cache_delete_like('many:t10'), cache_delete_like('many:t10');
SELECT cache_delete_like('many:none%'), cache_delete_like('');
SELECT cache_delete_like(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_delete_like('many:t\');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_delete_like('many:t%', 'nowhere');
SELECT count(*) FROM cache_keys('many:t%');
SELECT cache_put_many(ARRAY['many_a', 'many%a', 'many\a'], ARRAY['1', '2', '3']);
SELECT cache_delete_like('many\%%'), cache_delete_like('many\\a'), cache_delete_like('many\_%');

-- within a transaction: seen by it at once, gone when it rolls back
BEGIN;
SELECT cache_put_many(ARRAY['many:x', 'many:y', 'many:z'], ARRAY['1', '2', '3'], '1 h');
SELECT key, value, cache_ttl(key) > '59 min' AS ttl FROM cache_get_many(ARRAY['many:z', 'many:x']);
SELECT count(DISTINCT expires_at) FROM cache_entries('many:_') e WHERE key >= 'many:x';
SELECT cache_delete_many(ARRAY['many:y', 'many:none']);
SAVEPOINT s;
SELECT cache_delete_like('many:%') > 1000;
SELECT count(*) FROM cache_keys('many:%');
ROLLBACK TO s;
SELECT cache_put_many(ARRAY['many:late'], ARRAY['1']);
SELECT array_agg(key) FROM cache_entries('many:_');
DO $$
BEGIN
    PERFORM cache_put_many(ARRAY['many:x', 'many:dropped'], ARRAY['dropped', 'dropped']);
    PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
    PERFORM cache_put_many(ARRAY['many:kept'], ARRAY['kept']);
END $$;
SELECT * FROM cache_get_many(ARRAY['many:x', 'many:dropped', 'many:kept']);
SELECT version, written_at FROM cache_entries('many:kept');
ROLLBACK;
SELECT key, value_type FROM cache_entries('many:_');
SELECT cache_has('many:late'), cache_has('many:kept');

-- in a transaction that only reads
BEGIN READ ONLY;
SELECT cache_put_many(ARRAY['many:r', 'many:s'], ARRAY['1', '2']);
SELECT cache_delete_many(ARRAY['many:r']);
SELECT * FROM cache_get_many(ARRAY['many:r', 'many:s']);
COMMIT;
SELECT cache_delete_like('many:s');

-- elements are what their type makes of them
CREATE DOMAIN many_key AS varchar(20);
SELECT cache_put_many(ARRAY['many:d']::many_key[]::text[], ARRAY['d   ']::char(4)[]::text[]);
SELECT cache_put_many(ARRAY['many:d'], ARRAY[1]);
DROP DOMAIN many_key;
SELECT cache_delete_like('many:%') > 4000;
