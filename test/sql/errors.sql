-- Bad input: an error with SQLSTATE, message and hint, and nothing changed.
SELECT cache_wait_ready('60 s');
SELECT cache_count() AS before \gset

-- namespace
SELECT cache_put('errors:1', 'v', namespace => 'sessions');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('errors:1', 'sessions');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('errors:1', namespace => '');
SELECT cache_get('errors:1', namespace => 'Default');
SELECT cache_get_jsonb('errors:1', 'x');
SELECT cache_get_bytea('errors:1', 'x');
SELECT cache_has('errors:1', 'x');
SELECT cache_delete('errors:1', 'x');
SELECT cache_touch('errors:1', '1 h', 'x');
SELECT cache_persist('errors:1', 'x');
SELECT cache_ttl('errors:1', 'x');
SELECT cache_incr('errors:1', namespace => 'x');
SELECT * FROM cache_entry('errors:1', 'x');
SELECT * FROM cache_keys(namespace => 'x');
SELECT * FROM cache_entries(namespace => 'x');
SELECT cache_count('x');
SELECT cache_put('errors:1', 'v', namespace => NULL);
\echo :LAST_ERROR_SQLSTATE

-- key
SELECT cache_put(NULL, 'v');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_delete(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('', 'v');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put(repeat('k', 1024), 'v'), cache_get(repeat('k', 1024));
SELECT cache_put(repeat('k', 1025), 'v');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put(repeat(U&'\00E4', 513), 'v');
SELECT cache_get(repeat('k', 1025));
\echo :LAST_ERROR_SQLSTATE
SELECT cache_delete(repeat('k', 1024));

-- value
SELECT cache_put('errors:1', repeat('v', 1024 * 1024));
SELECT length(cache_get('errors:1'));
SELECT cache_put('errors:1', repeat('w', 1024 * 1024 + 1));
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('errors:1', convert_to(repeat('w', 1024 * 1024 + 1), 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('errors:1', to_jsonb(repeat('w', 1024 * 1024 - 1)));
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('errors:1') = repeat('v', 1024 * 1024);
SELECT cache_delete('errors:1');

-- a sliding entry without an end
SELECT cache_put('errors:1', 'v', sliding => true);
\echo :LAST_ERROR_SQLSTATE

-- the group's functions
SELECT cache_forget('nobody');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_forget(node_id) FROM cache_status();
\echo :LAST_ERROR_SQLSTATE
SELECT cache_join('this is no connection string');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_join('host=127.0.0.1 port=1;host=127.0.0.1 port=2');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_join('');
\echo :LAST_ERROR_SQLSTATE

-- nothing of all this is there
SELECT cache_count() - :before;
