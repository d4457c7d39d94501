/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Fuzz target: what a peer sends, to either side of a session.
 *
 * An input is a sequence of messages, each
 *
 *	u8 kind, u16 length, message
 *
 * kind 'h' is a hello, 'b' a batch, both to the receiver; 'r' a reply to the
 * sender; in upper case likewise, but the head is left as it is.  Otherwise
 * the parts of the head that would only get the message refused are made
 * right, so that what lies behind is reached.  The seeds are whole sessions
 * (seeds.c).
 *
 *-------------------------------------------------------------------------
 */
#include "world.h"

#define PEER	0
#define US		1
#define TIMEOUT	3000

/* Makes the head of a message from the peer right. */
static void
mend_head(char *data, Size len, uint8 type, uint64 session)
{
	CcEncoder	enc;
	char		flags = len > 7 ? data[7] : 0;

	if (len < CC_MSG_HEAD_LEN)
		return;
	cc_encoder_init(&enc);
	cc_proto_begin(&enc, type, flags, session);
	enc.buf.len = 8;
	cc_buf_put(&enc.buf, world_id(PEER).b, CC_ID_LEN);
	cc_buf_put_u64(&enc.buf, 1);
	cc_buf_put_u64(&enc.buf, session);
	cc_buf_put_u64(&enc.buf, cc_hlc_from_ms(cc_clock_ms() + 1000));
	memcpy(data, enc.buf.data, CC_MSG_HEAD_LEN);
	cc_encoder_free(&enc);
}

/* A reply is well-formed, whatever it answers. */
static void
check_reply(const CcBuf *reply)
{
	CcDecoder	dec;
	CcMsgHead	head;

	cc_decoder_init(&dec, reply->data, reply->len);
	Assert(cc_proto_head(&dec, &head) == CC_OK);
	Assert(cc_decode_next(&dec) == 'X');
	cc_decoder_free(&dec);
}

typedef struct Session
{
	CcReceiver	receiver;
	CcSender   *sender;
	uint64		session;		/* of the sender's hello */
	uint64		hellos;
	bool		replied;
} Session;

static void
begin(Session *s)
{
	static const CcSenderOptions opt = {250, TIMEOUT, 1000};
	const char *data;
	Size		len;
	CcMsgHead	head;
	CcDecoder	dec;

	memset(s, 0, sizeof(*s));
	cc_receiver_init(&s->receiver);
	s->sender = cc_sender_create(&opt, true);
	cc_sender_hello(s->sender, cc_monotonic_ms(), &data, &len);
	cc_decoder_init(&dec, data, len);
	Assert(cc_proto_head(&dec, &head) == CC_OK);
	s->session = head.session;
}

static void
deliver(Session *s, uint8 kind, char *data, Size len)
{
	int64		now = cc_monotonic_ms();
	const char *out;

	switch (kind)
	{
		case 'h':
			mend_head(data, len, CC_MSG_HELLO, ++s->hellos);
			/* FALLTHROUGH */
		case 'H':
			cc_receive_hello(&s->receiver, now, data, len);
			check_reply(&s->receiver.reply.buf);
			break;
		case 'b':
			mend_head(data, len, CC_MSG_BATCH, s->hellos);
			/* FALLTHROUGH */
		case 'B':
			cc_receive_batch(&s->receiver, now, TIMEOUT, data, len);
			check_reply(&s->receiver.reply.buf);
			break;
		case 'r':
			mend_head(data, len,
					  s->replied ? CC_MSG_ACK : CC_MSG_HELLO_REPLY, s->session);
			/* FALLTHROUGH */
		case 'R':
			if (s->sender == NULL)
				return;
			if (cc_sender_reply(s->sender, now, data, len) != CC_OK)
			{
				cc_sender_free(s->sender);
				s->sender = NULL;
				return;
			}
			s->replied = true;
			for (int i = 0; i < 8; i++)
			{
				if (!cc_sender_next(s->sender, now, &out, &len))
					break;
			}
			break;
	}
}

extern size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
extern size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
									  size_t max_size, unsigned int seed);

/*
 * Changes the inside of one message and mends its length, so that those behind
 * it stay what they are; now and then the sequence as such.
 */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
						unsigned int seed)
{
	size_t		at = 0;
	size_t		n = 0;
	size_t		len;
	size_t		rest;
	size_t		new_len;
	uint8_t    *tail;

	while (at + 3 <= size)
	{
		n++;
		at += 3 + (data[at + 1] | data[at + 2] << 8);
	}
	if (n == 0 || at != size || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);

	at = 0;
	for (n = seed / 16 % n; n > 0; n--)
		at += 3 + (data[at + 1] | data[at + 2] << 8);
	len = data[at + 1] | data[at + 2] << 8;
	rest = size - at - 3 - len;
	tail = malloc(Max(rest, 1));
	memcpy(tail, data + at + 3 + len, rest);
	new_len = LLVMFuzzerMutate(data + at + 3, len,
							   Min(max_size - at - 3 - rest, 0xffff));
	data[at + 1] = (uint8_t) new_len;
	data[at + 2] = (uint8_t) (new_len >> 8);
	memcpy(data + at + 3 + new_len, tail, rest);
	free(tail);
	return at + 3 + new_len + rest;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	Session		s;

	if (!made)
	{
		CcChange	c = {.op = CC_OP_PUT};
		CcOutcome	o;

		world_make(US);
		c.ns = cc_state_namespace("postgres", "default");
		c.key = "ours";
		c.keylen = 4;
		c.type = CC_TEXT;
		c.value = "value";
		c.vallen = 5;
		cc_cache_change(&c, &o);
		world_conflicts();
		(void) cc_changelog_published();
		world_save();
		made = true;
	}
	world_restore();

	begin(&s);
	while (size >= 3)
	{
		uint8		kind = data[0];
		Size		len = Min((Size) (data[1] | data[2] << 8), size - 3);
		char	   *copy = malloc(Max(len, 1));

		/* a block of its own, so that reading past it is seen */
		memcpy(copy, data + 3, len);
		deliver(&s, kind, copy, len);
		free(copy);
		data += 3 + len;
		size -= 3 + len;
	}
	if (s.sender != NULL)
		cc_sender_free(s.sender);
	cc_receiver_gone(&s.receiver);
	cc_receiver_free(&s.receiver);
	cc_membership_maintain();
	world_check();
	return 0;
}
