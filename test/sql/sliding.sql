-- A read prolongs a sliding entry, and writes at most ten times a TTL.
SELECT cache_wait_ready('60 s');

CREATE TABLE before (key text, expires_at timestamptz, version bigint);

-- notes when the entries end; a listing prolongs none
CREATE FUNCTION note() RETURNS void AS $$
    DELETE FROM before;
    INSERT INTO before
    SELECT key, expires_at, version FROM cache_entries('slide:%');
$$ LANGUAGE sql;

-- waits until a tenth of the 20 seconds that the entries have is gone
CREATE FUNCTION wait_a_little() RETURNS void AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE clock_timestamp() <= began + interval '2.1 s' LOOP
    END LOOP;
END
$$ LANGUAGE plpgsql;

-- what has become of the entries since
CREATE FUNCTION moved(OUT key text, OUT moved boolean, OUT same_version boolean)
RETURNS SETOF record AS $$
    SELECT e.key, e.expires_at - b.expires_at > '1 s', e.version = b.version
    FROM cache_entries('slide:%') e JOIN before b USING (key);
$$ LANGUAGE sql;

-- a namespace says it too, and how old an entry gets at most
SELECT cache_namespace('slide', ttl => '20 s', sliding => true, max_age => '30 s');
CREATE FUNCTION ends(key text) RETURNS timestamptz AS $$
    SELECT expires_at FROM cache_entries(key, namespace => 'slide');
$$ LANGUAGE sql;
SELECT cache_put('ns', 'v', namespace => 'slide'),
       cache_put('not', 'v', sliding => false, namespace => 'slide'),
       cache_put('old', 'v', '28 s', namespace => 'slide'),
       cache_put('cap', 'v', '1 h', namespace => 'slide');
SELECT ends('ns') AS ns, ends('not') AS not, ends('old') AS old, ends('cap') AS cap \gset
SELECT cache_ttl('cap', 'slide') <= '30 s';

-- every getter prolongs, to a whole TTL from now; what only looks does not
SELECT count(cache_put('slide:' || g, '1', '20 s', sliding => true))
FROM unnest('{entry,get,get_or_lock,jsonb,keep_ttl,nobody,others,persist,readonly,touch}'::text[]) g;
SELECT cache_put('slide:bytea', '\x07'::bytea, '20 s', sliding => true),
       cache_put('slide:null', NULL::text, '20 s', sliding => true),
       cache_put('slide:large', repeat('x', 300000), '20 s', sliding => true),
       cache_put('slide:not', 'v', '20 s'),
       cache_put('slide:not_me', 'v', '20 s', sliding => false),
       cache_put('slide:grace', 'v', '20 s', grace => '1 h'),
       cache_put('slide:hour', 'v', '1 h', sliding => true);
SELECT cache_put('slide:keep_ttl', '2', keep_ttl => true), cache_persist('slide:persist');
SELECT cache_touch('slide:touch', '15 s');
SELECT note(), wait_a_little();
SELECT cache_get('slide:get'), cache_get_jsonb('slide:jsonb'), cache_get_bytea('slide:bytea');
SELECT value FROM cache_entry('slide:entry');
SELECT * FROM cache_get_or_lock('slide:get_or_lock');
SELECT cache_get('slide:null') IS NULL, length(cache_get('slide:large'));
SELECT cache_get('slide:not'), cache_get('slide:not_me'), cache_get('slide:grace');
SELECT cache_get('slide:keep_ttl'), cache_get('slide:persist'), cache_get('slide:touch');
BEGIN READ ONLY;
SELECT cache_get('slide:readonly');
COMMIT;
SELECT cache_has('slide:others'), cache_ttl('slide:others') > '0', cache_count() > 0;
SELECT * FROM cache_keys('slide:others');
-- a hundred reads in less than a tenth of a TTL are not worth a write
SELECT count(cache_get('slide:hour')) FROM generate_series(1, 100);
SELECT cache_get(k, 'slide') FROM unnest('{cap,not,ns,old}'::text[]) k;
SELECT ends('ns') - :'ns' > '1 s' AS ns, ends('not') = :'not' AS not,
       ends('cap') = :'cap' AS cap;
-- 28 s from now would be older than 30 s, and 2 s are less than a tenth of 28
SELECT ends('old') = :'old' AS old;
-- nor does a touch go beyond it
SELECT cache_touch('ns', '1 h', 'slide');
SELECT cache_ttl('ns', 'slide') <= '30 s';
SELECT * FROM moved() ORDER BY key COLLATE "C";
SELECT cache_ttl('slide:get') <= '20 s', cache_ttl('slide:touch') <= '15 s',
       cache_ttl('slide:persist') IS NULL;
SELECT cache_get('slide:large') = repeat('x', 300000);

-- what is only looked at ends
SELECT cache_put('slide:end', 'v', '200 ms', sliding => true);
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    WHILE cache_has('slide:end') OR cache_ttl('slide:end') > '0' OR
          EXISTS (SELECT FROM cache_keys('slide:end')) OR
          EXISTS (SELECT FROM cache_entries('slide:end')) LOOP
        IF clock_timestamp() > began + interval '60 s' THEN
            RAISE 'the key is still there';
        END IF;
    END LOOP;
END $$;
SELECT cache_get('slide:end'), cache_touch('slide:end', '1 h');

-- a put always beats what a read or a touch did
SELECT cache_put('slide:put', 'v', '1 h', sliding => true);
SELECT cache_touch('slide:put', '2 h'), cache_put('slide:put', 'w', '1 min');
SELECT cache_get('slide:put'), cache_ttl('slide:put') <= '1 min';

-- an increment makes a counter of it, with the deadline that it had
SELECT cache_put('slide:incr', '41', '1 h', sliding => true), cache_incr('slide:incr');
SELECT cache_ttl('slide:incr') BETWEEN '59 min' AND '60 min';

-- errors
SELECT cache_put('slide:none', 'v', sliding => true);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('slide:none', 'v', '0', sliding => true), cache_has('slide:none');

SELECT count(cache_delete(k)) > 0 FROM cache_keys('slide:%') k;
SELECT cache_drop_namespace('slide');
DROP FUNCTION note, wait_a_little, moved, ends;
DROP TABLE before;
