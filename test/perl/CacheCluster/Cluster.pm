# A group of PostgreSQL servers that share a cache, for TAP tests.
#
# Each node is a PostgreSQL::Test::Cluster on 127.0.0.1 with a port of its own,
# an independent primary. Tests talk to it over its private Unix socket; peers
# come over TCP, with SCRAM, as the role cachecluster_peer. Nodes are called
# node1, node2 ...; every method takes a name or a number for a node.
#
#	my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
#	$group->start;
#	$group->wait_ready;
#	$group->psql(1, q{SELECT cache_put('k', 'v')});
#	$group->split([1], [2, 3]);
#	$group->wait_peer_state(1, 2, 'down');
#	$group->mend;
#	$group->wait_converged;
#	$group->same_digest('after the partition');
#
# Servers and proxies end with the test.

package CacheCluster::Cluster;

use strict;
use warnings;

use Carp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Proxy;

our $peer_role = 'cachecluster_peer';

# What a role needs in order to be a peer.
our $peer_functions = 'cachecluster_apply(bytea), cachecluster_hello(bytea)';

# Small and quick: a peer is noticed to be gone within a second.
my $base_conf = q{
shared_preload_libraries = 'cachecluster'
shared_buffers = 16MB
log_statement = none
cachecluster.memory = 64MB
cachecluster.heartbeat_interval = 100ms
cachecluster.peer_timeout = 1s
};

# new(nodes => 3, seeds => 'first', proxy => 0, conf => '', password => '...')
#
# Makes the nodes and starts none of them.
#   nodes     how many
#   seeds     'first': all name node1 as their seed, and node1 has none, so the
#             cluster id is made at once; 'all': everyone names everyone, and
#             the id is made when startup_timeout has passed
#   proxy     each node is reached by its peers through a proxy of its own
#   conf      lines added to every postgresql.conf
#   password  the peers' password; what add_node is told may differ
sub new
{
	my ($class, %arg) = @_;
	my $self = bless {
		seeds => $arg{seeds} || 'first',
		proxied => $arg{proxy},
		conf => $arg{conf} || '',
		password => $arg{password} || 'sesame',
		names => [],
		node => {},
		proxy => {}
	}, $class;

	my $count = $arg{nodes} || 3;
	$self->make_node("node$_") foreach 1 .. $count;
	foreach my $name ($self->names)
	{
		my @others = grep { $_ ne $name } $self->names;
		@others = grep { $_ eq 'node1' } @others if $self->{seeds} eq 'first';
		$self->set_seeds($name, @others);
	}
	return $self;
}

# Makes one more node, not started: add_node(seeds => [1], conf => '',
# password => what it logs in with). Returns its name.
sub add_node
{
	my ($self, %arg) = @_;
	my $name = 'node' . (1 + $self->names);
	$self->make_node($name, %arg);
	$self->set_seeds($name, @{ $arg{seeds} || [1] });
	return $name;
}

