-- Behind its TTL an entry is a miss for all; only cache_get_or_lock gets it
-- until its grace is over.
SELECT cache_wait_ready('60 s');

-- waits until a key is a miss
CREATE FUNCTION wait_gone(key text) RETURNS boolean AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE cache_has(key) LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'key % is still there', key;
        END IF;
    END LOOP;
    RETURN true;
END
$$ LANGUAGE plpgsql;

-- while it is fresh there is nothing to see of it
SELECT cache_put('grace:1', 'old', '1 h', grace => '1 day');
SELECT cache_ttl('grace:1') <= '1 h';
SELECT expires_at < clock_timestamp() + '2 h' FROM cache_entries('grace:1');
SELECT * FROM cache_get_or_lock('grace:1');

-- then it is a miss
SELECT cache_put('grace:1', 'old', '1 ms', grace => '1 h');
SELECT wait_gone('grace:1');
SELECT cache_get('grace:1'), cache_get_jsonb('grace:1'), cache_get_bytea('grace:1'),
       cache_has('grace:1'), cache_ttl('grace:1');
SELECT count(*) FROM cache_entry('grace:1');
SELECT count(*) FROM cache_keys('grace:%');
SELECT count(*) FROM cache_entries('grace:%');
SELECT cache_touch('grace:1', '1 h'), cache_persist('grace:1');
SELECT cache_put('grace:1', 'x', if_present => true);

-- but for this one, who shall compute
BEGIN;
SELECT * FROM cache_get_or_lock('grace:1');
-- and may ask again
SELECT * FROM cache_get_or_lock('grace:1');
ROLLBACK;

-- a put of what is absent
SELECT cache_put('grace:1', 'new', if_absent => true);
SELECT * FROM cache_get_or_lock('grace:1');
SELECT cache_put('grace:1', 'newer', if_absent => true);

-- a count of the namespace leaves it out
SELECT cache_count() AS c \gset
SELECT cache_put('grace:2', 'v', '1 ms', grace => '1 h');
SELECT wait_gone('grace:2'), cache_count() - :c AS count;

-- a delete deletes it all the same, and there was none
SELECT cache_delete('grace:2');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:2');
ROLLBACK;

-- a counter begins anew
SELECT cache_put('grace:2', '5', '1 ms', grace => '1 h');
SELECT wait_gone('grace:2'), cache_incr('grace:2');

-- a stored NULL has a grace too
SELECT cache_put('grace:3', NULL::text, '1 ms', grace => '1 h');
SELECT wait_gone('grace:3');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:3');
ROLLBACK;

-- what has no deadline needs none; what is put without it has none
SELECT cache_put('grace:4', 'v', grace => '1 h');
SELECT cache_ttl('grace:4') IS NULL, cache_get('grace:4');
SELECT cache_put('grace:4', 'v', '1 ms', grace => '0');
SELECT wait_gone('grace:4');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:4');
ROLLBACK;

-- it ends
SELECT cache_put('grace:5', 'v', '1 ms', grace => '100 ms');
SELECT wait_gone('grace:5');
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE (SELECT stale FROM cache_get_or_lock('grace:5', wait => '0')) LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'the grace does not end';
        END IF;
    END LOOP;
    RAISE NOTICE 'it ended in time: %',
        clock_timestamp() - began < interval '30 s';
END $$;
SELECT cache_delete('grace:5');

-- a touch of what is fresh moves both; so does a read of what slides
SELECT cache_put('grace:6', 'v', '1 h', grace => '1 h');
SELECT cache_touch('grace:6', '1 ms'), wait_gone('grace:6');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:6');
ROLLBACK;
-- (puts it, and reads it so late that its deadline moves)
DO $$
DECLARE
    began timestamptz := clock_timestamp();
    put_until timestamptz;
    read_until timestamptz;
BEGIN
    LOOP
        PERFORM cache_put('grace:6', 'v', '500 ms', grace => '1 h',
                          sliding => true, immediate => true);
        SELECT expires_at INTO put_until FROM cache_entries('grace:6');
        WHILE cache_ttl('grace:6') > '440 ms' LOOP
        END LOOP;
        PERFORM cache_get('grace:6');
        SELECT expires_at INTO read_until FROM cache_entries('grace:6');
        EXIT WHEN read_until > put_until;
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'its deadline does not move';
        END IF;
        -- a put after a miss would be taken for a late fill
        COMMIT;
    END LOOP;
END
$$;
SELECT wait_gone('grace:6');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:6');
ROLLBACK;

-- keep_ttl keeps the grace; persist ends it
SELECT cache_put('grace:7', 'v', '1 h', grace => '1 h');
SELECT cache_put('grace:7', 'w', keep_ttl => true);
SELECT cache_touch('grace:7', '1 ms'), wait_gone('grace:7');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:7');
ROLLBACK;
SELECT cache_put('grace:7', 'v', '1 h', grace => '1 h'), cache_persist('grace:7');
SELECT cache_touch('grace:7', '1 ms'), wait_gone('grace:7');
BEGIN;
SELECT * FROM cache_get_or_lock('grace:7');
ROLLBACK;

-- a namespace says it too; what the put says counts more
SELECT cache_namespace('grace', ttl => '1 ms', grace => '1 h');
SELECT cache_put('k', 'v', namespace => 'grace'),
       cache_put('none', 'v', grace => '0', namespace => 'grace');
DO $$
BEGIN
    WHILE cache_count('grace') > 0 LOOP
    END LOOP;
END $$;
BEGIN;
SELECT k, g.* FROM unnest('{k,none}'::text[]) k,
                   cache_get_or_lock(k, namespace => 'grace') g;
ROLLBACK;
SELECT cache_drop_namespace('grace');

-- negative is an error, zero is none
SELECT cache_put('grace:8', 'v', '1 h', grace => '-1 h');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('grace:8', 'v', '1 h', grace => '0'), cache_get('grace:8');

SELECT cache_delete('grace:' || i) IS NOT NULL AS deleted FROM generate_series(1, 8) i;
DROP FUNCTION wait_gone;
