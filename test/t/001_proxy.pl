# The proxy that other tests cut links with does what it says: per source, per
# direction, without losing or reordering what it lets through.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use CacheCluster::Proxy;

my $deadline = 20;

# An echo server stands for PostgreSQL: it sends back all that it gets.
my $echo = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	Listen => 20,
	Proto => 'tcp') or die "cannot listen: $@";
my $echo_port = $echo->sockport;
my $echo_pid = fork // die "fork: $!";
if ($echo_pid == 0)
{
	my $all = IO::Select->new($echo);
	while (my @ready = $all->can_read(120))
	{
		foreach my $s (@ready)
		{
			if ($s == $echo) { $all->add($echo->accept); next; }
			if (sysread($s, my $bytes, 65536)) { syswrite($s, $bytes); next; }
			$all->remove($s);
			close $s;
		}
	}
	POSIX::_exit(0);
}
close $echo;
END { local $?; kill 'KILL', $echo_pid and waitpid($echo_pid, 0) if $echo_pid; }

my $proxy = CacheCluster::Proxy->new(target_port => $echo_port);

sub startup_packet
{
	my ($application_name) = @_;
	my $body = pack('N', 196608)
	  . join('', map { "$_\0" } 'user', 'u', 'application_name',
		$application_name, 'database', 'd') . "\0";
	return pack('N', 4 + length $body) . $body;
}

# A connection through the proxy that has sent its startup packet; undef when
# it was refused.
sub dial
{
	my ($application_name) = @_;
	my $s = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $proxy->port,
		Proto => 'tcp') or return;
	syswrite($s, startup_packet($application_name));
	return $s;
}