sub make_node
{
	my ($self, $name, %arg) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	push @{ $self->{names} }, $name;
	$self->{node}{$name} = $node;
	$self->{proxy}{$name} =
	  CacheCluster::Proxy->new(target_port => $node->port)
	  if $self->{proxied};
	prepare_database($node, $self->{password});

	my $passfile = $node->basedir . '/peer.pass';
	PostgreSQL::Test::Utils::append_to_file($passfile,
		"*:*:*:$peer_role:" . ($arg{password} || $self->{password}) . "\n");
	chmod 0600, $passfile or croak "chmod $passfile: $!";

	my $address = $self->address($name);
	$node->append_conf('postgresql.conf', $base_conf . qq{
listen_addresses = '127.0.0.1'
cachecluster.node_name = '$name'
cachecluster.advertise = '$address'
cachecluster.peer_conninfo = 'user=$peer_role passfile=$passfile sslmode=disable gssencmode=disable'
} . $self->{conf} . "\n" . ($arg{conf} || '') . "\n");

	# Nobody comes in over TCP without a password.
	unlink $node->data_dir . '/pg_hba.conf';
	$node->append_conf('pg_hba.conf',
		"local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
	return;
}

# Makes a hot standby of a running node, not started: add_standby(of => 1,
# conf => ''). Its seed is its primary. Returns its name.
sub add_standby
{
	my ($self, %arg) = @_;
	my $primary = $self->node($arg{of} || 1);
	my $name = 'node' . (1 + $self->names);
	$primary->append_conf('pg_hba.conf', "local replication all trust\n");
	$primary->reload;
	$primary->backup($name);
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init_from_backup($primary, $name, has_streaming => 1);
	push @{ $self->{names} }, $name;
	$self->{node}{$name} = $node;
	$self->{proxy}{$name} =
	  CacheCluster::Proxy->new(target_port => $node->port)
	  if $self->{proxied};
	my $address = $self->address($name);
	$node->append_conf('postgresql.conf', qq{
listen_addresses = '127.0.0.1'
hot_standby = on
cachecluster.node_name = '$name'
cachecluster.advertise = '$address'
} . ($arg{conf} || '') . "\n");
	$self->set_seeds($name, $arg{of} || 1);
	return $name;
}

# Role and extension are there before the server first starts, so that no peer
# is refused for lack of them. "-j" ends a statement at an empty line.
sub prepare_database
{
	my ($node, $password) = @_;
	my $sql = join ";\n\n",
	  "CREATE ROLE $peer_role LOGIN PASSWORD '$password'",
	  'CREATE EXTENSION cachecluster',
	  "GRANT EXECUTE ON FUNCTION $peer_functions TO $peer_role", '';
	my $output;
	my $ok = IPC::Run::run [
		$node->installed_command('postgres'), '--single', '-j', '-D',
		$node->data_dir, '-c', 'exit_on_error=on', 'postgres'
	  ],
	  '<', \$sql, '>', \$output, '2>&1';
	BAIL_OUT("cannot prepare the database: $output") unless $ok;
	return;
}

# Conninfo by which peers reach a node.
sub address
{
	my ($self, $which) = @_;
	my $port =
	  $self->{proxied} ? $self->proxy($which)->port : $self->node($which)->port;
	return "host=127.0.0.1 port=$port";
}

# Sets a node's seeds; a running one reloads.
sub set_seeds
{
	my ($self, $which, @seeds) = @_;
	my $node = $self->node($which);
	my $seeds = join ';', map { $self->address($_) } @seeds;
	$node->append_conf('postgresql.conf', "cachecluster.peers = '$seeds'");
	$node->reload if defined $node->{_pid};
	return;
}

sub names { my ($self) = @_; return @{ $self->{names} }; }

sub name
{
	my ($self, $which) = @_;
	my $name = $which =~ /^\d+$/ ? "node$which" : $which;
	croak "no node $name" unless $self->{node}{$name};
	return $name;
}

# The PostgreSQL::Test::Cluster behind a name.
sub node
{
	my ($self, $which) = @_;
	return $self->{node}{ $self->name($which) };
}

sub proxy
{
	my ($self, $which) = @_;
	return $self->{proxy}{ $self->name($which) } || croak 'no proxy asked for';
}

# Those given, or all.
sub some { my ($self, @which) = @_; return @which ? @which : $self->names; }

# Those given, or all that run.
sub running
{
	my ($self, @which) = @_;
	return @which if @which;
	return grep { defined $self->node($_)->{_pid} } $self->names;
}

sub start
{
	my ($self, @which) = @_;
	$self->node($_)->start foreach $self->some(@which);
	return;
}

sub stop
{
	my ($self, @which) = @_;
	$self->node($_)->stop('fast') foreach $self->running(@which);
	return;
}

sub restart
{
	my ($self, @which) = @_;
	$self->node($_)->restart foreach $self->some(@which);
	return;
}

# Kills the postmaster and waits until all its processes are gone and the data
# directory can be used again. A dead process that its parent has not collected
# still looks alive to PostgreSQL, so its lock files are removed then.
sub kill9
{
	my ($self, $which) = @_;
	my $node = $self->node($which);
	my $lock = $node->data_dir . '/postmaster.pid';
	my $memory = (split /\s+/, PostgreSQL::Test::Utils::slurp_file($lock))[-2];
	my $pid = $node->{_pid};
	$node->kill9;
	wait_until("all processes of $which to end",
		sub { is_dead($pid) && shared_memory_is_free($memory) });
	unlink $lock, $node->host . '/.s.PGSQL.' . $node->port . '.lock';
	return;
}

# What a process is called, or '' when it has just gone.
sub command_line
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/cmdline" or return '';
	my $line = <$file>;
	close $file;
	return $line // '';
}

sub is_dead
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return 1;
	my $line = <$file>;
	return !defined $line || $line =~ /\) Z /;
}

# PostgreSQL keeps a small System V segment for as long as one of its processes
# lives; the seventh field of its line is the number of those attached.
sub shared_memory_is_free
{
	my ($id) = @_;
	open my $file, '<', '/proc/sysvipc/shm' or return 1;
	while (<$file>)
	{
		my @field = split;
		return $field[6] == 0 if $field[1] eq $id;
	}
	return 1;
}

# Runs SQL on a node and returns what psql prints; dies on an error.
sub psql
{
	my ($self, $which, $sql) = @_;
	return $self->node($which)->safe_psql('postgres', $sql);
}

