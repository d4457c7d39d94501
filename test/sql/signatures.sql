-- What CREATE EXTENSION makes: names and arguments are a contract, and every
-- object has a comment.
\pset format unaligned

CREATE VIEW ours AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e
    ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'cachecluster' AND d.deptype = 'e';

SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result
FROM pg_proc p JOIN ours o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
WHERE p.proname NOT LIKE 'pg\_stat\_get%'
ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";

SELECT p.proname, p.provolatile, p.proparallel, p.proisstrict
FROM pg_proc p JOIN ours o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
ORDER BY p.proname COLLATE "C", p.oid;

SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
ORDER BY c.relname COLLATE "C", a.attnum;

SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a
WHERE a.attrelid = (SELECT typrelid FROM pg_type WHERE typname = 'cache_entry')
ORDER BY a.attnum;

-- without a comment
SELECT pg_describe_object(o.classid, o.objid, 0) FROM ours o
WHERE obj_description(o.objid, (SELECT relname FROM pg_class WHERE oid = o.classid)) IS NULL
ORDER BY 1;
DROP VIEW ours;

-- in a schema of its own it works alike, and the views find its functions
DROP EXTENSION cachecluster;
CREATE SCHEMA elsewhere;
CREATE EXTENSION cachecluster SCHEMA elsewhere;
SELECT elsewhere.cache_put('signatures', 'v'), elsewhere.cache_get('signatures');
SELECT elsewhere.cache_delete('signatures');
SELECT count(*) FROM elsewhere.pg_stat_cachecluster;
SELECT count(*) FROM elsewhere.pg_stat_cachecluster_peers;
DROP EXTENSION cachecluster;
DROP SCHEMA elsewhere;
CREATE EXTENSION cachecluster;
