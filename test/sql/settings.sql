-- The settings: names, defaults, and who may set them when.
SELECT name, boot_val, unit, vartype, context, min_val, max_val, enumvals
FROM pg_settings WHERE name LIKE 'cachecluster.%'
ORDER BY name COLLATE "C";

-- each has a description that is a sentence
SELECT name, short_desc FROM pg_settings
WHERE name LIKE 'cachecluster.%' AND short_desc !~ '^[A-Z].*\.$';

-- the prefix is reserved
SET cachecluster.no_such_setting = 1;
\echo :LAST_ERROR_SQLSTATE

SET cachecluster.sync_timeout = '2s';
SHOW cachecluster.sync_timeout;
SET cachecluster.transactional = off;
SHOW cachecluster.transactional;
SET cachecluster.peer_timeout = '2s';
\echo :LAST_ERROR_SQLSTATE
SET cachecluster.memory = '1GB';
\echo :LAST_ERROR_SQLSTATE
SET cachecluster.sync_timeout = '-1';
\echo :LAST_ERROR_SQLSTATE

-- connection strings may hold a password
CREATE ROLE settings_user;
SET ROLE settings_user;
\set VERBOSITY sqlstate
SHOW cachecluster.peers;
SHOW cachecluster.peer_conninfo;
\set VERBOSITY default
SHOW cachecluster.node_name;
RESET ROLE;
DROP ROLE settings_user;
