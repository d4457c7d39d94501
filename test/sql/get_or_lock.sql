-- Of all who miss a key one is told to compute it; what one session can see of
-- it. (What the others see stands in specs/get_or_lock*.spec.)
SELECT cache_wait_ready('60 s');

-- a miss: compute; a put ends the lock, and what follows is a hit
SELECT * FROM cache_get_or_lock('lock:1');
SELECT cache_put('lock:1', 'v');
SELECT * FROM cache_get_or_lock('lock:1');

-- the transaction that has the lock is told again, and does not wait for itself
BEGIN;
SELECT * FROM cache_get_or_lock('lock:2');
SELECT * FROM cache_get_or_lock('lock:2', wait => '1 h');
SELECT (cache_get_or_lock('lock:2', wait => '1 h')).*;
COMMIT;

-- a later one is somebody else: the put may come through another connection
SELECT * FROM cache_get_or_lock('lock:2', wait => '0');
SELECT * FROM cache_get_or_lock('lock:2', wait => '-1 s');
SELECT cache_delete('lock:2');
SELECT * FROM cache_get_or_lock('lock:2', wait => '0');
SELECT cache_delete('lock:2');

-- the lock ends when the transaction that took it aborts
BEGIN;
SELECT * FROM cache_get_or_lock('lock:2', wait => '0');
ROLLBACK;
BEGIN;
SELECT * FROM cache_get_or_lock('lock:2', wait => '0');
ROLLBACK;
-- also by an error
SELECT must_compute, 1 / (length('a') - 1) FROM cache_get_or_lock('lock:2');
SELECT * FROM cache_get_or_lock('lock:2', wait => '0');
SELECT cache_delete('lock:2');

-- a subtransaction that is rolled back ends what it took, and nothing else
BEGIN;
SELECT must_compute FROM cache_get_or_lock('lock:before');
SAVEPOINT a;
SELECT must_compute FROM cache_get_or_lock('lock:in_a');
-- asked again in it, it stays the one of outside
SELECT must_compute FROM cache_get_or_lock('lock:before');
SAVEPOINT b;
SELECT must_compute FROM cache_get_or_lock('lock:in_b');
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
SELECT must_compute FROM cache_get_or_lock('lock:in_c');
RELEASE c;
SAVEPOINT d;
SELECT must_compute FROM cache_get_or_lock('lock:in_d');
ROLLBACK TO d;
COMMIT;
SELECT k, must_compute
FROM unnest('{lock:before,lock:in_a,lock:in_b,lock:in_c,lock:in_d}'::text[]) k,
     cache_get_or_lock(k, wait => '0');
SELECT count(cache_delete(k))
FROM unnest('{lock:before,lock:in_a,lock:in_b,lock:in_c,lock:in_d}'::text[]) k;

-- likewise a block of PL/pgSQL
DO $$
BEGIN
    BEGIN
        PERFORM cache_get_or_lock('lock:3');
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
END $$;
SELECT * FROM cache_get_or_lock('lock:3', wait => '0');
SELECT cache_delete('lock:3');

-- the lock ends after lock_ttl; until then the others wait
SELECT clock_timestamp() AS began \gset
SELECT * FROM cache_get_or_lock('lock:4', lock_ttl => '300 ms');
SELECT * FROM cache_get_or_lock('lock:4', lock_ttl => '1 h', wait => '60 s');
SELECT clock_timestamp() - :'began' > '290 ms' AS waited,
       clock_timestamp() - :'began' < '30 s' AS taken_over;
-- and no longer than wait
SELECT clock_timestamp() AS began \gset
SELECT * FROM cache_get_or_lock('lock:4', wait => '200 ms');
SELECT clock_timestamp() - :'began' BETWEEN '190 ms' AND '30 s';

-- waiting can be cancelled
BEGIN;
SET LOCAL statement_timeout = '100 ms';
SELECT * FROM cache_get_or_lock('lock:4', wait => '1 h');
ROLLBACK;
-- which leaves the lock with who has it
SELECT * FROM cache_get_or_lock('lock:4', wait => '0');
SELECT cache_delete('lock:4');

-- every kind of write of the key ends it
SELECT must_compute FROM cache_get_or_lock('lock:5');
SELECT cache_incr('lock:5');
SELECT * FROM cache_get_or_lock('lock:5', wait => '0');
SELECT cache_take('lock:5');
SELECT must_compute FROM cache_get_or_lock('lock:5');
SELECT cache_put('lock:5', 'v', '0');
SELECT must_compute FROM cache_get_or_lock('lock:5', wait => '0');
SELECT cache_put('lock:5', '{}'::jsonb, immediate => true);
SELECT * FROM cache_get_or_lock('lock:5', wait => '0');

-- a put that is not done for its condition does not
SELECT must_compute FROM cache_get_or_lock('lock:6');
SELECT cache_put('lock:6', 'v', if_present => true);
SELECT * FROM cache_get_or_lock('lock:6', wait => '0');
SELECT cache_delete('lock:6');

