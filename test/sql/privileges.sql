-- Everybody may use the data functions, nobody those of the group.
SELECT cache_wait_ready('60 s');
CREATE ROLE cache_user;
CREATE ROLE cache_monitor;
CREATE ROLE cache_peer;
GRANT pg_read_all_stats TO cache_monitor;
GRANT EXECUTE ON FUNCTION cachecluster_hello(bytea), cachecluster_apply(bytea) TO cache_peer;

SET ROLE cache_user;
SELECT cache_put('priv:1', 'v'), cache_get('priv:1'), cache_has('priv:1'),
       cache_touch('priv:1', '1 h'), cache_persist('priv:1'), cache_ttl('priv:1');
SELECT key FROM cache_entries('priv:%');
SELECT * FROM cache_keys('priv:%');
SELECT cache_incr('priv:2'), cache_delete('priv:2'), cache_count() > 0;

SELECT * FROM cache_status();
\echo :LAST_ERROR_SQLSTATE
SELECT cache_wait_ready('1 s');
SELECT cache_wait_converged('1 s');
SELECT cache_join('host=127.0.0.1 port=1');
SELECT cache_forget('x');
SELECT cachecluster_hello('');
SELECT cachecluster_apply('');
SELECT * FROM pg_stat_cachecluster;
SELECT * FROM pg_stat_cachecluster_peers;
SELECT * FROM pg_stat_get_cachecluster();
SELECT pg_stat_cachecluster_reset();

-- statistics follow pg_read_all_stats
SET ROLE cache_monitor;
SELECT phase FROM cache_status();
SELECT cache_wait_ready('1 s'), cache_wait_converged('10 s');
SELECT entries > 0 FROM pg_stat_cachecluster;
SELECT count(*) FROM pg_stat_cachecluster_peers;
SELECT cache_join('host=127.0.0.1 port=1');
SELECT pg_stat_cachecluster_reset();

-- a peer sends what it likes: the answer is a refusal, not an error
SET ROLE cache_peer;
SELECT length(cachecluster_hello('rubbish')) > 0;
SELECT length(cachecluster_hello('')) > 0;
SELECT length(cachecluster_apply('')) > 0;
SELECT length(cachecluster_apply(decode(repeat('43435031', 1000), 'hex'))) > 0;
RESET ROLE;
SELECT phase FROM cache_status();

SELECT cache_get('priv:1');
SELECT cache_delete('priv:1');
REVOKE EXECUTE ON FUNCTION cachecluster_hello(bytea), cachecluster_apply(bytea) FROM cache_peer;
DROP ROLE cache_user;
DROP ROLE cache_monitor;
DROP ROLE cache_peer;
