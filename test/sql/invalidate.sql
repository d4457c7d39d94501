-- The trigger cache_invalidate: what is cached of a row goes with its change,
-- at commit. Each section begins with what it promises.

\set SHOW_CONTEXT never
SELECT cache_wait_ready('60 s');

-- Leaves exactly these keys, so that what is gone afterwards was deleted.
CREATE FUNCTION fill(VARIADIC keys text[]) RETURNS bigint AS $$
BEGIN
	PERFORM cache_delete(k) FROM cache_keys('inv:%') AS k;
	PERFORM cache_put('inv:' || k, 'x') FROM unnest(keys) AS k;
	RETURN cardinality(keys);
END $$ LANGUAGE plpgsql;

-- What is left.
CREATE FUNCTION left_over() RETURNS text AS $$
	SELECT coalesce(string_agg(substr(k, 5), ' ' ORDER BY k COLLATE "C"), '-')
	FROM cache_keys('inv:%') AS k;
$$ LANGUAGE sql;

--
-- Row by row: the keys of the old and of the new row
--

CREATE TABLE users (id int PRIMARY KEY, team int, name text);
INSERT INTO users VALUES (1, 10, 'ann'), (2, 10, 'bob'), (3, NULL, 'cyd');
CREATE TRIGGER cached AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:u:{id}', 'inv:t:{team}:m');

SELECT fill('u:1', 'u:2', 'u:3', 't:10:m', 't:11:m');
UPDATE users SET name = 'eve' WHERE id = 1;
SELECT left_over();

-- both teams when a user changes his
SELECT fill('u:1', 'u:2', 'u:3', 't:10:m', 't:11:m');
UPDATE users SET team = 11 WHERE id = 2;
SELECT left_over();

-- both keys when the key itself changes
SELECT fill('u:1', 'u:2', 'u:3', 'u:30', 't:10:m', 't:11:m');
UPDATE users SET id = 30 WHERE id = 3;
SELECT left_over();

SELECT fill('u:1', 'u:4', 't:10:m', 't:11:m');
INSERT INTO users VALUES (4, 10, 'dan');
SELECT left_over();

SELECT fill('u:1', 'u:4', 't:10:m', 't:11:m');
DELETE FROM users WHERE id = 4;
SELECT left_over();

-- a row that was not there, or not changed, takes nothing
SELECT fill('u:4', 't:10:m');
UPDATE users SET name = 'x' WHERE id = 4;
INSERT INTO users VALUES (1, 10, 'ann') ON CONFLICT DO NOTHING;
SELECT left_over();

-- upsert, MERGE and COPY are changes like any
SELECT fill('u:1', 'u:2', 'u:5', 'u:6', 't:10:m', 't:11:m');
INSERT INTO users VALUES (1, 10, 'ann')
	ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;
SELECT left_over();
MERGE INTO users u USING (VALUES (2), (5)) AS v (id) ON u.id = v.id
	WHEN MATCHED THEN DELETE
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, NULL, 'new');
SELECT left_over();
COPY users FROM stdin;
6	10	fay
\.
SELECT left_over();

--
-- At commit: seen in the transaction, undone with it
--

SELECT fill('u:1', 'u:5', 'u:6');
BEGIN;
UPDATE users SET name = 'a' WHERE id = 1;
SELECT left_over();
SAVEPOINT s;
UPDATE users SET name = 'a' WHERE id = 5;
SELECT left_over();
ROLLBACK TO s;
SELECT left_over();
ROLLBACK;
SELECT left_over();

BEGIN;
UPDATE users SET name = 'a' WHERE id = 1;
SELECT cache_put('inv:u:1', 'own');
COMMIT;
SELECT cache_get('inv:u:1');

-- also where puts take effect at once
SET cachecluster.transactional = off;
SELECT fill('u:1');
BEGIN;
UPDATE users SET name = 'b' WHERE id = 1;
ROLLBACK;
SELECT cache_get('inv:u:1');
UPDATE users SET name = 'b' WHERE id = 1;
SELECT cache_get('inv:u:1');
RESET cachecluster.transactional;

-- an error takes the invalidation with it
SELECT fill('u:1');
UPDATE users SET name = (1 / (id - id))::text WHERE id = 1;
SELECT cache_get('inv:u:1');

DROP TABLE users;

--
-- Columns of any type, dropped, generated and quoted ones
--

CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (
	gone int, "Id" uuid, b boolean, n numeric, e mood, a int[], p pair, s small,
	j jsonb, d date, c char(4), by bytea, g int GENERATED ALWAYS AS (s * 2) STORED,
	"{odd" text);