-- it ends when the put takes effect, not when it is made
SELECT must_compute FROM cache_get_or_lock('lock:6');
BEGIN;
SELECT cache_put('lock:6', 'v');
-- who has put it sees it
SELECT * FROM cache_get_or_lock('lock:6', wait => '0');
ROLLBACK;
SELECT * FROM cache_get_or_lock('lock:6', wait => '0');
BEGIN;
SELECT cache_put('lock:6', 'v');
COMMIT;
SELECT * FROM cache_get_or_lock('lock:6', wait => '0');

-- a stored NULL is a hit
SELECT cache_put('lock:7', NULL::text);
SELECT * FROM cache_get_or_lock('lock:7');

-- types as cache_get
SELECT cache_put('lock:7', '{"a": 1}'::jsonb);
SELECT * FROM cache_get_or_lock('lock:7');
SELECT cache_put('lock:7', '\xff'::bytea);
SELECT * FROM cache_get_or_lock('lock:7');
\echo :LAST_ERROR_SQLSTATE

-- as many locks as there is room for, and
-- who finds none computes without
SELECT count(*) FILTER (WHERE must_compute)
FROM generate_series(1, 3000) i, cache_get_or_lock('lock:many:' || i, '1 h', wait => '0');
SELECT bool_or(must_compute) AS no_room, bool_and(must_compute) AS no_lock
FROM generate_series(1, 3000) i, cache_get_or_lock('lock:many:' || i, '1 h', wait => '0');
SELECT count(cache_delete('lock:many:' || i)) FROM generate_series(1, 3000) i;
BEGIN;
SELECT count(*) FILTER (WHERE must_compute)
FROM generate_series(1, 3000) i, cache_get_or_lock('lock:many:' || i, '1 h', wait => '0');
ROLLBACK;
BEGIN;
SELECT count(*) FILTER (WHERE must_compute)
FROM generate_series(1, 100) i, cache_get_or_lock('lock:many:' || i, '1 h', wait => '0');
ROLLBACK;

-- nothing of it is a write: legal in a READ ONLY transaction
BEGIN READ ONLY;
SELECT * FROM cache_get_or_lock('lock:8');
ROLLBACK;

-- a hit where a value was given, a miss where it is to be computed or is missing
SELECT hits AS h, misses AS m FROM pg_stat_cachecluster \gset
SELECT must_compute FROM cache_get_or_lock('lock:8');
SELECT must_compute FROM cache_get_or_lock('lock:8', wait => '0');
SELECT cache_put('lock:8', 'v');
SELECT value FROM cache_get_or_lock('lock:8');
SELECT hits - :h AS hits, misses - :m AS misses FROM pg_stat_cachecluster;

-- the usage as README shows it
CREATE FUNCTION expensive_report(id int) RETURNS text AS $$
DECLARE
    hit record;
BEGIN
    hit := cache_get_or_lock('lock:report:' || id);
    IF hit.must_compute THEN
        hit.value := 'computed ' || id;
        PERFORM cache_put('lock:report:' || id, hit.value, ttl => '1 h');
    END IF;
    RETURN hit.value;
END
$$ LANGUAGE plpgsql;
SELECT expensive_report(7);
SELECT expensive_report(7), must_compute FROM cache_get_or_lock('lock:report:7');

-- the same key in another namespace is another key
SELECT cache_namespace('lock');
SELECT must_compute FROM cache_get_or_lock('lock:10');
SELECT must_compute FROM cache_get_or_lock('lock:10', namespace => 'lock', wait => '0');
SELECT cache_put('lock:10', 'v', namespace => 'lock');
SELECT must_compute FROM cache_get_or_lock('lock:10', wait => '0');
SELECT cache_delete('lock:10');

-- it needs the privileges to read and to write; so does cache_take
CREATE ROLE regress_lock;
SELECT cache_grant('lock', 'regress_lock', 'read');
SET ROLE regress_lock;
SELECT * FROM cache_get_or_lock('lock:10', namespace => 'lock');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_take('lock:10', 'lock');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT cache_grant('lock', 'regress_lock', 'write');
SET ROLE regress_lock;
SELECT * FROM cache_get_or_lock('lock:10', namespace => 'lock');
SELECT cache_take('lock:10', 'lock');
RESET ROLE;
SELECT cache_revoke('lock', 'regress_lock', 'read');
SET ROLE regress_lock;
SELECT * FROM cache_get_or_lock('lock:10', namespace => 'lock');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT cache_drop_namespace('lock');
DROP ROLE regress_lock;

-- errors
SELECT * FROM cache_get_or_lock('lock:9', lock_ttl => '0');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_or_lock('lock:9', lock_ttl => '-1 h');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_or_lock('lock:9', lock_ttl => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_or_lock('lock:9', wait => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_or_lock(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_or_lock('');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM cache_get_or_lock('lock:9', namespace => 'lock_nowhere');
\echo :LAST_ERROR_SQLSTATE
-- the longest lock that an interval can say
SELECT * FROM cache_get_or_lock('lock:9', lock_ttl => '200000 years', wait => '200000 years');
SELECT cache_delete('lock:9');

DROP FUNCTION expensive_report;
SELECT count(cache_delete(k)) FROM cache_keys('lock:%') k;
