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

-- README: What happens when a link breaks
SELECT cache_namespace('prices', on_split => 'manual');
SELECT cache_namespace('tokens', on_split => 'longest_ttl', ttl => '1 hour');
SELECT name, on_split FROM cache_namespaces WHERE name IN ('prices', 'tokens') ORDER BY 1;

SELECT cache_namespace('carts', ttl => '1 day');

-- Carts, arrays of article numbers: what either side has.
CREATE FUNCTION merge_carts(ours cache_entry, theirs cache_entry) RETURNS cache_entry
LANGUAGE plpgsql AS $$
BEGIN
    IF ours IS NULL THEN RETURN theirs; END IF;     -- deleted here, or expired
    IF theirs IS NULL THEN RETURN ours; END IF;
    ours.value := (SELECT jsonb_agg(DISTINCT item ORDER BY item)
                   FROM jsonb_array_elements(ours.value::jsonb || theirs.value::jsonb) item);
    RETURN ours;
END $$;

SELECT cache_set_merge('carts', 'merge_carts(cache_entry, cache_entry)');
SELECT name, on_split, merge_function FROM cache_namespaces WHERE name = 'carts';

SELECT (merge_carts(
    ('carts', 'cart:7', '["apple", "pear"]', 'jsonb', NULL, 1, 'alpha', now()),
    ('carts', 'cart:7', '["fig", "pear"]', 'jsonb', NULL, 2, 'beta', now()))).value;
SELECT (merge_carts(NULL,
    ('carts', 'cart:7', '["fig"]', 'jsonb', NULL, 2, 'beta', now()))).value;

-- The higher of two numbers.
CREATE FUNCTION merge_highest(ours cache_entry, theirs cache_entry) RETURNS cache_entry
LANGUAGE sql AS $$
    SELECT CASE WHEN ours IS NULL OR theirs.value::numeric > ours.value::numeric
                THEN theirs ELSE ours END
$$;

-- The session that is older, until the later of the two ends; logged out on one
-- side is logged out.
CREATE FUNCTION merge_sessions(ours cache_entry, theirs cache_entry) RETURNS cache_entry
LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := greatest(ours.expires_at, theirs.expires_at);
BEGIN
    IF ours IS NULL OR theirs IS NULL THEN RETURN NULL; END IF;
    IF (theirs.value::jsonb ->> 'began')::timestamptz < (ours.value::jsonb ->> 'began')::timestamptz THEN
        ours := theirs;
    END IF;
    ours.expires_at := until;
    RETURN ours;
END $$;

-- As merge_carts, and what was decided is written into a table.
CREATE TABLE cart_conflicts (key text, ours text, theirs text, merged text,
    ours_version bigint, theirs_version bigint, at timestamptz DEFAULT now());
CREATE UNIQUE INDEX ON cart_conflicts (key, ours_version, theirs_version) NULLS NOT DISTINCT;

CREATE FUNCTION merge_and_note(ours cache_entry, theirs cache_entry) RETURNS cache_entry
LANGUAGE plpgsql AS $$
DECLARE
    merged cache_entry := merge_carts(ours, theirs);
BEGIN
    IF NOT pg_is_in_recovery() THEN             -- a standby's tables are its primary's
        INSERT INTO cart_conflicts
        VALUES (merged.key, ours.value, theirs.value, merged.value, ours.version, theirs.version)
        ON CONFLICT DO NOTHING;                 -- called again, after a crash
    END IF;
    RETURN merged;
END $$;
-- none of them minds which side is ours, what was merged already, or a side that is NULL
WITH entry(e) AS (VALUES
    (('n', 'k', '7', 'text', NULL, 1, 'alpha', now())::cache_entry),
    (('n', 'k', '12', 'text', NULL, 2, 'beta', now())::cache_entry),
    (NULL))
SELECT (a.e).value AS ours, (b.e).value AS theirs, (merge_highest(a.e, b.e)).value
FROM entry a, entry b ORDER BY 1, 2;
WITH entry(e) AS (VALUES
    (('n', 'k', '{"began": "2026-01-01 09:00", "u": 1}', 'jsonb', '2026-01-01 10:00Z', 1, 'alpha', now())::cache_entry),
    (('n', 'k', '{"began": "2026-01-01 09:10", "u": 2}', 'jsonb', '2026-01-01 10:30Z', 2, 'beta', now())::cache_entry),
    (NULL))
SELECT (m).value, (m).expires_at AT TIME ZONE 'UTC' AS ends
FROM (SELECT merge_sessions(a.e, b.e) m FROM entry a, entry b OFFSET 0) s ORDER BY 1, 2;
SELECT (merge_and_note(
    ('carts', 'cart:7', '["apple", "pear"]', 'jsonb', NULL, 1, 'alpha', now()),
    ('carts', 'cart:7', '["fig", "pear"]', 'jsonb', NULL, 2, 'beta', now()))).value
