# A restart keeps the cache: entries of every type with their versions and
# deadlines, deletes, the node's identity and the seeds given by cache_join.
# What ended while the server was down does not come back. A writer that is
# terminated loses nothing and comes back, and with persist = off the cache
# begins empty under the same identity.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $entries_sql = q{
	SELECT string_agg(e::text, E'\n' ORDER BY key COLLATE "C")
	FROM cache_entries() AS e};
my $id_sql = 'SELECT node_id FROM cache_status()';

my $group = CacheCluster::Cluster->new(nodes => 1,
	conf => "cachecluster.startup_timeout = 1s\n");
$group->start;
$group->wait_ready;
my $id = $group->psql(1, $id_sql);

my $filled = time;

sub fill
{
	$filled = time;
	$group->psql(1, q{
		SELECT cache_put('text', 'value'),
			cache_put('json', '{"a": 1}'::jsonb, ttl => '1 hour'),
			cache_put('bytes', '\xdeadbeef'::bytea),
			cache_put('null', NULL::text),
			cache_put('long', repeat('0123456789', 50000)),
			cache_put('gone', 'x'),
			cache_put('touched', 'x', ttl => '1 s'),
			cache_put('short', 'x', ttl => '1 s');
		SELECT cache_incr('counter', 3), cache_incr('counter', 4);
		SELECT cache_delete('gone'), cache_touch('touched', '1 hour');
	});
	return $group->psql(1, "$entries_sql WHERE key <> 'short'");
}

# Restarts the server, but not before what ends soon has ended.
sub restart
{
	my ($how) = @_;
	my $node = $group->node(1);
	$node->stop('fast') if $how eq 'fast';
	$group->kill9(1) if $how eq 'kill9';
	CacheCluster::Cluster::wait_until('the short entries to end',
		sub { time > $filled + 2 });
	my $offset = $group->log_offset(1);
	$node->start;
	$group->wait_ready;
	return $offset;
}

# The workers have no database and do not stand in pg_stat_activity.
sub writer_pid
{
	my $postmaster = $group->node(1)->{_pid};
	foreach my $pid (split ' ',
		slurp_file("/proc/$postmaster/task/$postmaster/children"))
	{
		return $pid
		  if CacheCluster::Cluster::command_line($pid) =~ /cachecluster writer/;
	}
	return 0;
}

# Nobody listens there; what counts is that it is tried after each start.
my $seed = 'host=127.0.0.1 port=1';
$group->psql(1, "SELECT cache_join('$seed')");

my $before = fill();
my $offset = restart('fast');
is($group->psql(1, $entries_sql), $before,
	'entries, versions and deadlines are the same');
is($group->psql(1, $id_sql), $id, 'the identity is the same');
is($group->psql(1, q{SELECT cache_get('gone') IS NULL}), 't',
	'a deleted entry does not come back');
is($group->psql(1, q{SELECT cache_has('short')}), 'f',
	'nor does one that ended meanwhile');
is($group->psql(1, q{SELECT cache_incr('counter')}), '8', 'counters go on');
like(slurp_file($group->node(1)->logfile, $offset),
	qr/loaded \d+ entries in \d+ ms/, 'the log says what was loaded');
unlike(slurp_file($group->node(1)->logfile, $offset),
	qr/WARNING/, 'without a warning');
is($group->psql(1, q{
	SELECT load_ms >= 0 AND snapshot_at < now() FROM pg_stat_cachecluster}),
	't', 'the view knows of it');

# The files are written anew from memory, so they show what was loaded.
restart('fast');
like(join('', map { slurp_file($_) }
		  glob $group->node(1)->data_dir . '/cachecluster/*.snapshot.*'),
	qr/\Q$seed\E/, 'the seed that cache_join gave is remembered');
$group->psql(1, q{SELECT cache_delete('counter')});

# The writer goes, nothing else does. What is put meanwhile stands in memory.
$before = fill();
my $pid = writer_pid() or die 'no writer';
kill 'TERM', $pid;
CacheCluster::Cluster::wait_until('the writer to go',
	sub { writer_pid() != $pid });
$group->psql(1, q{SELECT cache_put('meanwhile', 'x')});
is($group->psql(1, "$entries_sql WHERE key NOT IN ('short', 'meanwhile')"),
	$before, 'a terminated writer costs nothing');
CacheCluster::Cluster::wait_until('the writer to come back',
	sub { writer_pid() != 0 });

# A snapshot begins with it; what is behind a written journal is safe.
$group->wait_for(1, q{
	SELECT snapshot_at > now() - interval '1 minute'
	FROM pg_stat_cachecluster}, 'a snapshot');
$group->psql(1, q{
	ALTER SYSTEM SET cachecluster.journal_sync = 'always'});
$group->node(1)->reload;
$group->wait_for(1, q{SHOW cachecluster.journal_sync}, 'the setting', 'always');
$group->psql(1, q{SELECT cache_put('always', 'x')});
restart('kill9');
is($group->psql(1,
		"$entries_sql WHERE key NOT IN ('meanwhile', 'always')"),
	$before, 'nor after the postmaster was killed');
is($group->psql(1, q{SELECT cache_get('meanwhile') || cache_get('always')}),
	'xx', 'what was put without a writer, and behind its successor, is there');
is($group->psql(1, $id_sql), $id, 'the identity is still the same');

# Without files.
$group->node(1)->append_conf('postgresql.conf', 'cachecluster.persist = off');
restart('fast');
is($group->psql(1, 'SELECT cache_count()'), '0',
	'with persist = off the cache begins empty');
is($group->psql(1, $id_sql), $id, 'under the same identity');
$group->psql(1, q{SELECT cache_put('k', 'v')});
restart('fast');
is($group->psql(1, 'SELECT cache_count()'), '0', 'each time');

$group->node(1)->append_conf('postgresql.conf', 'cachecluster.persist = on');
restart('fast');
$group->psql(1, q{SELECT cache_put('k', 'v')});
restart('fast');
is($group->psql(1, q{SELECT cache_get('k')}), 'v',
	'entries are kept again from then on');

done_testing();
