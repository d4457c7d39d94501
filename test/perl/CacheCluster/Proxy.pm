# A TCP proxy in front of one PostgreSQL server, to cut, stall and delay links.
#
# The proxy is a process of its own with a select loop; the test tells it what
# to do over a pipe, and each order is in force when the method returns. It ends
# with the object or with the test, whatever happens to either.
#
# A link is named by who connects: the proxy reads application_name from the
# startup packet, and "cachecluster/<node_name>" is that node. Other clients go
# by their application_name. Orders are for one source or, by default, for all
# ('*'); the order for a source beats the one for all.
#
#	my $proxy = CacheCluster::Proxy->new(target_port => $node->port);
#	$proxy->cut('node2');		# node2 gets its connections closed, now and later
#	$proxy->stall;				# nobody gets a byte any more; nothing is closed
#	$proxy->delay(50);			# each byte takes 50 ms longer, either way
#	$proxy->pass;				# as new
#
# Encryption is answered with "not supported", so that the name can be read.

package CacheCluster::Proxy;

use strict;
use warnings;

use Carp;
use Errno qw(EAGAIN EINTR EINPROGRESS);
use IO::Handle;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use constant {
	PROTOCOL_3 => 196608,
	SSL_REQUEST => 80877103,
	GSS_REQUEST => 80877104,
	MAX_STARTUP => 10000,
	CHUNK => 65536,
	# Bytes a direction may hold back before its source is no longer read.
	MAX_QUEUED => 1 << 20,
	ANSWER_TIMEOUT => 30,
};

# Proxies of this test. A child closes their pipes, or it would keep a sibling
# alive that is told to end by the end of its pipe.
my %pipes;

# new(target_port => N, target_host => '127.0.0.1', port => N)
# Listens on 127.0.0.1, on a port of the system's choice unless one is given.
sub new
{
	my ($class, %arg) = @_;
	croak "target_port is missing" unless $arg{target_port};

	my $listener = listen_on($arg{port} || 0);
	my $self = bless {
		port => $listener->sockport,
		target => [ $arg{target_host} || '127.0.0.1', $arg{target_port} ],
		owner => $$
	}, $class;

	pipe(my $order_out, my $order_in) or croak "pipe: $!";
	pipe(my $answer_out, my $answer_in) or croak "pipe: $!";
	$order_in->autoflush(1);
	$answer_in->autoflush(1);

	my $pid = fork;
	croak "fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		# No END block or destructor of the test may run in the child.
		close $_ foreach $order_in, $answer_out, map { @$_ } values %pipes;
		$SIG{$_} = 'DEFAULT' foreach qw(TERM INT HUP);
		$SIG{PIPE} = 'IGNORE';
		my $ok = eval { run($self, $listener, $order_out, $answer_in); 1 };
		print STDERR "proxy: $@" unless $ok;
		POSIX::_exit($ok ? 0 : 1);
	}

	close $_ foreach $order_out, $answer_in, $listener;
	$self->{pid} = $pid;
	$self->{order} = $order_in;
	$self->{answer} = $answer_out;
	$pipes{$pid} = [ $order_in, $answer_out ];
	return $self;
}

sub port { return $_[0]->{port}; }

# Connections go through again, at once and with what a stall held back.
sub pass { my ($self, $source) = @_; return $self->order('pass', $source); }

# What is open is reset, what comes is refused (all) or reset (one source).
sub cut { my ($self, $source) = @_; return $self->order('cut', $source); }

# Connections stay open and new ones are accepted, but no byte moves. With a
# direction ('to' the server, 'from' the server), only that one stands still.
sub stall
{
	my ($self, $source, $direction) = @_;
	return $self->order('stall', $source, $direction || 'both');
}

# Each byte is held for $ms from now on; 0 ends it.
sub delay
{
	my ($self, $ms, $source, $direction) = @_;
	return $self->order('delay', $source, $direction || 'both', $ms);
}

# Connections are broken once, and may be made again at once.
sub reset_links
{
	my ($self, $source) = @_;
	return $self->order('reset', $source);
}

