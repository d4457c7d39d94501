-- Patterns are LIKE's: whatever the pattern, a listing shows what LIKE finds.
SELECT cache_wait_ready('60 s');
\pset format unaligned

CREATE TEMP TABLE letters (l text);
INSERT INTO letters VALUES ('a'), ('%'), ('_'), ('\'), (U&'\00E4'), ('B');
CREATE TEMP TABLE words AS
SELECT a.l AS w FROM letters a
UNION ALL SELECT a.l || b.l FROM letters a, letters b
UNION ALL SELECT a.l || b.l || c.l FROM letters a, letters b, letters c;

SELECT cache_put_many(array_agg('l' || w), array_agg(w)) FROM words;

-- a pattern that ends with an escape is an error, whatever keys there are
SELECT count(*) FROM cache_keys('l\');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM cache_keys('no such key\');
SELECT count(*) FROM cache_keys('l%a\\\');
SELECT cache_keys('l\\\\') IS NOT NULL AS ends_with_two;

CREATE FUNCTION whole(pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT length(substring(pattern FROM '\\*$')) % 2 = 0 $$;

SELECT count(*) AS patterns, sum(cardinality(found)) AS found,
       count(*) FILTER (WHERE found IS DISTINCT FROM expected) AS wrong
FROM (SELECT ARRAY(SELECT cache_keys('l' || p.w)) AS found,
             ARRAY(SELECT 'l' || k.w FROM words k WHERE 'l' || k.w LIKE 'l' || p.w
                   ORDER BY ('l' || k.w) COLLATE "C") AS expected
      FROM words p WHERE whole(p.w)) s;

-- entries as keys
SELECT count(*) FILTER (WHERE k IS DISTINCT FROM e) AS wrong
FROM (SELECT ARRAY(SELECT cache_keys('l' || p.w)) AS k,
             ARRAY(SELECT key FROM cache_entries('l' || p.w)) AS e
      FROM words p WHERE whole(p.w) AND length(p.w) < 3) s;

-- several wildcards, also where they are at an end
SELECT p, count(cache_keys) FROM unnest(ARRAY['%', '%%', 'l%%', '%l', '_%_', '____', '_____',
    'l%a%', '%a%B', '%\%%', '%\_', 'l\a%', '\l%', '\l\a', 'l\\%', 'L%', 'l_\%_%', 'l%\\']) p,
    LATERAL cache_keys(p) WHERE cache_keys LIKE 'l%' GROUP BY p ORDER BY p COLLATE "C";

-- the collation of the pattern does not matter, nor its length
SELECT count(*) FROM cache_keys('lA%' COLLATE "C");
SELECT count(*) FROM cache_keys(repeat('l', 1025));
SELECT count(*) FROM cache_keys(repeat('l', 1025) || '%');
SELECT count(*) FROM cache_keys(repeat('%', 100000));
SELECT count(*) FROM cache_keys(repeat('%_', 20) || 'x');
SELECT cache_put(repeat('l', 1024), 'v');
SELECT count(*) FROM cache_keys(repeat('l', 1024));
SELECT count(*) FROM cache_keys(repeat('\l', 1024));
SELECT count(*) FROM cache_keys(repeat('l', 1024) || '%');
SELECT count(*) FROM cache_keys(repeat('l', 1023) || '_');

-- and so for deletes
SELECT cache_delete_like('l\%%') = (SELECT count(*) FROM words WHERE 'l' || w LIKE 'l\%%') AS agrees;
SELECT cache_delete_like('l_\_') = (SELECT count(*) FROM words
    WHERE 'l' || w LIKE 'l_\_' AND w NOT LIKE '\%%') AS agrees;
SELECT count(*) = (SELECT count(*) FROM words WHERE 'l' || w NOT LIKE 'l\%%' AND 'l' || w NOT LIKE 'l_\_') AS agrees
FROM cache_keys('l%') k WHERE length(k) < 5;
SELECT cache_delete_like('l%') > 0, cache_delete_like('l%');
DROP FUNCTION whole;
