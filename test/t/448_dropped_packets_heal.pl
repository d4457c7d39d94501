# The same without a proxy: servers in network namespaces of their own, and
# packets that are dropped without a word, in both directions or in one. The
# islands are told, both go on, and what they wrote is healed by the policies.
#
# A user namespace gives the rights for that to whoever runs the test; where it
# may not be made, the test is skipped.

use strict;
use warnings;

use Test::More;

use PostgreSQL::Test::Utils;

BEGIN
{
	my @try = qw(unshare --user --map-current-user --keep-caps --net
	  ip link add cctest1 type veth peer name cctest2);
	unless ($ENV{CC_NETWORK_NAMESPACE})
	{
		open my $stdout, '>&', \*STDOUT or die "dup: $!";
		open my $stderr, '>&', \*STDERR or die "dup: $!";
		open STDOUT, '>', '/dev/null' or die "/dev/null: $!";
		open STDERR, '>', '/dev/null' or die "/dev/null: $!";
		my $ok = system(@try) == 0;
		open STDOUT, '>&', $stdout or die "dup: $!";
		open STDERR, '>&', $stderr or die "dup: $!";
		plan skip_all => 'network namespaces may not be made here'
		  unless $ok;
		$ENV{CC_NETWORK_NAMESPACE} = 1;
		exec @try[ 0 .. 4 ], $^X, (map { "-I$_" } @INC), $0;
	}
}

use CacheCluster::Cluster;

my $nodes = 3;

# By node: the process that holds its network namespace, and the end of the
# pipe whose closing ends that process.
my (%holder, %pipe);

sub run
{
	my (@command) = @_;
	system(@command) == 0 or BAIL_OUT("failed: @command");
	return;
}

sub inside { my ($which, @command) = @_;
	return ('nsenter', '-t', $holder{$which}, '-n', @command); }

sub mac { my ($x, $y) = @_; return "02:00:00:00:0$x:0$y"; }

