-- A value that was put is read back, until it is replaced or deleted.
SELECT cache_wait_ready('60 s');

SELECT cache_get('put_get:1');
SELECT cache_put('put_get:1', 'one');
SELECT cache_get('put_get:1');
SELECT cache_has('put_get:1'), cache_has('put_get:2');

-- replaced, by a shorter and by a longer one
SELECT cache_put('put_get:1', '1');
SELECT cache_get('put_get:1');
SELECT cache_put('put_get:1', repeat('long', 1000));
SELECT length(cache_get('put_get:1')), md5(cache_get('put_get:1'));

-- deleted: true when there was one
SELECT cache_delete('put_get:1');
SELECT cache_delete('put_get:1');
SELECT cache_get('put_get:1'), cache_has('put_get:1');
SELECT cache_put('put_get:1', 'again');
SELECT cache_get('put_get:1');

-- an empty string is a value, and so is NULL
SELECT cache_put('put_get:1', '');
SELECT cache_get('put_get:1') = '';
SELECT cache_put('put_get:1', NULL);
SELECT cache_get('put_get:1') IS NULL, cache_has('put_get:1');
SELECT key, value IS NULL AS is_null, value_type FROM cache_entry('put_get:1');

-- no row on a miss
SELECT count(*) FROM cache_entry('put_get:2');

-- a key is bytes: case, blanks and any character count
SELECT cache_put('put_get:A', 'upper'), cache_put('put_get:a', 'lower'),
       cache_put('put_get: a', 'blank'), cache_put(U&'put_get:\00E4', 'umlaut');
SELECT cache_get('put_get:A'), cache_get('put_get:a'),
       cache_get('put_get: a'), cache_get(U&'put_get:\00E4');

-- what is asked about NULL is NULL
SELECT cache_get(NULL) IS NULL, cache_has(NULL) IS NULL,
       cache_ttl(NULL) IS NULL, cache_get('put_get:A', NULL) IS NULL;

-- with every column as argument, one call a row
SELECT i, cache_put('put_get:' || i, (i * i)::text) FROM generate_series(3, 5) i;
SELECT i, cache_get('put_get:' || i) FROM generate_series(2, 6) i;

-- arguments by name, namespace always
SELECT cache_put(key => 'put_get:named', value => 'x', ttl => '1 h',
                 namespace => 'default', if_absent => true,
                 if_present => false, if_version => NULL, keep_ttl => false,
                 immediate => true, sliding => NULL, grace => NULL);
SELECT cache_get(key => 'put_get:named', namespace => 'default');
SELECT cache_delete(key => 'put_get:named', namespace => 'default');

SELECT count(cache_delete(k)) FROM cache_keys('put\_get:%') k;
