-- Puts and deletes wait for COMMIT and are seen by their own transaction.
SELECT cache_wait_ready('60 s');
\set VERBOSITY terse

-- what is written is seen by every getter, listing and count, then by others
BEGIN;
SELECT cache_put('tx:1', 'one'), cache_put('tx:2', '{"a": 2}'::jsonb, '1 hour'),
       cache_put('tx:3', '\x03'::bytea);
SELECT cache_get('tx:1'), cache_get_jsonb('tx:2') -> 'a' AS a,
       cache_get_bytea('tx:3'), cache_has('tx:1'), cache_ttl('tx:2') > '59 min' AS ttl;
SELECT key, value, value_type FROM cache_entry('tx:1');
SELECT key, value, value_type FROM cache_entries('tx:%');
SELECT * FROM cache_keys('tx:%');
SELECT cache_count() = count(*) AND count(*) >= 3 AS counted FROM cache_keys();
COMMIT;
SELECT key, value, value_type, version > 0 AS stored FROM cache_entries('tx:%');

-- ROLLBACK drops them
BEGIN;
SELECT cache_put('tx:1', 'lost'), cache_delete('tx:2'), cache_touch('tx:3', '1 hour');
SELECT cache_get('tx:1'), cache_get_jsonb('tx:2'), cache_ttl('tx:3') IS NOT NULL AS touched;
SELECT * FROM cache_keys('tx:%');
ROLLBACK;
SELECT cache_get('tx:1'), cache_get_jsonb('tx:2'), cache_ttl('tx:3');

-- so does an error
BEGIN;
SELECT cache_put('tx:1', 'lost');
SELECT 1 / 0;
COMMIT;
SELECT cache_get('tx:1');

-- ROLLBACK TO SAVEPOINT drops what came after it, RELEASE keeps it
BEGIN;
SELECT cache_put('tx:1', 'before');
SAVEPOINT a;
SELECT cache_put('tx:1', 'within'), cache_delete('tx:2'), cache_put('tx:4', 'new');
SAVEPOINT b;
SELECT cache_put('tx:1', 'deeper');
RELEASE b;
SELECT cache_get('tx:1'), cache_has('tx:2'), cache_get('tx:4');
ROLLBACK TO a;
SELECT cache_get('tx:1'), cache_has('tx:2'), cache_get('tx:4');
SAVEPOINT c;
SELECT cache_put('tx:4', 'kept');
RELEASE c;
COMMIT;
SELECT cache_get('tx:1'), cache_has('tx:2'), cache_get('tx:4');

-- a PL/pgSQL block with EXCEPTION is a savepoint
DO $$
BEGIN
	PERFORM cache_put('tx:1', 'outside');
	BEGIN
		PERFORM cache_put('tx:1', 'inside'), cache_delete('tx:4');
		RAISE 'undo';
	EXCEPTION WHEN raise_exception THEN
		IF cache_get('tx:1') <> 'outside' OR NOT cache_has('tx:4') THEN
			RAISE 'the block was not undone';
		END IF;
	END;
	BEGIN
		PERFORM cache_put('tx:5', 'no error');
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
END
$$;
SELECT cache_get('tx:1'), cache_get('tx:4'), cache_get('tx:5');

-- many levels and many writes of one key
DO $$
BEGIN
	FOR i IN 1 .. 2000 LOOP
		BEGIN
			PERFORM cache_put('tx:many:' || i % 50, i::text);
			IF i % 3 = 0 THEN
				RAISE 'undo';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
	IF cache_get('tx:many:0') <> '2000' OR cache_get('tx:many:48') <> '1948' THEN
		RAISE 'wrong within the transaction: % %', cache_get('tx:many:0'), cache_get('tx:many:48');
	END IF;
END
$$;
SELECT count(*), sum(value::int) FROM cache_entries('tx:many:%');

-- conditional puts see what the transaction wrote, and are asked again at COMMIT
BEGIN;
SELECT cache_put('tx:6', 'a', if_present => true) AS no,
       cache_put('tx:6', 'a', if_absent => true) AS yes,
       cache_put('tx:6', 'b', if_absent => true) AS no,
       cache_put('tx:6', 'b', if_present => true) AS yes;
SELECT cache_get('tx:6');
SELECT cache_delete('tx:6'), cache_put('tx:6', 'c', if_present => true) AS no,
       cache_put('tx:6', 'd', if_absent => true) AS yes;
COMMIT;
SELECT cache_get('tx:6');
SELECT version AS v FROM cache_entry('tx:6') \gset
BEGIN;
SELECT cache_put('tx:6', 'e', if_version => :v) AS yes;
SELECT cache_put('tx:6', 'f', if_version => :v) AS no;
COMMIT;
SELECT cache_get('tx:6');

-- a deadline counts from the call
BEGIN;
SELECT cache_put('tx:7', 'short', '1 ms'), cache_put('tx:8', 'long', '1 hour'),
       cache_put('tx:8', 'longer', keep_ttl => true);
DO $$ BEGIN WHILE cache_has('tx:7') LOOP END LOOP; END $$;
SELECT cache_get('tx:7'), cache_get('tx:8'), cache_ttl('tx:8') > '59 min' AS kept;
COMMIT;
SELECT cache_get('tx:7'), cache_get('tx:8'), cache_ttl('tx:8') > '59 min' AS kept;