# Reads exactly $length bytes; fewer when the connection ends, undef when it
# stays silent.
sub take
{
	my ($s, $length, $timeout) = @_;
	my $got = '';
	my $until = time + ($timeout // $deadline);
	while (length $got < $length)
	{
		my $left = $until - time;
		return if $left <= 0 || !IO::Select->new($s)->can_read($left);
		sysread($s, $got, $length - length $got, length $got) or last;
	}
	return $got;
}

# A connection that has got its startup packet back.
sub established
{
	my ($application_name) = @_;
	my $s = dial($application_name) or return;
	my $packet = startup_packet($application_name);
	my $got = take($s, length $packet);
	return defined $got && $got eq $packet ? $s : undef;
}

sub echoes
{
	my ($s, $text) = @_;
	syswrite($s, $text);
	my $got = take($s, length $text);
	return defined $got && $got eq $text;
}

sub is_silent
{
	my ($s) = @_;
	return !IO::Select->new($s)->can_read(0.2);
}

sub is_closed
{
	my ($s) = @_;
	return 1 unless $s;
	my $got = take($s, 1);
	return defined $got && $got eq '';
}

# Passing.
my $alpha = established('cachecluster/alpha');
my $beta = established('cachecluster/beta');
ok($alpha && $beta, 'connections go through');
ok(echoes($alpha, 'hello'), 'bytes go both ways');

my $big = join '', map { sprintf "%08d", $_ } 1 .. 200_000;
my $sender = fork // die "fork: $!";
if ($sender == 0)
{
	for (my $at = 0; $at < length $big;)
	{
		$at += syswrite($alpha, $big, 65536, $at);
	}
	POSIX::_exit(0);
}
ok(take($alpha, length $big) eq $big, 'a large stream arrives whole and in order');
waitpid($sender, 0);

my $stats = $proxy->stats('alpha');
is($stats->{opened}, 1, 'connections are counted by source');
cmp_ok($stats->{bytes_to}, '>', length $big, 'and so are bytes');
is($proxy->stats->{open}, 2, 'open connections of all sources are counted');

# An encryption request is declined, and the startup packet follows.
my $tls = IO::Socket::INET->new(
	PeerAddr => '127.0.0.1',
	PeerPort => $proxy->port,
	Proto => 'tcp') or die $@;
syswrite($tls, pack('NN', 8, 80877103));
is(take($tls, 1), 'N', 'an encryption request is declined');
syswrite($tls, startup_packet('psql'));
is(take($tls, length startup_packet('psql')),
	startup_packet('psql'), 'and the connection goes on in plain text');
$tls->close;

# Cutting one source.
$proxy->cut('alpha');
ok(is_closed($alpha), 'a cut source loses its connection');
ok(is_closed(dial('cachecluster/alpha')), 'and gets no new one');
ok(echoes($beta, 'still here'), 'another source does not notice');
ok(established('cachecluster/gamma'), 'nor does one that comes new');
$proxy->pass('alpha');
ok($alpha = established('cachecluster/alpha'), 'a mended source connects again');

# Stalling one source.
$proxy->stall('alpha');
syswrite($alpha, 'one,');
ok(is_silent($alpha), 'a stalled source gets nothing and stays connected');
my $waiting = dial('cachecluster/alpha');
ok($waiting && is_silent($waiting),
	'a stalled source is accepted and never answered');
ok(echoes($beta, 'still here'), 'another source does not notice');
syswrite($alpha, 'two');
$proxy->pass('alpha');
is(take($alpha, 7), 'one,two', 'what was held back arrives after the stall');
is(take($waiting, length startup_packet('cachecluster/alpha')),
	startup_packet('cachecluster/alpha'), 'for those who waited, too');

# One direction.
my $before = $proxy->stats('alpha')->{bytes_to};
$proxy->stall('alpha', 'from');
syswrite($alpha, 'xyz');
ok(is_silent($alpha), 'nothing comes back when that direction stands still');
is($proxy->stats('alpha')->{bytes_to} - $before,
	3, 'while the other direction moves');
$proxy->pass('alpha');
is(take($alpha, 3), 'xyz', 'and all arrives afterwards');

# Delay.
my $begin = time;
$proxy->delay(150);
ok(echoes($beta, 'slow'), 'delayed bytes arrive');
cmp_ok(time - $begin, '>=', 0.3, 'as late as both directions together');
$proxy->delay(0);
ok(echoes($beta, 'fast'), 'a delay ends');

# Resetting breaks what is open and nothing else.
$proxy->reset_links('beta');
ok(is_closed($beta), 'a reset breaks the connection');
ok($beta = established('cachecluster/beta'), 'which may be made again at once');

# An end of stream is passed on after what was sent before it.
syswrite($beta, 'last words');
shutdown($beta, 1);
is(take($beta, 11), 'last words', 'the end of a stream comes after its bytes');

# Cutting all.
$beta = established('cachecluster/beta');
$proxy->cut;
ok(is_closed($alpha) && is_closed($beta), 'a cut of all closes every connection');
ok( !IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $proxy->port,
		Proto => 'tcp'),
	'and the port refuses new ones');
$proxy->pass('beta');
ok($beta = established('cachecluster/beta'), 'one source may be exempt');
ok(is_closed(dial('cachecluster/alpha')), 'while the others stay cut');
$proxy->pass;
ok($alpha = established('cachecluster/alpha'), 'mended, the same port answers');

# A server that is away looks like a cut, not like a stall.
my $nowhere = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	Listen => 1,
	Proto => 'tcp') or die $@;
my $free_port = $nowhere->sockport;
close $nowhere;
my $lonely = CacheCluster::Proxy->new(target_port => $free_port);
{
	my $s = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $lonely->port,
		Proto => 'tcp') or die $@;
	syswrite($s, startup_packet('cachecluster/alpha'));
	ok(is_closed($s), 'a server that is away closes the connection');
}

# Ending.
my $pid = $proxy->{pid};
undef $proxy;
ok(!kill(0, $pid), 'the process ends with its object');
ok(is_closed($alpha), 'and its connections with it');

done_testing();