FROM generate_series(1, 2);
SELECT (merge_and_note(NULL,
    ('carts', 'cart:7', '["fig", "pear"]', 'jsonb', NULL, 2, 'beta', now()))).value
FROM generate_series(1, 2);
SELECT key, ours, theirs, merged FROM cart_conflicts ORDER BY ours;
SELECT cache_set_merge('tokens', 'merge_highest(cache_entry, cache_entry)');
SELECT cache_set_merge('tokens', 'merge_sessions(cache_entry, cache_entry)');
SELECT cache_set_merge('carts', 'merge_and_note(cache_entry, cache_entry)');

-- The higher price, but people shall look at those that differ by more than the
-- bound in args, and at whatever is left after a thousand.
CREATE FUNCTION merge_prices(ours cache_entry, theirs cache_entry, state jsonb) RETURNS cache_merge
LANGUAGE plpgsql AS $$
DECLARE
    todo cache_merge;
    a numeric := ours.value;
    b numeric := theirs.value;
BEGIN
    todo.state := jsonb_set(state, '{calls}', to_jsonb(coalesce((state ->> 'calls')::int, -1) + 1));
    IF ours IS NULL AND theirs IS NULL THEN     -- the first call: state is args
        RETURN todo;
    END IF;
    todo.action := CASE
        WHEN (todo.state ->> 'calls')::int > 1000 THEN 'stop'
        WHEN ours IS NULL THEN 'theirs'
        WHEN theirs IS NULL THEN 'ours'
        WHEN abs(a - b) > (state ->> 'bound')::numeric THEN 'defer'
        WHEN a > b THEN 'ours'
        ELSE 'theirs' END;
    RETURN todo;
END $$;

SELECT cache_set_merge('prices', 'merge_prices(cache_entry, cache_entry, jsonb)', args => '{"bound": 5}');
SELECT merge_prices(NULL, NULL, '{"bound": 5}');
WITH price(e) AS (VALUES
    (('prices', 'p:7', '10.50', 'text', NULL, 1, 'alpha', now())::cache_entry),
    (('prices', 'p:7', '12', 'text', NULL, 2, 'beta', now())::cache_entry),
    (('prices', 'p:7', '99', 'text', NULL, 3, 'beta', now())::cache_entry),
    (NULL))
SELECT (a.e).value AS ours, (b.e).value AS theirs,
    (merge_prices(a.e, b.e, '{"bound": 5, "calls": 3}')).*
FROM price a, price b WHERE NOT (a.e IS NULL AND b.e IS NULL) ORDER BY 1, 2;

\o /dev/null
-- Is it over? Open splits have no healed_at.
SELECT peer, island_a, island_b, began_at, detected_at, healed_at
FROM cache_splits ORDER BY id DESC LIMIT 10;
SELECT members, reachable, conflicts_pending FROM cache_status();

-- What was decided?
SELECT peer, conflicts, kept_ours, kept_theirs, merged, deleted, deferred
FROM cache_splits ORDER BY id DESC LIMIT 10;
SELECT namespace, decision, decided_by, count(*) FROM cache_conflicts GROUP BY 1, 2, 3;
SELECT key, ours_node, ours_value, theirs_node, theirs_value, decision, decided_at
FROM cache_conflicts WHERE namespace = 'carts' AND decision <> 'pending'
ORDER BY decided_at DESC LIMIT 20;

-- What is left to do? Errors stand on the resolver, the node that joined first.
SELECT namespace, error, count(*), min(at), min(key) AS one_of_them
FROM cache_conflicts WHERE decision = 'pending' GROUP BY 1, 2;
\o
SELECT cache_heal(), cache_resolve('p:7', 'theirs', namespace => 'prices');
SELECT cache_wait_converged('10 s');
SELECT cache_drop_namespace(name) FROM cache_namespaces
WHERE name IN ('carts', 'prices', 'tokens') ORDER BY name;
DROP TABLE cart_conflicts;
DROP FUNCTION merge_carts, merge_highest, merge_sessions, merge_and_note, merge_prices;

-- README: At 03:12
\o /dev/null
SELECT * FROM cache_status();                  -- this node
SELECT node_name, state, down_since, lag_entries, last_error
FROM pg_stat_cachecluster_peers;               -- the others
SELECT * FROM pg_stat_cachecluster;            -- memory, counters, files
SELECT application_name, client_addr, state    -- who is connected from where
FROM pg_stat_activity WHERE application_name LIKE 'cachecluster/%';
\o
