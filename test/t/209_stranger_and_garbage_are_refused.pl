# The functions of the peer protocol are not for everybody, and take whatever
# bytes they are given: rubbish, another version, a stranger, a truncated or
# damaged message get a clean answer, change nothing, and break nothing.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

use CacheCluster::Cluster;

# Status of a reply, as in src/cluster/proto.h.
use constant {
	OK => 0,
	BAD => 1,
	VERSION => 2,
	STRANGER => 3,
	FENCED => 5
};
use constant {
	MAGIC => 0x31504343,
	SEED => 0x01,
	DATA => 0x04
};

# A clock a second ahead of the server's, which is allowed: what it writes is
# later than all that the server wrote before.
sub hlc
{
	return (int(Time::HiRes::time() * 1000) + 1000) * 65536;
}

my $group = CacheCluster::Cluster->new(nodes => 2);
$group->start;
$group->wait_ready;
$group->psql(1, q{SELECT cache_put('k', 'v', ttl => '1 hour')});
$group->wait_converged;
my $started = $group->psql(1, 'SELECT pg_postmaster_start_time(), started_at
	FROM pg_stat_cachecluster');

# Privileges.
$group->psql(1, 'CREATE ROLE stranger LOGIN');
foreach my $function (qw(cachecluster_hello cachecluster_apply))
{
	my (undef, undef, $err) = $group->node(1)->psql('postgres',
		"SET ROLE stranger; SELECT $function('\\x00')");
	like($err, qr/permission denied for function $function/,
		"$function is not for everybody");
	is($group->psql(1, "SELECT has_function_privilege('cachecluster_peer',
		'$function(bytea)', 'EXECUTE')"), 't', 'but for those it was granted to');
	is($group->psql(1, "SELECT $function(NULL) IS NULL"), 't',
		"$function of NULL is NULL");
}
foreach my $call ("cache_join('host=a')", "cache_forget('node2')")
{
	my (undef, undef, $err) = $group->node(1)->psql('postgres',
		"SET ROLE stranger; SELECT $call");
	like($err, qr/permission denied/, "$call is not for everybody");
}

# Sends messages in one session and returns the status of each reply.
sub send_messages
{
	my (@calls) = @_;
	my $sql = join ' ', map {
		sprintf "SELECT encode(%s('\\x%s'), 'hex');\n", $_->[0],
		  unpack('H*', $_->[1])
	} @calls;
	return map { status_of($_) } split /\n/, $group->psql(1, $sql);
}

sub status_of
{
	my ($hex) = @_;
	my $reply = pack 'H*', $hex;
	my ($magic, $version) = unpack 'V v', $reply;
	return "no reply: $hex" if length $reply < 50 || $magic != MAGIC;
	my ($type, $status) = unpack 'a1 C', substr $reply, 48;
	return $type eq 'X' ? $status : "a reply that begins with $type";
}

my $me = join '', map { chr int rand 256 } 1 .. 16;

sub head
{
	my (%h) = @_;
	return pack('V v a1 C a16 Q< Q< Q<',
		$h{magic} // MAGIC, $h{version} // 2, $h{type} // 'h',
		$h{flags} // 0, $me, $h{boot} // time, $h{session} // 1,
		hlc());
}

# Who we say we are.
sub intro
{
	my ($cluster) = @_;
	return pack('a1 a16 Q< Q< Q< C/a* C/a*',
		'I', $cluster // "\1" x 16, 1, hlc(),
		hlc(), 'nobody', 'host=127.0.0.1 port=1');
}

my @hello = ('cachecluster_hello');
my @apply = ('cachecluster_apply');

is_deeply([ send_messages([ @hello, '' ], [ @apply, '' ]) ],
	[ BAD, BAD ], 'an empty message is bad');
is_deeply([ send_messages([ @hello, 'GET / HTTP/1.1' ]) ],
	[BAD], 'so is one of another protocol');
is_deeply(
	[ send_messages([ @hello, head(version => 1) . intro() ],
		  [ @apply, head(version => 99, type => 'b') ]) ],
	[ VERSION, VERSION ],
	'another version is told so');
is_deeply([ send_messages([ @hello, head() . intro() ]) ],
	[STRANGER], 'a stranger is told so');
is_deeply([ send_messages([ @hello, head() ]) ],
	[BAD], 'one must say who one is');
is_deeply([ send_messages([ @apply, head(type => 'b', flags => DATA) ]) ],
	[FENCED], 'a batch without a hello is refused');
is($group->psql(1, 'SELECT members FROM cache_status()'),
	2, 'none of them has become a member');

# From here on we are a member: somebody gave us this node as a seed.
my $hello = head(flags => SEED) . intro();
my $batch = head(type => 'b', flags => DATA);
my $entry = pack 'a1 a16 Q< a1 C/a* C/a*', 'O', $me, 1, 'N', 'postgres',
  'default';
my $record = sub {
	my (%e) = @_;
	return pack 'a1 C C v v v Q< Q< v V a*', 'E', $e{kind} // 1,
	  $e{bits} // 0, $e{ns} // 0, $e{origin} // 0, 0,
	  $e{hlc} // hlc(), $e{seq} // 1,
	  $e{keylen} // 1, $e{vallen} // 1, $e{bytes} // 'kw';
};
my $session = 1;

sub in_session
{
	my ($bytes) = @_;
	$session++;
	my @status = send_messages(
		[ @hello, head(flags => SEED, session => $session) . intro() ],
		[ @apply, head(type => 'b', flags => DATA, session => $session) . $bytes ]);
	return "hello: $status[0]" if $status[0] ne OK;
	return $status[1];
}

is(in_session(''), OK, 'a member may send a batch');
my %bad = (
	'a record of no type' => '?',
	'a truncated entry' => $entry . substr($record->(), 0, 20),
	'an entry of an origin that was not named' => $entry . $record->(origin => 7),
	'an entry of a namespace that was not named' => $entry . $record->(ns => 7),
	'an entry of an unknown type' => $entry . $record->(kind => 7),
	'siblings of which nothing is there' => $entry . $record->(kind => 0x41),
	'siblings longer than their entry' => $entry . $record->(kind => 0x41,
		vallen => 32, bytes => 'k' . "\1" . "\0" x 27 . pack('V', 4294967295)),
	'more link states than nodes' => pack('a1 C C', 'J', 0, 3),
	'an empty key' => $entry . $record->(keylen => 0),
	'a key that is too long' =>
	  $entry . $record->(keylen => 2000, bytes => 'k' x 3000),
	'a value longer than the message' => $entry . $record->(vallen => 4294967295),
	'a vector longer than the message' => pack('a1 v', 'V', 65535),
	'a raise of an origin that was not named' =>
	  pack('a1 v v Q<', 'R', 1, 3, 5),
	'a slice that does not exist' => pack('a1 C V', 'F', 200, 0),
	'a slice longer than the message' => pack('a1 C V', 'F', 1, 4294967295));
foreach my $what (sort keys %bad)
{
	is(in_session($bad{$what}), BAD, "$what is refused");
}
isnt(in_session($entry . $record->(hlc => (time + 86400) * 1000 * 65536)),
	OK, 'so is a clock that is a day ahead');
is($group->psql(1, q{SELECT cache_get('k')}), 'v', 'nothing has changed');
is(in_session($entry . $record->(bytes => 'kw')), OK,
	'a good entry is taken');
is($group->psql(1, q{SELECT cache_get('k')}), 'w', 'and served');

# Damage of every kind: bytes changed, cut off, doubled.
srand 4711;
my $good = $hello . $batch . $entry . $record->();
my $calls = '';
foreach my $i (1 .. 2000)
{
	$session++;
	my $message =
	  $i % 2
	  ? head(flags => SEED, session => $session) . intro()
	  : head(type => 'b', flags => DATA | ($i % 64), session => $session - 1)
	  . $entry . $record->() . pack('a1 v v Q<', 'R', 1, 0, $i);
	foreach (0 .. rand 3)
	{
		my $at = int rand length $message;
		my $how = int rand 4;
		if ($how == 0) { substr($message, $at, 1, chr int rand 256); }
		elsif ($how == 1) { substr($message, $at) = ''; $message .= 'x'; }
		elsif ($how == 2) { $message .= substr $message, $at; }
		else { substr($message, $at, 4, "\xff\xff\xff\xff"); }
	}
	$calls .= sprintf "SELECT length(%s('\\x%s')) > 49;\n",
	  $i % 2 ? $hello[0] : $apply[0], unpack 'H*', $message;
}
my @answers = split /\n/, $group->psql(1, $calls);
is(scalar(grep { $_ eq 't' } @answers), 2000,
	'2000 damaged messages got an answer each');

# Each cause is told to the log, and not at every try (but an hour may end).
my $log = slurp_file($group->node(1)->logfile);
foreach my $cause ('malformed message', 'it speaks another version',
	'neither node has the other as seed or member')
{
	my $lines = () = $log =~ /refused "\S+" from a local socket: \Q$cause\E/g;
	ok($lines == 1 || $lines == 2, "the log tells once: $cause");
}

# The server and the real peer did not notice.
is($group->psql(1, 'SELECT pg_postmaster_start_time(), started_at
	FROM pg_stat_cachecluster'), $started, 'the server has not restarted');
$group->psql(1, q{SELECT cache_put('after', 'v')});
$group->wait_for(2, q{SELECT cache_get('after') = 'v'}, 'a write to arrive');
pass('and the peer still gets what is written');

done_testing();