# Waits until $check returns true, and dies with $what after the default
# timeout of PostgreSQL's tests.
sub wait_until
{
	my ($what, $check) = @_;
	my $attempts = 10 * $PostgreSQL::Test::Utils::timeout_default;
	while ($attempts-- > 0)
	{
		return 1 if $check->();
		select undef, undef, undef, 0.1;
	}
	croak "timed out waiting for $what";
}

# Waits until a query on a node returns $expected ('t'). On failure it shows
# what the node thinks of itself and of its peers, and dies.
sub wait_for
{
	my ($self, $which, $query, $what, $expected) = @_;
	my $node = $self->node($which);
	return 1 if $node->poll_query_until('postgres', $query, $expected);
	$self->report($self->names);
	croak "timed out on " . $self->name($which) . " waiting for $what";
}

# Prints the state of nodes as diagnostics.
sub report
{
	my ($self, @which) = @_;
	foreach my $which (@which)
	{
		my ($status, $out, $err) = $self->node($which)->psql(
			'postgres', q{
\x
SELECT * FROM cache_status();
SELECT * FROM pg_stat_cachecluster;
SELECT * FROM pg_stat_cachecluster_peers;
}, timeout => 10);
		diag('state of ' . $self->name($which) . ":\n" . ($out // '')
			  . ($err // ''));
	}
	return;
}

# Waits until the nodes (all that run) are ready and until each can reach as
# many members as there are nodes named.
sub wait_ready
{
	my ($self, @which) = @_;
	@which = $self->running(@which);
	foreach my $which (@which)
	{
		$self->wait_for($which,
			q{SELECT phase = 'ready' FROM cache_status()},
			'phase ready');
		$self->wait_reachable($which, scalar @which);
	}
	return 1;
}

# Waits until a node reaches at least $count members, itself included.
sub wait_reachable
{
	my ($self, $which, $count) = @_;
	return $self->wait_for($which,
		"SELECT reachable >= $count FROM cache_status()",
		"$count reachable members");
}

# Waits until the nodes (all that run) have seen all of each other's writes.
sub wait_converged
{
	my ($self, @which) = @_;
	foreach my $which ($self->running(@which))
	{
		next
		  if $self->psql($which, q{SELECT cache_wait_converged('60 s')}) eq 't';
		$self->report($self->names);
		croak 'timed out on ' . $self->name($which) . ' waiting to converge';
	}
	return 1;
}

# Waits until one node sees another in a state.
sub wait_peer_state
{
	my ($self, $which, $peer, $state) = @_;
	$peer = $self->name($peer);
	return $self->wait_for($which, qq{
		SELECT coalesce((SELECT state = '$state'
						 FROM pg_stat_cachecluster_peers
						 WHERE node_name = '$peer'), false)},
		"$peer to be $state");
}

# Digest over key, value and expiry of all entries of a node.
sub digest
{
	my ($self, $which, $namespace) = @_;
	$namespace = 'default' unless defined $namespace;
	return $self->psql($which, qq{
		SELECT count(*) || ':' || md5(coalesce(string_agg(
			ROW(key, value, extract(epoch FROM expires_at))::text, ','
			ORDER BY key COLLATE "C"), ''))
		FROM cache_entries('%', namespace => '$namespace')});
}

# A test: the nodes (all that run) hold the same entries.
sub same_digest
{
	my ($self, $test_name, @which) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %digest = map { $self->name($_) => $self->digest($_) }
	  $self->running(@which);
	my %distinct = map { $_ => 1 } values %digest;
	return ok(1, $test_name) if keys %distinct == 1;
	diag("$_ holds $digest{$_}") foreach sort keys %digest;
	return ok(0, $test_name);
}

# All that a node holds in replicated namespaces (those given, or all) of the
# database, a line an entry: what is served, until when, and which write it is.
sub contents
{
	my ($self, $which, @namespaces) = @_;
	my $only = join ',', map { "'$_'" } @namespaces;
	$only = $only eq '' ? '' : "AND n.name IN ($only)";
	return $self->psql($which, qq{
		SELECT n.name, e.key, e.value, e.value_type,
			extract(epoch FROM e.expires_at), e.version, e.origin
		FROM cache_namespaces n,
			LATERAL cache_entries('%', namespace => n.name) e
		WHERE n.database = current_database() AND n.replicate $only
		ORDER BY n.name COLLATE "C", e.key COLLATE "C"});
}

# A test: the nodes (all that run) hold the same in the namespaces given, or in
# all that are replicated.
sub same_contents
{
	my ($self, $test_name, @namespaces) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($first, @others) = $self->running;
	my $expected = $self->contents($first, @namespaces);
	foreach my $which (@others)
	{
		my $found = $self->contents($which, @namespaces);
		next if $found eq $expected;
		diag("$first and $which differ:\n"
			  . differences($first, $expected, $which, $found));
		return ok(0, $test_name);
	}
	return ok(1, $test_name);
}

# The first lines that only one of two texts has.
sub differences
{
	my ($name, $text, $other_name, $other_text) = @_;
	my %side = map { $_ => $name } split /\n/, $text;
	foreach (split /\n/, $other_text)
	{
		if (exists $side{$_}) { delete $side{$_}; }
		else { $side{$_} = $other_name; }
	}
	my @lines = map { "$side{$_}: $_" } sort keys %side;
	splice @lines, 20 if @lines > 20;
	return join "\n", @lines;
}

# Runs SQL on all nodes that run.
sub psql_all
{
	my ($self, $sql) = @_;
	$self->psql($_, $sql) foreach $self->running;
	return;
}

# Keys of a namespace that wait for a decision, as a node sees them.
sub pending
{
	my ($self, $which, $namespace) = @_;
	return $self->psql($which, qq{
		SELECT coalesce(string_agg(key, ',' ORDER BY key COLLATE "C"), '')
		FROM (SELECT DISTINCT key FROM cache_conflicts
			  WHERE namespace = '$namespace' AND decision = 'pending') AS c});
}

# Waits until some keys of a namespace, and no others, wait for a decision on
# the nodes (all that run): wait_pending('ns', 'a,b').
sub wait_pending
{
	my ($self, $namespace, $keys, @which) = @_;
	$self->wait_for($_, qq{
		SELECT coalesce(string_agg(key, ',' ORDER BY key COLLATE "C"), '')
			= '$keys'
		FROM (SELECT DISTINCT key FROM cache_conflicts
			  WHERE namespace = '$namespace' AND decision = 'pending') AS c},
		"exactly '$keys' to be pending in $namespace")
	  foreach $self->running(@which);
	return 1;
}

# Links, for groups with proxies. Both directions of a link are two connections,
# each through the proxy of the node that is called.

# Closes the link between two nodes and lets no new connection through.
sub cut { my ($self, $x, $y) = @_; return $self->on_link('cut', $x, $y); }

# Lets nothing pass between two nodes; connections stay open.
sub stall { my ($self, $x, $y) = @_; return $self->on_link('stall', $x, $y); }

# Cuts every link between two sides: split([1], [2, 3], 'stall').
sub split
{
	my ($self, $side, $other_side, $how) = @_;
	foreach my $x (@$side)
	{
		$self->on_link($how || 'cut', $x, $_) foreach @$other_side;
	}
	return;
}

# Parts the group into islands that know of it: cuts every link between them
# and waits until everybody on either side has declared those beyond down:
# part([1], [2, 3]).
sub part
{
	my ($self, @islands) = @_;
	my @pairs;
	foreach my $i (0 .. $#islands)
	{
		foreach my $j ($i + 1 .. $#islands)
		{
			$self->split($islands[$i], $islands[$j]);
			foreach my $x (@{ $islands[$i] })
			{
				push @pairs, map { [ $x, $_ ] } @{ $islands[$j] };
			}
		}
	}
	foreach my $pair (@pairs)
	{
		$self->wait_peer_state($pair->[0], $pair->[1], 'down');
		$self->wait_peer_state($pair->[1], $pair->[0], 'down');
	}

	# Down is what a link is; apart they are when no path is left.
	foreach my $island (@islands)
	{
		my $size = @$island;
		$self->wait_for($_,
			"SELECT reachable = $size FROM cache_status()",
			"an island of $size")
		  foreach @$island;
	}
	return 1;
}

# Mends all links and waits until those that run are one group again.
sub meet
{
	my ($self) = @_;
	$self->mend;
	my $count = () = $self->running;
	$self->wait_reachable($_, $count) foreach $self->running;
	return 1;
}

# The same, and until nothing is left to do for the policies.
sub rejoin
{
	my ($self) = @_;
	$self->meet;
	return $self->wait_converged;
}

# Mends the link between two nodes, or all links.
sub mend
{
	my ($self, @link) = @_;
	return $self->on_link('pass', @link) if @link;
	$self->proxy($_)->pass foreach $self->names;
	return;
}

sub on_link
{
	my ($self, $order, $x, $y) = @_;
	$self->proxy($y)->$order($self->name($x));
	$self->proxy($x)->$order($self->name($y));
	return;
}

# The offset at which a later look into a node's log begins.
sub log_offset
{
	my ($self, $which) = @_;
	return -s $self->node($which)->logfile;
}

# Waits until a line that matches stands in a node's log after an offset.
sub wait_for_log
{
	my ($self, $which, $pattern, $offset) = @_;
	return $self->node($which)->wait_for_log($pattern, $offset);
}

1;