# Totals of one source or of all: { opened, open, bytes_to, bytes_from }.
sub stats
{
	my ($self, $source) = @_;
	my @n = split / /, $self->order('stats', $source);
	my %stats;
	@stats{qw(opened open bytes_to bytes_from)} = @n;
	return \%stats;
}

# Sends one order and waits until it is in force.
sub order
{
	my ($self, $verb, $source, @rest) = @_;
	croak "the proxy has ended" unless $self->{pid};
	print { $self->{order} }
	  join("\t", $verb, defined $source ? $source : '*', @rest), "\n"
	  or croak "the proxy is gone: $!";
	my $bits = '';
	vec($bits, fileno($self->{answer}), 1) = 1;
	croak "the proxy does not answer to $verb"
	  unless select($bits, undef, undef, ANSWER_TIMEOUT) > 0;
	my $answer = readline($self->{answer});
	croak "the proxy has died" unless defined $answer;
	chomp $answer;
	croak "proxy: $answer" unless $answer =~ s/^ok ?//;
	return $answer;
}

# Ends the process; all connections are reset.
sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	return if $self->{owner} != $$;
	delete $pipes{$pid};
	close delete $self->{order};
	close delete $self->{answer};
	local ($?, $!);
	waitpid($pid, 0);
	return;
}

sub DESTROY { $_[0]->stop; return; }

#
# What follows runs in the proxy's process.
#
# A connection is { source, client, server, to, from, startup }. A direction
# ('to' or 'from') is { queue of [due, bytes], queued, in, out, eof, shut }.
#

my (%state, @connections, %totals);

sub listen_on
{
	my ($port) = @_;
	return IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		LocalPort => $port,
		Listen => 128,
		ReuseAddr => 1,
		Proto => 'tcp',
		Blocking => 0) || croak "cannot listen on port $port: $@";
}

# What holds for a source: { cut, to => {stall, delay}, from => {...} }.
sub rule_for
{
	my ($source) = @_;
	return (defined $source && $state{$source}) || $state{'*'} || fresh_rule();
}

# The port is closed when all are cut and no source is exempt.
sub port_is_open
{
	return 1 if !rule_for('*')->{cut};
	return scalar grep { !$_->{cut} } values %state;
}

sub fresh_rule
{
	return {
		cut => 0,
		to => { stall => 0, delay => 0 },
		from => { stall => 0, delay => 0 }
	};
}

