# Whatever the seeds name - the node itself, one node several times, somebody
# who is no PostgreSQL, nobody, nonsense - the node joins those it can, calls
# each once, and says what is wrong with the others.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

# Answers whatever comes with rubbish.
my $rubbish = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	Listen => 5,
	Proto => 'tcp') or die "cannot listen: $@";
my $rubbish_port = $rubbish->sockport;
my $rubbish_pid = fork // die "fork: $!";
if ($rubbish_pid == 0)
{
	while (my $client = $rubbish->accept)
	{
		sysread $client, my $bytes, 8192;
		syswrite $client, "HTTP/1.1 400 Bad Request\r\n\r\n";
	}
	POSIX::_exit(0);
}
close $rubbish;

# Accepts and never answers.
my $silent = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	Listen => 5,
	Proto => 'tcp') or die "cannot listen: $@";
END
{
	local $?;
	kill 'KILL', $rubbish_pid and waitpid($rubbish_pid, 0) if $rubbish_pid;
}

my $group = CacheCluster::Cluster->new(nodes => 3);
my ($node1, $node2) = map { $group->node($_) } 1, 2;
my $password = "with ;semicolon and 'quotes'";

sub seeds
{
	my ($which, @seeds) = @_;
	my $list = join ';', @seeds;
	$list =~ s/\\/\\\\/g;
	$list =~ s/'/''/g;
	$group->node($which)
	  ->append_conf('postgresql.conf', "cachecluster.peers = '$list'");
	return;
}

(my $quoted = $password) =~ s/(['\\])/\\$1/g;
seeds(2,
	'host=localhost port=' . $node1->port,
	'host=' . $node1->host . ' port=' . $node1->port,
	'postgresql://127.0.0.1:' . $node1->port,
	'host=127.0.0.1,127.0.0.1 port=2,' . $node1->port,
	'host=localhost port=' . $node2->port,
	"host=127.0.0.1 port=$rubbish_port password='$quoted'",
	'host=127.0.0.1 port=' . $silent->sockport,
	'host=nobody.invalid port=5432',
	'host=127.0.0.1 port=1',
	'',
	' ',
	'host=10.0.0.1 nonsense=secret');
$group->start(1, 2);
$group->wait_for($_, q{SELECT phase = 'ready' FROM cache_status()},
	'phase ready')
  foreach 1, 2;
$group->wait_reachable($_, 2) foreach 1, 2;
$group->psql(1, q{SELECT cache_put('k', 'v')});
$group->wait_converged(1, 2);
is($group->psql(2, q{SELECT cache_get('k')}), 'v', 'it has joined');

# What is said of the others.
$group->wait_for_log(2,
	qr/cachecluster: peer 127\.0\.0\.1:$rubbish_port refuses: /);
$group->wait_for_log(2,
	qr/cachecluster: peer nobody\.invalid:5432 cannot be reached: its name cannot be resolved/);
$group->wait_for_log(2,
	qr/cachecluster: peer 127\.0\.0\.1:1 cannot be reached: Connection refused/);
my $silent_port = $silent->sockport;
$group->wait_for_log(2,
	qr/cachecluster: peer 127\.0\.0\.1:$silent_port cannot be reached: it does not answer/);
$group->wait_for_log(2,
	qr/WARNING: .*seed 12 of cachecluster.peers is not a valid connection string/);
my $log = PostgreSQL::Test::Utils::slurp_file($node2->logfile);
unlike($log, qr/secret|semicolon/, 'nothing but host and port is in the log');
my $said = () = $log =~ /127\.0\.0\.1:1 cannot be reached/g;
is($said, 1, 'each thing is said once');

# However many addresses lead to it, a node is called once, and never itself.
my $callers = q{
	SELECT count(*) FROM pg_stat_activity
	WHERE application_name = 'cachecluster/node2' AND state IS NOT NULL};
$group->wait_for(1, "$callers HAVING count(*) = 1", 'one call', '1');
$group->wait_for(2, "$callers HAVING count(*) = 0", 'no call of itself', '0');
is( $group->psql(2,
		q{SELECT count(*), sum(reconnects) FROM pg_stat_cachecluster_peers}),
	'1|0',
	'one peer, one session');

# When that session breaks another address serves as well.
$group->psql(1, q{
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE application_name = 'cachecluster/node2'});
$group->wait_for(2,
	q{SELECT reconnects > 0 AND state = 'streaming'
	  FROM pg_stat_cachecluster_peers}, 'another session');

# A seed that is added by SQL, and by a reload.
$group->set_seeds(3);
$group->start(3);
$group->wait_for(3, q{SELECT phase = 'ready' FROM cache_status()},
	'a node without seeds to be ready alone');
$group->psql(3, q{SELECT cache_put('k3', 'v3')});
$group->psql(3, 'SELECT cache_join($$' . $group->address(1) . '$$)');
$group->wait_reachable($_, 3) foreach 1 .. 3;
$group->wait_converged;
is($group->psql(2, q{SELECT cache_get('k3')}),
	'v3', 'cache_join: a node brings what it has');
is($group->psql(3, q{SELECT cache_get('k')}),
	'v', 'and gets what there is');
$group->same_digest('all are the same');
$group->set_seeds(2, 3);
$group->psql(2, q{SELECT cache_put('after', 'reload')});
$group->wait_reachable($_, 3) foreach 1 .. 3;
$group->wait_converged;
$group->same_digest('and go on so with other seeds');

# Options of all connections change.
my $offset = $group->log_offset(2);
$node2->append_conf('postgresql.conf',
	"cachecluster.peer_conninfo = 'host is missing its equals sign'");
$node2->reload;
$group->wait_for_log(2,
	qr/cachecluster.peer_conninfo is not a valid connection string/, $offset);
unlike(
	PostgreSQL::Test::Utils::slurp_file($node2->logfile, $offset),
	qr/equals sign" in connection/,
	'an invalid setting is not quoted by us');

done_testing();