ALTER TABLE kinds DROP COLUMN gone;
CREATE TRIGGER cached AFTER INSERT OR DELETE ON kinds FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{Id}', 'inv:{b}',
		'inv:{n}', 'inv:{e}', 'inv:{a}', 'inv:{p}', 'inv:{s}', 'inv:{j}',
		'inv:{d}', 'inv:{c}|', 'inv:{by}', 'inv:{g}', 'inv:{{{s}}}', 'inv:{s}{g}',
		'inv:{{}}');
SELECT fill('6d1f9b1e-0000-4000-8000-000000000001', 't', '1.50', 'ok',
	'{1,NULL,3}', '(7,"x y")', '21', '{"k": [1]}',
	date '2024-02-29'::text, 'ab  |',
	'\x00ff', '42', '{21}', '2142', '{}', 'stays');
INSERT INTO kinds ("Id", b, n, e, a, p, s, j, d, c, by) VALUES (
	'6d1f9b1e-0000-4000-8000-000000000001', true, 1.50, 'ok', '{1,null,3}',
	'(7,"x y")', 21, '{"k":[1]}', '2024-02-29', 'ab', '\x00ff');
SELECT left_over();
DROP TABLE kinds;
DROP TYPE pair, mood;
DROP DOMAIN small;

-- NULL, empty and too long make no key; the others of the row still count
CREATE TABLE texts (k text, other text);
CREATE TRIGGER cached AFTER INSERT OR UPDATE OR DELETE ON texts FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', '{k}', 'inv:o:{other}');
SELECT fill('o:1', 'o:2', 'o:3', 'o:4');
INSERT INTO texts VALUES (NULL, '1'), ('', '2'), (repeat('k', 1025), '3');
SELECT left_over();
SELECT cache_put(repeat('k', 1024), 'x') AND cache_put('inv:é', 'x');
INSERT INTO texts VALUES (repeat('k', 1024), '4'), ('inv:é', NULL);
SELECT left_over(), cache_has(repeat('k', 1024));

-- values out of line, of the old row too
SELECT fill('o:5');
INSERT INTO texts
	SELECT string_agg(md5(i::text), ''), '5' FROM generate_series(1, 20000) i;
UPDATE texts SET k = k || 'x' WHERE other = '5';
SELECT fill('o:5');
UPDATE texts SET k = 'short' WHERE other = '5';
SELECT left_over();
DROP TABLE texts;

--
-- Partitions, inheritance, foreign keys, deferred triggers
--

CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE high (v text, gone int, id int);
ALTER TABLE high DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION high FOR VALUES FROM (100) TO (200);
CREATE TRIGGER cached AFTER INSERT OR UPDATE OR DELETE ON parts FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}', 'inv:{v}');
SELECT fill('1', '101', 'a', 'b', 'stays');
INSERT INTO parts VALUES (1, 'a'), (101, 'b');
SELECT left_over();
SELECT fill('1', '101', '102', 'a', 'b', 'stays');
UPDATE parts SET id = id + 101 WHERE id = 1;
SELECT left_over();
SELECT fill('102', '101', 'a', 'b', 'stays');
DELETE FROM high;
SELECT left_over();
DROP TABLE parts;

CREATE TABLE teams (id int PRIMARY KEY);
CREATE TABLE members (id int, team int REFERENCES teams ON DELETE CASCADE);
INSERT INTO teams VALUES (1), (2);
INSERT INTO members VALUES (7, 1), (8, 1), (9, 2);
CREATE CONSTRAINT TRIGGER cached AFTER DELETE ON members
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('7', '8', '9');
BEGIN;
DELETE FROM teams WHERE id = 1;
SELECT left_over();
COMMIT;
SELECT left_over();
DROP TABLE members, teams;

-- a table that differs from call to call within one session
CREATE TABLE one (a int, b int);
CREATE TRIGGER cached AFTER INSERT ON one FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{b}');
CREATE FUNCTION add(x int, y int) RETURNS void AS $$
BEGIN
	INSERT INTO one (a, b) VALUES (x, y);
END $$ LANGUAGE plpgsql;
SELECT fill('1', '2', '3', '4', '5', '6');
SELECT add(1, 2);
ALTER TABLE one DROP COLUMN a;
ALTER TABLE one ADD COLUMN a int;
SELECT add(3, 4);
ALTER TABLE one DROP COLUMN b;
SELECT add(5, 6);
ALTER TABLE one ADD COLUMN b text;
SELECT add(5, 6);
SELECT left_over();
DROP TABLE one;
DROP FUNCTION add;

--
-- Replication: like any trigger, not for a replica's changes unless it says so
--

