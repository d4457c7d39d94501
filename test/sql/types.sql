-- text, jsonb and bytea are kept apart, and read by the getter of their type.
SELECT cache_wait_ready('60 s');

-- a literal of unknown type is text
SELECT cache_put('types:text', '{"a": 1}');
SELECT cache_put('types:varchar', 'v'::varchar(10));
SELECT cache_put('types:name', 'n'::name);
SELECT cache_put('types:jsonb', '{"b": [1, 2.50, "x"],   "a": null}'::jsonb);
SELECT cache_put('types:bytea', '\x00ff10'::bytea);
SELECT cache_put('types:empty', ''::bytea);
SELECT key, value, value_type FROM cache_entries('types:%');

-- text: of text as it is, of jsonb as its text
SELECT cache_get('types:text'), cache_get('types:jsonb');
SELECT cache_get('types:bytea');
\echo :LAST_ERROR_SQLSTATE

-- jsonb: also from valid text
SELECT cache_get_jsonb('types:jsonb') -> 'b' ->> 1;
SELECT cache_get_jsonb('types:text') -> 'a';
SELECT cache_get_jsonb('types:varchar');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get_jsonb('types:bytea');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('types:scalar', '42');
SELECT jsonb_typeof(cache_get_jsonb('types:scalar'));

-- bytea: from bytea only
SELECT cache_get_bytea('types:bytea'), cache_get_bytea('types:empty');
SELECT cache_get_bytea('types:text');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get_bytea('types:jsonb');
\echo :LAST_ERROR_SQLSTATE

-- a NULL has the type of its overload, and every getter returns it
SELECT cache_put('types:null', NULL), cache_put('types:nulljsonb', NULL::jsonb),
       cache_put('types:nullbytea', NULL::bytea);
SELECT key, value, value_type FROM cache_entries('types:null%');
SELECT cache_get('types:nullbytea') IS NULL,
       cache_get_jsonb('types:nullbytea') IS NULL,
       cache_get_bytea('types:nulljsonb') IS NULL;

-- a value takes the type of what replaces it
SELECT cache_put('types:text', '\x01'::bytea);
SELECT value, value_type FROM cache_entry('types:text');
SELECT cache_put('types:text', 'text');
SELECT value, value_type FROM cache_entry('types:text');

-- nothing was changed by the errors
SELECT key, value_type FROM cache_entries('types:%');
SELECT count(cache_delete(k)) FROM cache_keys('types:%') k;