-- also one that is kept and over before the commit: the put ends with it
SELECT cache_put('tx:kept', 'a', '1 s');
BEGIN;
SELECT cache_put('tx:kept', 'b', keep_ttl => true), cache_put('tx:kept 2', 'a', '1 s');
SELECT cache_put('tx:kept 2', 'b', keep_ttl => true);
DO $$ BEGIN WHILE cache_has('tx:kept 2') LOOP END LOOP; END $$;
SELECT cache_get('tx:kept'), cache_get('tx:kept 2'), cache_ttl('tx:kept 2');
COMMIT;
SELECT cache_get('tx:kept'), cache_get('tx:kept 2'), cache_ttl('tx:kept 2');

-- a clear waits too, and what is put after it stays
BEGIN;
SELECT cache_put('tx:9', 'before');
SELECT cache_clear();
SELECT cache_count(), cache_get('tx:1'), cache_get('tx:9');
SELECT cache_put('tx:10', 'after');
SELECT cache_count(), * FROM cache_keys();
SAVEPOINT a;
SELECT cache_clear();
SELECT cache_count();
ROLLBACK TO a;
SELECT cache_count();
ROLLBACK;
SELECT cache_get('tx:1'), cache_has('tx:9');
BEGIN;
SELECT cache_put('tx:9', 'before'), cache_clear(), cache_put('tx:10', 'after');
COMMIT;
SELECT key, value FROM cache_entries();

-- at once: immediate, the setting, increments; with what waits for the same key
BEGIN;
SELECT cache_put('tx:11', '1', immediate => true), cache_incr('tx:12'),
       cache_put('tx:13', '10'), cache_incr('tx:13', 5), cache_put('tx:14', 'lost');
SET LOCAL cachecluster.transactional = off;
SELECT cache_put('tx:15', 'at once'), cache_delete('tx:10');
ROLLBACK;
SELECT key, value FROM cache_entries();

-- a transaction that has written cannot be prepared, one that has read can
BEGIN;
SELECT cache_put('tx:16', 'x');
\set VERBOSITY default
PREPARE TRANSACTION 'cache';
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT cache_get('tx:16');
BEGIN;
SELECT cache_get('tx:11'), cache_get('tx:none'), cache_incr('tx:11');
PREPARE TRANSACTION 'cache';
COMMIT PREPARED 'cache';
SELECT cache_get('tx:11');

-- READ ONLY is about tables
BEGIN READ ONLY;
SELECT cache_put('tx:17', 'x'), cache_delete('tx:11'), cache_incr('tx:12');
COMMIT;
SELECT cache_get('tx:17'), cache_get('tx:11'), cache_get('tx:12');

-- a cursor of a listing goes on over changes
BEGIN;
SELECT cache_put('tx:c' || i, i::text) IS NOT NULL FROM generate_series(1, 3) i;
DECLARE c CURSOR FOR SELECT key, value FROM cache_entries('tx:c%');
FETCH 1 FROM c;
SELECT cache_put('tx:c2', 'two');
FETCH ALL FROM c;
ROLLBACK;

-- an immediate write in a rolled back savepoint stays
BEGIN;
SELECT cache_put('tx:18', 'waits');
SAVEPOINT a;
SELECT cache_put('tx:18', 'now', immediate => true);
ROLLBACK TO a;
SELECT cache_get('tx:18');
ROLLBACK;
SELECT cache_get('tx:18');

-- what may fail fails at the call, and leaves the rest
BEGIN;
SELECT cache_put('tx:19', 'x');
SAVEPOINT a;
SELECT cache_put('tx:20', repeat('x', 2000000));
ROLLBACK TO a;
COMMIT;
SELECT cache_get('tx:19'), cache_has('tx:20');

-- a transaction of very many puts, and of as many deletes
BEGIN;
SELECT count(cache_put('tx:big:' || i, i::text)) FROM generate_series(1, 100000) i;
SELECT cache_get('tx:big:1'), cache_get('tx:big:100000');
COMMIT;
SELECT count(*), sum(value::bigint) FROM cache_entries('tx:big:%');
SELECT cache_delete_like('tx:big:%');
SELECT count(*) FROM cache_keys('tx:big:%');

SELECT count(cache_delete(k)) FROM cache_keys('tx:%') k;

-- what an immediate call has made of what waited is no obstacle to a fill
DO $$ DECLARE t timestamptz := clock_timestamp() + '2 ms';
BEGIN WHILE clock_timestamp() < t LOOP END LOOP; END $$;
BEGIN;
SELECT cache_has('tx:21'), cache_delete('tx:21');
SELECT cache_take('tx:21');
SELECT cache_put('tx:21', 'loaded');
ROLLBACK;

-- the end of a subtransaction frees a large value that was replaced in it; in
-- a new session such memory is given back to the system
\c -
BEGIN;
SELECT cache_put('tx:large', repeat('x', 900000)), cache_put('tx:large', 'a');
SELECT cache_put('tx:larger', repeat('x', 900000));
SAVEPOINT a;
SELECT cache_put('tx:larger', 'b');
SAVEPOINT b;
SELECT cache_put('tx:large', 'c'), cache_put('tx:larger', 'd');
RELEASE b;
RELEASE a;
SELECT cache_get('tx:large'), cache_get('tx:larger');
ROLLBACK;