# A network namespace for each node. Each pair of nodes has a wire of its own,
# and each node one address, by which it is reached over all of its wires.
foreach my $which (1 .. $nodes)
{
	$holder{$which} = open $pipe{$which}, '|-', 'unshare', '--net', 'cat'
	  or BAIL_OUT("unshare: $!");
	my $own = readlink '/proc/self/ns/net';
	CacheCluster::Cluster::wait_until("a network namespace for node$which",
		sub { (readlink("/proc/$holder{$which}/ns/net") // $own) ne $own });
	run(inside($which, qw(ip link set lo up)));
	run(inside($which, 'ip', 'address', 'add', "10.77.0.$which/32", 'dev', 'lo'));
}
foreach my $x (1 .. $nodes)
{
	foreach my $y ($x + 1 .. $nodes)
	{
		run(qw(ip link add), "cc$x$y", 'address', mac($x, $y), 'type', 'veth',
			'peer', 'name', "cc$y$x", 'address', mac($y, $x));
		foreach my $end ([ $x, $y ], [ $y, $x ])
		{
			my ($from, $to) = @$end;
			run('ip', 'link', 'set', "cc$from$to", 'netns', $holder{$from});
			run(inside($from, 'ip', 'link', 'set', "cc$from$to", 'up'));
			run(inside($from, 'ip', 'route', 'add', "10.77.0.$to/32", 'dev',
				"cc$from$to", 'src', "10.77.0.$from"));
		}
	}
}

# What one node sends to another arrives, or is dropped on the way: it carries
# an address of Ethernet that the other end does not have.
sub packets
{
	my ($from, $to, $arrive) = @_;
	run(inside($from, 'ip', 'neighbour', 'replace', "10.77.0.$to", 'lladdr',
		$arrive ? mac($to, $from) : '02:00:00:00:00:99', 'dev', "cc$from$to",
		'nud', 'permanent'));
	return;
}

sub wires
{
	my ($arrive, $side, $other_side) = @_;
	foreach my $x (@$side)
	{
		foreach my $y (@$other_side)
		{
			packets($x, $y, $arrive);
			packets($y, $x, $arrive);
		}
	}
	return;
}

wires(1, [1], [ 2, 3 ]);
wires(1, [2], [3]);

my $group = CacheCluster::Cluster->new(nodes => $nodes);
my $bin = PostgreSQL::Test::Utils::tempdir();
my $pg_ctl = $group->node(1)->installed_command('pg_ctl');
($pg_ctl) = grep { -x } map { "$_/pg_ctl" } split /:/, $ENV{PATH}
  unless $pg_ctl =~ m{/};
foreach my $which (1 .. $nodes)
{
	my $node = $group->node($which);
	my $address = sub { 'host=10.77.0.' . $_[0] . ' port='
		  . $group->node($_[0])->port };
	my $seeds = $which == 1 ? '' : $address->(1);
	$node->append_conf('postgresql.conf', qq{
listen_addresses = '10.77.0.$which'
cachecluster.advertise = '@{[ $address->($which) ]}'
cachecluster.peers = '$seeds'
});
	$node->append_conf('pg_hba.conf', "host all all 10.77.0.0/24 scram-sha-256\n");

	# Whoever starts the server does so inside.
	mkdir "$bin/$which" or BAIL_OUT("mkdir: $!");
	append_to_file("$bin/$which/pg_ctl",
		"#!/bin/sh\nexec @{[ inside($which, $pg_ctl) ]} \"\$@\"\n");
	chmod 0755, "$bin/$which/pg_ctl" or BAIL_OUT("chmod: $!");
	local $ENV{PATH} = "$bin/$which:$ENV{PATH}";
	$node->start;
}
$group->wait_ready;
$group->psql_all(q{
	CREATE FUNCTION joined(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		ours.value := least(ours.value, theirs.value) || '+'
			|| greatest(ours.value, theirs.value);
		RETURN ours;
	END $$});
$group->psql(1, q{
	SELECT cache_namespace('oldest', on_split => 'oldest_island');
	SELECT cache_namespace('joined');
	SELECT cache_set_merge('joined', 'joined(cache_entry,cache_entry)')});
$group->wait_converged;

sub write_apart
{
	my ($round, @which) = @_;
	foreach my $which (@which)
	{
		$group->psql($which, qq{
			SELECT count(cache_put('k' || i, '$round of $which', namespace => n)),
				count(cache_put('only $which:' || i, '$round', namespace => n))
			FROM unnest('{default,oldest,joined}'::text[]) n,
				generate_series(1, 100) i});
	}
	return;
}

sub healed
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$group->wait_reachable($_, $nodes) foreach 1 .. $nodes;
	$group->wait_converged;
	$group->same_contents("$what: all hold the same");
	is( $group->psql($_, q{
			SELECT (SELECT count(*) FROM cache_splits WHERE healed_at IS NULL),
				(SELECT conflicts_pending FROM cache_status())}),
		'0|0', "$what: node$_: nothing is open") foreach 1 .. $nodes;
	return;
}

# All packets, both ways.
wires(0, [1], [ 2, 3 ]);
$group->wait_for(1, q{SELECT reachable = 1 FROM cache_status()},
	'node1 to be alone');
$group->wait_for($_, q{SELECT reachable = 2 FROM cache_status()},
	'the others to be two') foreach 2, 3;
is( $group->psql(1, q{
		SELECT string_agg(peer, ',' ORDER BY peer) FROM cache_splits
		WHERE healed_at IS NULL}),
	'node2,node3',
	'the islands are told');
write_apart(1, 1, 3);
wires(1, [1], [ 2, 3 ]);
healed('dropped both ways');
is($group->psql(2, q{
	SELECT cache_get('k7', 'joined'), cache_get('k7', 'oldest'),
		cache_get('k7'), cache_has('only 3:7', 'oldest'),
		cache_has('only 1:7', 'oldest'), cache_has('only 3:7', 'joined')}),
	'1 of 1+1 of 3|1 of 1|1 of 3|f|t|t', 'by the policies');

# Node 3 hears the others, and they do not hear it.
packets(3, $_, 0) foreach 1, 2;
$group->wait_for($_, q{SELECT reachable = 2 FROM cache_status()},
	'the others to be two') foreach 1, 2;
$group->wait_for(3, q{SELECT reachable = 1 FROM cache_status()},
	'node3 to be alone');
write_apart(2, 1, 3);
packets(3, $_, 1) foreach 1, 2;
healed('dropped one way');
is($group->psql(2, q{
	SELECT cache_get('k7', 'joined'), cache_get('k7', 'oldest')}),
	'2 of 1+2 of 3|2 of 1', 'by the policies, too');

# One wire only: the third node relays, and nothing is apart.
my $splits = $group->psql(1, 'SELECT count(*) FROM cache_splits');
wires(0, [1], [2]);
$group->wait_peer_state(1, 2, 'down');
$group->wait_peer_state(2, 1, 'down');
write_apart(3, 1, 2);
$group->wait_for($_, q{SELECT cache_get('k100', 'joined') = '3 of 2'},
	'writes through the third node') foreach 1 .. 3;
wires(1, [1], [2]);
healed('one wire');
is($group->psql(1, 'SELECT count(*) FROM cache_splits'), $splits,
	'which is no split');
is($group->psql(3, q{SELECT cache_get('k7', 'joined')}), '3 of 2',
	'and no conflict');

# The servers are stopped from inside, before the network goes.
$group->stop;
close $_ foreach values %pipe;
done_testing();