CREATE TABLE replica (id int);
CREATE TRIGGER cached AFTER INSERT ON replica FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('1', '2');
SET session_replication_role = replica;
INSERT INTO replica VALUES (1);
ALTER TABLE replica ENABLE ALWAYS TRIGGER cached;
INSERT INTO replica VALUES (2);
RESET session_replication_role;
SELECT left_over();
DROP TABLE replica;

-- temporary tables may be written in a READ ONLY transaction
CREATE TEMP TABLE scratch (id int);
CREATE TRIGGER cached AFTER INSERT ON scratch FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('1', '2');
BEGIN READ ONLY;
INSERT INTO scratch VALUES (1);
COMMIT;
SELECT left_over();
DROP TABLE scratch;

--
-- TRUNCATE and statement-level triggers without transition tables: a template
-- with columns empties the namespace, one without deletes its key
--

CREATE TABLE whole (id int, v text);
INSERT INTO whole VALUES (1, 'a'), (2, 'b');
CREATE TRIGGER cut AFTER TRUNCATE ON whole FOR EACH STATEMENT
	EXECUTE FUNCTION cache_invalidate('default', 'inv:list', 'inv:all{{}}');
SELECT fill('1', '2', 'list', 'all{}', 'stays');
BEGIN;
TRUNCATE whole;
SELECT left_over();
ROLLBACK;
SELECT left_over();
TRUNCATE whole;
SELECT left_over();
DROP TRIGGER cut ON whole;

CREATE TRIGGER cut AFTER TRUNCATE ON whole FOR EACH STATEMENT
	EXECUTE FUNCTION cache_invalidate('default', 'inv:list', 'inv:{id}');
SELECT fill('1', '2', 'list', 'goes too');
BEGIN;
TRUNCATE whole;
SELECT left_over();
ROLLBACK;
SELECT left_over();
BEGIN;
TRUNCATE whole;
SELECT cache_put('inv:1', 'own');
COMMIT;
SELECT left_over();
DROP TRIGGER cut ON whole;

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON whole
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('1', '2');
INSERT INTO whole VALUES (1, 'a'), (2, 'b');
SELECT left_over();
DROP TRIGGER changed ON whole;

--
-- Statement-level triggers with transition tables: exactly their rows
--

CREATE TRIGGER i AFTER INSERT ON whole REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}', 'inv:v:{v}');
CREATE TRIGGER d AFTER DELETE ON whole REFERENCING OLD TABLE AS o
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}', 'inv:v:{v}');
CREATE TRIGGER u AFTER UPDATE ON whole REFERENCING OLD TABLE AS o NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}', 'inv:v:{v}');
-- another one reads the same table
CREATE TRIGGER u2 AFTER UPDATE ON whole REFERENCING OLD TABLE AS o NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:2:{id}');
SELECT fill('1', '2', '3', '4', '5', 'v:c', 'v:d');
INSERT INTO whole VALUES (3, 'c'), (4, 'd');
SELECT left_over();
SELECT fill('1', '2', '3', '4', '5', 'v:c', 'v:e', '2:3', '2:4');
UPDATE whole SET v = 'e' WHERE id = 3;
SELECT left_over();
SELECT fill('1', '2', '3', '4', 'v:d', 'v:e');
DELETE FROM whole WHERE id >= 3;
SELECT left_over();
DELETE FROM whole WHERE id > 100;
SELECT left_over();
DROP TRIGGER u ON whole;
DROP TRIGGER u2 ON whole;

-- with one of an update's two tables keys would be missed: as without any
CREATE TRIGGER u AFTER UPDATE ON whole REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('1', '2', 'goes too');
UPDATE whole SET id = 11 WHERE id = 1;
SELECT left_over();
DROP TABLE whole;

-- through the root of a partitioned table
CREATE TABLE parts (id int, v text) PARTITION BY LIST (id);
CREATE TABLE part1 (v text, id int);
ALTER TABLE parts ATTACH PARTITION part1 FOR VALUES IN (1, 2);
CREATE TRIGGER i AFTER INSERT ON parts REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('1', '2', '3');
INSERT INTO parts VALUES (1, 'a'), (2, 'b');
SELECT left_over();
DROP TABLE parts;

--
-- Errors: at the first firing, and nothing is changed then
--

CREATE FUNCTION try_trigger(arguments text, timing text DEFAULT 'AFTER INSERT')
RETURNS text AS $$
DECLARE
	state text; message text; detail text; hint text;
BEGIN
	EXECUTE format('CREATE TRIGGER tried %s ON wrong FOR EACH ROW
		EXECUTE FUNCTION cache_invalidate(%s)', timing, arguments);
	INSERT INTO wrong VALUES (1, 'b');
	RAISE 'it was accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', state, message, detail, hint);