sub run
{
	my ($self, $listener, $orders, $answers) = @_;
	my $buffer = '';

	while (1)
	{
		my ($readers, $writers, $wait) = interests();
		my ($r, $w) = ('', '');
		vec($r, fileno($orders), 1) = 1;
		vec($r, fileno($listener), 1) = 1 if $listener;
		vec($r, fileno($_->{in}), 1) = 1 foreach @$readers;
		vec($w, fileno($_->{out}), 1) = 1 foreach @$writers;
		next if select($r, $w, undef, $wait) < 0;

		if (vec($r, fileno($orders), 1))
		{
			sysread($orders, $buffer, CHUNK, length $buffer) or return;
			while ($buffer =~ s/^(.*)\n//)
			{
				my $answer = obey(split /\t/, $1);

				# Whoever reads the answer finds the port as ordered.
				if (!port_is_open())
				{
					close $listener if $listener;
					undef $listener;
				}
				elsif (!$listener) { $listener = listen_on($self->{port}); }
				print $answers "$answer\n";
			}
			next;
		}

		# Handling one direction may break the connection of another.
		my @writable = grep { vec($w, fileno($_->{out}), 1) } @$writers;
		my @readable = grep { vec($r, fileno($_->{in}), 1) } @$readers;
		write_some($_) foreach @writable;
		foreach my $d (@readable)
		{
			read_some($self, $d) if $d->{in};
		}
		if ($listener && vec($r, fileno($listener), 1))
		{
			while (my $client = $listener->accept)
			{
				accepted($client);
			}
		}
		sweep();
	}
}

# Carries out one order and returns the line to answer with.
sub obey
{
	my ($verb, $source, $direction, $ms) = @_;
	my @links =
	  grep { $source eq '*' || $source eq ($_->{source} // '') } @connections;

	if ($verb eq 'stats')
	{
		my @sum = (0, 0, 0, 0);
		foreach my $name ($source eq '*' ? keys %totals : $source)
		{
			my $t = $totals{$name} or next;
			$sum[0] += $t->{opened};
			$sum[2] += $t->{to};
			$sum[3] += $t->{from};
		}
		$sum[1] = grep { $_->{server} } @links;
		return "ok @sum";
	}
	if ($verb eq 'reset')
	{
		break($_) foreach @links;
		return 'ok';
	}

	# An order for all ends those for single sources; the first order for a
	# source begins with what holds for all.
	%state = ('*' => $state{'*'}) if $source eq '*';
	my $rule = $state{$source} ||= copy_rule($state{'*'} || fresh_rule());
	my @ways =
	  !defined $direction || $direction eq 'both' ? qw(to from) : $direction;
	return "no such direction" if grep { !/^(to|from)$/ } @ways;

	if ($verb eq 'pass') { %$rule = %{ fresh_rule() }; }
	elsif ($verb eq 'cut') { $rule->{cut} = 1; }
	elsif ($verb eq 'stall')
	{
		$rule->{cut} = 0;
		$rule->{$_}{stall} = 1 foreach @ways;
	}
	elsif ($verb eq 'delay') { $rule->{$_}{delay} = $ms / 1000 foreach @ways; }
	else { return "no such order: $verb"; }

	foreach my $c (@connections)
	{
		break($c) if rule_for($c->{source})->{cut};
	}
	sweep();
	return 'ok';
}

sub copy_rule
{
	my ($r) = @_;
	return {
		cut => $r->{cut},
		to => { %{ $r->{to} } },
		from => { %{ $r->{from} } }
	};
}

# Which directions want to read, which to write, and for how long to wait for
# bytes that are not due yet.
sub interests
{
	my (@readers, @writers, $wait);
	my $now = time;

	foreach my $c (@connections)
	{
		my $rule = rule_for($c->{source});

		foreach my $way (qw(to from))
		{
			my $d = $c->{$way} or next;
			next if $rule->{$way}{stall} && !$c->{startup};
			push @readers, $d if !$d->{eof} && $d->{queued} < MAX_QUEUED;
			next unless $d->{out} && @{ $d->{queue} };
			my $left = $d->{queue}[0][0] - $now;
			if ($left <= 0) { push @writers, $d; }
			elsif (!defined $wait || $left < $wait) { $wait = $left; }
		}
	}
	return (\@readers, \@writers, $wait);
}

sub accepted
{
	my ($client) = @_;
	$client->blocking(0);
	setsockopt($client, IPPROTO_TCP, TCP_NODELAY, 1);
	my $c = { client => $client, startup => 1, buffer => '' };
	$c->{to} = direction($c, 'to', $client, undef);
	push @connections, $c;
	return;
}

sub direction
{
	my ($c, $way, $in, $out) = @_;
	return {
		link => $c,
		way => $way,
		in => $in,
		out => $out,
		queue => [],
		queued => 0,
		eof => 0
	};
}

sub read_some
{
	my ($self, $d) = @_;
	my $c = $d->{link};
	my $n = sysread($d->{in}, my $bytes, CHUNK);

	if (!defined $n)
	{
		return if $! == EAGAIN || $! == EINTR;
		break($c);
	}
	elsif ($n == 0)
	{
		$d->{eof} = 1;
		break($c) if $c->{startup};
	}
	elsif ($c->{startup})
	{
		$c->{buffer} .= $bytes;
		startup($self, $c);
	}
	else { enqueue($d, $bytes); }
	return;
}

# Reads the name out of the startup packet, then connects to the server.
sub startup
{
	my ($self, $c) = @_;

	while (length $c->{buffer} >= 8)
	{
		my ($length, $code) = unpack('NN', $c->{buffer});
		return break($c) if $length < 8 || $length > MAX_STARTUP;
		if ($code == SSL_REQUEST || $code == GSS_REQUEST)
		{
			substr($c->{buffer}, 0, 8, '');
			syswrite($c->{client}, 'N');
			next;
		}
		return if length $c->{buffer} < $length;

		my %option;
		if ($code == PROTOCOL_3)
		{
			my @fields = split /\0/, substr($c->{buffer}, 8, $length - 8), -1;
			while (@fields >= 2 && $fields[0] ne '')
			{
				my ($key, $value) = splice @fields, 0, 2;
				$option{$key} = $value;
			}
		}
		$c->{source} = $option{application_name} // '';
		$c->{source} =~ s,^cachecluster/,,;
		return connect_server($self, $c);
	}
	return;
}

sub connect_server
{
	my ($self, $c) = @_;
	return break($c) if rule_for($c->{source})->{cut};

	# Loopback answers at once, so a blocking connect does not hold the others.
	my ($host, $port) = @{ $self->{target} };
	my $server = IO::Socket::INET->new(
		PeerAddr => $host,
		PeerPort => $port,
		Proto => 'tcp',
		Timeout => 5) or return break($c);
	$server->blocking(0);
	setsockopt($server, IPPROTO_TCP, TCP_NODELAY, 1);

	$totals{ $c->{source} } ||= { opened => 0, to => 0, from => 0 };
	$totals{ $c->{source} }{opened}++;
	$c->{startup} = 0;
	$c->{server} = $server;
	$c->{to}{out} = $server;
	$c->{from} = direction($c, 'from', $server, $c->{client});
	enqueue($c->{to}, delete $c->{buffer});
	return;
}

sub enqueue
{
	my ($d, $bytes) = @_;
	my $delay = rule_for($d->{link}{source})->{ $d->{way} }{delay};
	my $due = $delay ? time + $delay : 0;

	# Bytes never overtake: a shorter delay waits for the longer before it.
	$due = $d->{queue}[-1][0]
	  if @{ $d->{queue} } && $d->{queue}[-1][0] > $due;
	push @{ $d->{queue} }, [ $due, $bytes ];
	$d->{queued} += length $bytes;
	return;
}

sub write_some
{
	my ($d) = @_;
	return unless $d->{out} && @{ $d->{queue} };
	my $n = syswrite($d->{out}, $d->{queue}[0][1]);

	if (!defined $n)
	{
		break($d->{link}) unless $! == EAGAIN || $! == EINTR;
		return;
	}
	$d->{queued} -= $n;
	$totals{ $d->{link}{source} }{ $d->{way} } += $n;
	if ($n == length $d->{queue}[0][1]) { shift @{ $d->{queue} }; }
	else { substr($d->{queue}[0][1], 0, $n, ''); }
	return;
}

# Ends a connection with a reset, as a cut does: the other side gets an error,
# not a clean end.
sub break
{
	my ($c) = @_;
	foreach my $socket (grep { defined } delete @$c{qw(client server)})
	{
		setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
		close $socket;
	}
	foreach my $d (grep { defined } delete @$c{qw(to from)})
	{
		delete @$d{qw(in out link)};
	}
	$c->{broken} = 1;
	return;
}

# Passes on the end of a stream once all before it is written, and forgets
# connections that are over.
sub sweep
{
	foreach my $c (@connections)
	{
		next if $c->{broken} || $c->{startup};
		foreach my $d ($c->{to}, $c->{from})
		{
			next if !$d->{eof} || $d->{shut} || @{ $d->{queue} };
			shutdown($d->{out}, 1);
			$d->{shut} = 1;
		}
		if ($c->{to}{shut} && $c->{from}{shut})
		{
			close $_ foreach delete @$c{qw(client server)};
			delete @$_{qw(in out link)} foreach delete @$c{qw(to from)};
			$c->{broken} = 1;
		}
	}
	@connections = grep { !$_->{broken} } @connections;
	return;
}

1;
