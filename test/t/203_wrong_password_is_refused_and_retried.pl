# A peer that may not log in, or may not call the functions, is told in one
# clear log line and retried slowly, and joins once it may. No password appears
# anywhere.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1);
my $new = $group->add_node(
	password => 'open barley',
	conf => "cachecluster.startup_timeout = 1s\nlog_min_messages = debug1");
$group->start;
$group->wait_ready(1);
$group->psql(1, q{SELECT cache_put('k', 'v')});

my $passfile = $group->node($new)->basedir . '/peer.pass';

sub set_password
{
	my ($password) = @_;
	open my $file, '>', $passfile or die $!;
	print $file "*:*:*:$CacheCluster::Cluster::peer_role:$password\n";
	close $file;
	return;
}

# How often the log of a node says something.
sub said
{
	my ($which, $pattern) = @_;
	my $log = PostgreSQL::Test::Utils::slurp_file(
		$group->node($which)->logfile);
	return scalar(() = $log =~ /$pattern/g);
}

my $refusal = qr/cachecluster: peer \S+ refuses: password authentication failed/;

$group->wait_for_log($new, $refusal);
CacheCluster::Cluster::wait_until(
	'another try',
	sub { said(1, qr/FATAL: .*password authentication failed/) >= 2 });
is(said($new, $refusal), 1, 'the cause is said once, not at every try');
like(
	PostgreSQL::Test::Utils::slurp_file($group->node($new)->logfile),
	qr/$refusal.*pg_hba/,
	'with what to do about it');
like(
	$group->psql($new, q{SELECT last_error FROM cache_status()}),
	qr/refuses: password authentication failed/,
	'and stands in cache_status');
$group->wait_for($new, q{SELECT phase = 'ready' FROM cache_status()},
	'the end of startup_timeout');
is($group->psql($new, q{SELECT cache_has('k')}), 'f', 'nothing came in');

# The passfile is mended: no reload and no restart is needed.
set_password($group->{password});
$group->wait_reachable($new, 2);
$group->wait_converged;
is($group->psql($new, q{SELECT cache_get('k')}),
	'v', 'with the right password it joins');
$group->wait_for_log($new, qr/cachecluster: connected to peer/);
is($group->psql($new, q{SELECT last_error IS NULL FROM cache_status()}),
	't', 'and the error is no longer shown');

# The same for privileges, which end an open session too.
my $grant = "EXECUTE ON FUNCTION $CacheCluster::Cluster::peer_functions";
my $role = $CacheCluster::Cluster::peer_role;
my $denied =
  qr/cachecluster: peer \S+ refuses: permission denied for function cachecluster_hello/;
$group->wait_peer_state(1, $new, 'streaming');
$group->psql($new, "REVOKE $grant FROM $role");
$group->wait_for_log(1,
	qr/peer \S+ refuses: permission denied for function cachecluster_apply/);
$group->node(1)->reload;
$group->wait_for_log(1, $denied);
$group->node(1)->reload;
CacheCluster::Cluster::wait_until(
	'another try, which a reload does not wait for',
	sub { said($new, qr/ERROR: .*permission denied for function/) >= 3 });
is(said(1, $denied), 1, 'missing privileges are said once, too');
$group->psql($new, "GRANT $grant TO $role");
$group->node(1)->reload;
$group->wait_peer_state(1, $new, 'streaming');
$group->psql(1, q{SELECT cache_put('k', 'w')});
$group->wait_converged;
is($group->psql($new, q{SELECT cache_get('k')}), 'w', 'and mended likewise');

# An extension that is not there yet.
my $missing = qr/cachecluster: peer \S+ refuses: extension cachecluster does not/;
$group->psql($new, 'DROP EXTENSION cachecluster');
$group->wait_peer_state(1, $new, 'connecting');
$group->node(1)->reload;
$group->wait_for_log(1, $missing);
$group->psql($new, 'CREATE SCHEMA "odd Schema";'
	  . 'CREATE EXTENSION cachecluster SCHEMA "odd Schema";'
	  . "GRANT USAGE ON SCHEMA \"odd Schema\" TO $role;"
	  . 'GRANT EXECUTE ON FUNCTION '
	  . join(', ', map { qq{"odd Schema".$_} }
		split /, /, $CacheCluster::Cluster::peer_functions)
	  . " TO $role;");
$group->node(1)->reload;
$group->wait_peer_state(1, $new, 'streaming');
$group->psql(1, q{SELECT cache_put('k', 'x')});
$group->wait_for(
	$new,
	q{SELECT "odd Schema".cache_get('k') = 'x'},
	'a value through an extension in another schema');

foreach my $which (1, $new)
{
	my $log = PostgreSQL::Test::Utils::slurp_file(
		$group->node($which)->logfile);
	unlike($log, qr/open barley|$group->{password}/,
		"no password in the log of $which");
	unlike(
		$group->psql($which, 'SELECT p::text FROM '
			  . 'pg_stat_get_cachecluster_peers() p')
		  . $group->psql($which, 'SELECT last_error FROM cache_status()'),
		qr/open barley|$group->{password}|passfile/,
		'nor in what is shown')
	  if $which eq '1';
}

done_testing();