END $$ LANGUAGE plpgsql;
\pset format unaligned
\pset tuples_only on
CREATE TABLE wrong (id int, "B" text);
SELECT try_trigger('');
SELECT try_trigger($$'default'$$);
SELECT try_trigger($$'nowhere', 'k'$$);
SELECT try_trigger($$'', 'k'$$);
SELECT try_trigger($$'default', 'k:{b}'$$);
SELECT try_trigger($$'default', 'k:{ctid}'$$);
SELECT try_trigger($$'default', 'k:{ id }'$$);
SELECT try_trigger($$'default', ''$$);
SELECT try_trigger($$'default', 'k:{'$$);
SELECT try_trigger($$'default', 'k:{id'$$);
SELECT try_trigger($$'default', 'k:{}'$$);
SELECT try_trigger($$'default', 'k:id}'$$);
SELECT try_trigger($$'default', 'k:{id}}'$$);
SELECT try_trigger($$'default', 'k:{id}', 'k:{{id}'$$);
SELECT try_trigger($$'default', 'k:{id}'$$, 'BEFORE INSERT');
CREATE VIEW seen AS SELECT * FROM wrong;
CREATE TRIGGER tried INSTEAD OF INSERT ON seen FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'k:{id}');
INSERT INTO seen VALUES (1, 'b');
SELECT cache_invalidate();
SELECT count(*) FROM wrong;

-- a column that went later
CREATE TRIGGER tried AFTER INSERT ON wrong FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'k:{id}');
ALTER TABLE wrong DROP COLUMN id CASCADE;
INSERT INTO wrong VALUES ('b');
DROP TABLE wrong CASCADE;
\pset format aligned
\pset tuples_only off

--
-- Privileges: it acts for the owner of the table, not for who changes a row
--

SELECT cache_namespace('inv_owned');
CREATE ROLE inv_owner;
CREATE ROLE inv_user;
CREATE TABLE owned (id int);
ALTER TABLE owned OWNER TO inv_owner;
GRANT INSERT ON owned TO inv_user;
CREATE TRIGGER cached AFTER INSERT ON owned FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('inv_owned', '{id}');
SELECT cache_put('1', 'x', namespace => 'inv_owned'), cache_put('2', 'x', namespace => 'inv_owned');
SET ROLE inv_user;
INSERT INTO owned VALUES (1);
SELECT current_user;
RESET ROLE;
-- nor for a superuser who changes one
INSERT INTO owned VALUES (1);
SELECT cache_grant('inv_owned', 'inv_owner', 'read');
INSERT INTO owned VALUES (1);
SELECT cache_grant('inv_owned', 'inv_owner', 'write');
SET ROLE inv_user;
SELECT cache_delete('2', namespace => 'inv_owned');
INSERT INTO owned VALUES (1);
SELECT current_user;
RESET ROLE;
SELECT cache_keys(namespace => 'inv_owned');
-- and when the right is taken back
SELECT cache_revoke('inv_owned', 'inv_owner', 'write');
INSERT INTO owned VALUES (2);
SELECT cache_grant('inv_owned', 'inv_owner', 'write');

-- other namespaces and the same key of another one are not touched
SELECT fill('1', 'stays');
SELECT cache_put('2', 'x'), cache_put('2', 'x', namespace => 'inv_owned');
CREATE TRIGGER cut AFTER TRUNCATE ON owned FOR EACH STATEMENT
	EXECUTE FUNCTION cache_invalidate('inv_owned', '{id}');
INSERT INTO owned VALUES (2);
SELECT cache_has('2', namespace => 'inv_owned'), cache_has('2');
SELECT cache_put('2', 'x', namespace => 'inv_owned');
TRUNCATE owned;
SELECT cache_has('2', namespace => 'inv_owned'), cache_has('2'), left_over();

-- a namespace that is dropped is missed at the next change
SELECT cache_drop_namespace('inv_owned');
INSERT INTO owned VALUES (1);
SELECT cache_namespace('inv_owned');
SELECT cache_grant('inv_owned', 'inv_owner', 'write');
INSERT INTO owned VALUES (1);
SELECT cache_drop_namespace('inv_owned');
SELECT cache_delete('2');
DROP TABLE owned;
DROP ROLE inv_owner, inv_user;

--
-- Many rows: one preparation for all of them
--

CREATE TABLE many (id int);
CREATE TRIGGER cached AFTER INSERT OR UPDATE ON many FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate('default', 'inv:{id}');
SELECT fill('1', '50000', 'stays');
INSERT INTO many SELECT generate_series(1, 50000);
SELECT left_over();
DROP TABLE many;

SELECT count(cache_delete(k)) FROM cache_keys('inv:%') AS k;
DROP FUNCTION fill, left_over, try_trigger;
