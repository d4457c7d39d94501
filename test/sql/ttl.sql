-- An entry is gone when its time to live is over, and not before.
SELECT cache_wait_ready('60 s');

-- waits until a key is gone, and tells whether it went no earlier than asked
CREATE FUNCTION gone_after(key text, ttl interval) RETURNS boolean AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    PERFORM cache_put(key, 'v', ttl);
    WHILE cache_has(key) LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'key % is still there', key;
        END IF;
    END LOOP;
    -- a deadline has the precision of a millisecond
    RETURN clock_timestamp() - began > ttl - interval '2 ms';
END
$$ LANGUAGE plpgsql;

SELECT gone_after('ttl:1', '200 ms');
SELECT cache_get('ttl:1'), cache_ttl('ttl:1'), cache_has('ttl:1');
SELECT count(*) FROM cache_entry('ttl:1');
SELECT count(*) FROM cache_keys('ttl:%');

-- less than a millisecond is a millisecond
SELECT gone_after('ttl:2', '1 us');

-- without one it stays
SELECT cache_put('ttl:3', 'v');
SELECT cache_ttl('ttl:3') IS NULL, expires_at IS NULL FROM cache_entry('ttl:3');

-- what is left
SELECT cache_put('ttl:3', 'v', '1 hour');
SELECT cache_ttl('ttl:3') BETWEEN '59 min' AND '60 min';
SELECT expires_at - clock_timestamp() BETWEEN '59 min' AND '60 min 1 s'
FROM cache_entry('ttl:3');
SELECT cache_put('ttl:3', 'v', '40 days');
SELECT cache_ttl('ttl:3') BETWEEN '39 days 23:59:00' AND '40 days';

-- months and days are as long as they are from now on
SELECT cache_put('ttl:3', 'v', '1 month');
SELECT abs(extract(epoch FROM expires_at - (now() + interval '1 month'))) < 60
FROM cache_entry('ttl:3');

-- touch moves the deadline, and changes neither value nor version
SELECT version AS v, written_at AS w FROM cache_entry('ttl:3') \gset
SELECT cache_touch('ttl:3', '2 hours');
SELECT cache_ttl('ttl:3') BETWEEN '119 min' AND '120 min', cache_get('ttl:3');
SELECT version = :v, written_at = :'w' FROM cache_entry('ttl:3');
SELECT cache_touch('ttl:3', NULL);
SELECT cache_ttl('ttl:3') IS NULL;
SELECT cache_touch('ttl:3', '1 h'), cache_persist('ttl:3');
SELECT cache_ttl('ttl:3') IS NULL, cache_get('ttl:3');

-- keep_ttl: the deadline of what is replaced; ttl where there is nothing
SELECT cache_put('ttl:3', 'v', '1 hour');
SELECT cache_put('ttl:3', 'w', keep_ttl => true);
SELECT cache_get('ttl:3'), cache_ttl('ttl:3') BETWEEN '59 min' AND '60 min';
SELECT cache_put('ttl:3', 'w', '5 min', keep_ttl => true);
SELECT cache_ttl('ttl:3') BETWEEN '59 min' AND '60 min';
SELECT cache_put('ttl:4', 'v', '1 hour', keep_ttl => true);
SELECT cache_ttl('ttl:4') BETWEEN '59 min' AND '60 min';
SELECT cache_put('ttl:3', 'v');
SELECT cache_ttl('ttl:3') IS NULL;

-- zero or less deletes, and stores nothing
SELECT cache_put('ttl:3', 'v', '0');
SELECT cache_has('ttl:3');
SELECT cache_put('ttl:3', 'v', '-1 day');
SELECT cache_has('ttl:3');
SELECT cache_touch('ttl:4', '-1 s');
SELECT cache_has('ttl:4');

-- of what is not there
SELECT cache_touch('ttl:4', '1 h'), cache_persist('ttl:4'), cache_ttl('ttl:4');
SELECT cache_has('ttl:4');

-- beyond all time
SELECT cache_put('ttl:5', 'v', '200000 years');
SELECT expires_at > '200000-01-01' FROM cache_entry('ttl:5');
SELECT cache_put('ttl:5', 'w', '300000 years');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('ttl:5', 'w', '2562047788 hours');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_touch('ttl:5', '300000 years');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('ttl:5');

SELECT count(cache_delete(k)) FROM cache_keys('ttl:%') k;
DROP FUNCTION gone_after;
