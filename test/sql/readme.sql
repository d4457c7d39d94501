-- The examples of README.md, in its order and as they stand there: test/readme
-- checks that none is missing. What is between them is what they need; output
-- that differs from run to run is hidden.
SELECT cache_wait_ready('60 s');
DROP EXTENSION cachecluster;

-- README: the first screen
CREATE EXTENSION cachecluster;
SELECT cache_put('session:42', '{"user": 7}'::jsonb, ttl => '30 min');  -- on any node
SELECT cache_get_jsonb('session:42') -> 'user';                         -- on any node: 7
SELECT cache_incr('hits:home'), cache_touch('session:42', '30 min');
SELECT cache_delete('session:42');                                      -- gone everywhere
SELECT cache_delete('hits:home');

-- README: Functions
SELECT cache_put_many(ARRAY['user:7', 'user:9'], ARRAY['Ada', 'Grace'], ttl => '10 min');
SELECT * FROM cache_get_many(ARRAY['user:9', 'user:8', 'user:7']);      -- 9 and 7
\o /dev/null
SELECT key, value, expires_at FROM cache_entries('user:%') LIMIT 10;
\o
SELECT cache_put(cache_key('team', 'a:b', 'size'), '12');               -- team:a~cb:size
SELECT cache_get('team:a~cb:size');
SELECT cache_delete_like(cache_key('team', 'a:b') || ':%');             -- all of this team
SELECT cache_clear();

-- README: Transactions
BEGIN;
SELECT cache_put('cart:7', 'two apples');
SAVEPOINT s;
SELECT cache_delete('cart:7');
SELECT cache_get('cart:7');                     -- nothing, for us
ROLLBACK TO s;
SELECT cache_get('cart:7');                     -- two apples; for others still nothing
COMMIT;
SELECT cache_take('cart:7');

-- README: Namespaces
SELECT cache_namespace('sessions', ttl => '30 min', sliding => true, max_age => '12 h');
SELECT cache_namespace('fragments', require_ttl => true, max_memory => '16MB');
SELECT cache_put('42', 'Ada', namespace => 'sessions');
SELECT cache_get('42', namespace => 'sessions');
\o /dev/null
SELECT name, ttl, entries, bytes FROM cache_namespaces;
\o
SELECT cache_drop_namespace('fragments');

-- README: Privileges
CREATE ROLE web;
SELECT cache_grant('sessions', 'web', 'read, write');   -- or read, write, all
SELECT cache_grant('sessions', 'public', 'read');       -- everybody
SELECT cache_revoke('sessions', 'public', 'read');
SELECT cache_revoke('default', 'public', 'all');        -- no longer everybody's
\o /dev/null
SELECT name, owner, privileges FROM cache_namespaces;
\o
SELECT privileges FROM cache_namespaces WHERE name = 'sessions';
SELECT cache_grant('default', 'public', 'all');
SELECT cache_drop_namespace('sessions');
DROP ROLE web;

-- README: One computes, the others wait
CREATE FUNCTION report(id int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hit record := cache_get_or_lock('report:' || id, lock_ttl => '30 s', wait => '5 s');
BEGIN
    IF hit.must_compute THEN
        hit.value := (SELECT sum(n) FROM generate_series(1, 1000 * id) n);
        PERFORM cache_put('report:' || id, hit.value, ttl => '10 min', grace => '1 min');
    END IF;
    RETURN hit.value;
END $$;
SELECT report(7);                               -- computed, by one of all who ask
SELECT * FROM cache_get_or_lock('report:7');    -- a hit: must_compute is false
SELECT cache_put('session:43', '{"user": 8}'::jsonb, ttl => '30 min', sliding => true);
SELECT cache_take('session:43');                -- read, and gone: of two callers one gets it
SELECT cache_delete('report:7');
DROP FUNCTION report;

-- README: Keeping the cache in step with tables
CREATE TABLE users (id int PRIMARY KEY, team int, name text);

CREATE TRIGGER cached AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION cache_invalidate('default', 'user:{id}', 'team:{team}');
CREATE TRIGGER emptied AFTER TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'user:{id}', 'team:{team}');

CREATE FUNCTION user_name(wanted int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found_name text := cache_get('user:' || wanted);
BEGIN
    IF found_name IS NULL THEN
        SELECT name INTO found_name FROM users WHERE id = wanted;
        PERFORM cache_put('user:' || wanted, found_name, ttl => '1 hour');
    END IF;
    RETURN found_name;
END $$;

INSERT INTO users VALUES (7, 1, 'Ada');
SELECT user_name(7);                            -- Ada, and cached now
UPDATE users SET name = 'Ada Lovelace' WHERE id = 7;
SELECT cache_has('user:7');                     -- false
SELECT user_name(7);                            -- Ada Lovelace
TRUNCATE users;
SELECT cache_has('user:7');
DROP TABLE users;
DROP FUNCTION user_name;

-- README: Views
\o /dev/null
SELECT id, at, kind, node, detail FROM cache_events WHERE id > 42 ORDER BY id;
\o

-- README: At 03:12
\o /dev/null
SELECT * FROM cache_status();                  -- this node
SELECT node_name, state, down_since, lag_entries, last_error
FROM pg_stat_cachecluster_peers;               -- the others
SELECT * FROM pg_stat_cachecluster;            -- memory, counters, files
SELECT application_name, client_addr, state    -- who is connected from where
FROM pg_stat_activity WHERE application_name LIKE 'cachecluster/%';
\o
