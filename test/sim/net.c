/*-------------------------------------------------------------------------
 *
 * net.c
 *	  Connections between nodes, as TCP gives them.
 *
 * Within a connection nothing is lost, doubled or overtaken, as long as it
 * lives.  When it dies, a prefix of what was under way has reached the other
 * side nevertheless, and the backend there may read it much later, while
 * newer connections of the same node have long begun.  The sender hears no
 * replies then.
 *
 * A link is cut in each direction by itself.  What is sent into a cut waits
 * there: it arrives when the link is mended in time, or one side gives up.
 *
 * Each connection is served by one fiber of the receiving node.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

/* A backend that nobody talks to any more is found by TCP after that */
#define KEEPALIVE		SIM_MS(20000)

typedef struct Msg
{
	struct Msg *next;
	SimTime		at;				/* when it arrives */
	Size		len;
	char	   *data;			/* NULL: the connection broke instead */
} Msg;

typedef struct Queue
{
	Msg		   *first;
	Msg		   *last;
	int			n;
} Queue;

struct SimConn
{
	SimConn    *next;
	SimNode    *from;
	SimNode    *to;
	int			from_life;
	int			to_life;
	uint64		no;				/* of this pair's */
	CcSender   *sender;			/* NULL: closed by its owner */

	Queue		sent;			/* on the way to the receiver */
	SimTime		last_sent;
	uint64		nsent;
	Queue		inbox;			/* what the receiver has not read */
	bool		eof;			/* nothing comes behind that */
	SimFiber   *session;		/* NULL: the backend has gone */

	Queue		replies;		/* on the way back */
	SimTime		last_reply;
	uint64		nreplies;
	Queue		arrived;		/* what the sender has not read */

	bool		dead;			/* no new message gets through */
	bool		broken;			/* the sender knows */
	bool		stalled;		/* something waits in a cut */
};

static SimConn *conns;
static uint64 pair_count[SIM_MAX_NODES][SIM_MAX_NODES];

static void deliver(void *arg, uint64 n);
static void deliver_reply(void *arg, uint64 n);

static void
push(Queue *q, Msg *m)
{
	m->next = NULL;
	if (q->first == NULL)
		q->first = m;
	else
		q->last->next = m;
	q->last = m;
	q->n++;
}

static Msg *
pop(Queue *q)
{
	Msg		   *m = q->first;

	if (m != NULL)
	{
		q->first = m->next;
		q->n--;
	}
	return m;
}

static Msg *
new_msg(const char *data, Size len)
{
	Msg		   *m = sim_memory(sizeof(Msg));

	m->len = len;
	if (data != NULL)
	{
		m->data = sim_memory(len);
		memcpy(m->data, data, len);
	}
	return m;
}

static uint64
conn_id(SimConn *c)
{
	return (uint64) (c->from->no * SIM_MAX_NODES + c->to->no) << 32 | c->no;
}

static SimTime
latency(SimConn *c, SimPurpose purpose, uint64 n)
{
	double		u = sim_unit(purpose, conn_id(c), n, 0);
	SimTime		t = 100 + (SimTime) (sim.cfg.latency * u);

	if (sim_unit(purpose + 1, conn_id(c), n, 0) < sim.cfg.latency_tail)
		t += (SimTime) (SIM_MS(800) * u);
	return t;
}

void
sim_net_begin(void)
{
	conns = NULL;
	memset(pair_count, 0, sizeof(pair_count));
}

/* ---- the receiving backend ---- */

typedef struct Work
{
	SimConn    *c;
	CcReceiver *r;
	Msg		   *m;
	bool		hello;
	CcStatus	status;
} Work;

static void
take_message(void *arg)
{
	Work	   *w = arg;

	if (w->hello)
		w->status = cc_receive_hello(w->r, cc_monotonic_ms(), w->m->data,
									 w->m->len);
	else
		w->status = cc_receive_batch(w->r, cc_monotonic_ms(),
									 sim.cfg.peer_timeout_ms, w->m->data,
									 w->m->len);
}

static void
reply(SimConn *c, Msg *m)
{
	if (c->dead)
		return;
	m->at = sim.now + latency(c, SIM_U_ACK, c->nreplies++);
	c->last_reply = m->at = Max(m->at, c->last_reply + 10);
	push(&c->replies, m);
	sim_at(m->at, deliver_reply, c, 0);
}

static void
serve(void *arg)
{
	SimConn    *c = arg;
	CcReceiver	r;
	Work		w = {.c = c, .r = &r, .hello = true};

	cc_receiver_init(&r);
	for (;;)
	{
		while (c->inbox.first == NULL && !c->eof)
			sim_wait(SIM_NEVER);
		if ((w.m = pop(&c->inbox)) == NULL)
			break;
		if (sim_try(take_message, &w))
		{
			Assert(r.reply.buf.len > 0);
			if (w.status != CC_OK)
			{
				sim.stats.refused++;
				sim_trace("refuses %s#" UINT64_FORMAT ": %s", c->from->name,
						  c->no, cc_status_text(w.status));
			}
			if (w.status == CC_REFUSED_REMOVED && w.hello && !c->dead)
				sim_node_kill_removed(c->from);
			reply(c, new_msg(r.reply.buf.data, r.reply.buf.len));
		}
		else
		{
			cc_receiver_gone(&r);
			reply(c, new_msg(NULL, 0));
		}
		w.hello = false;
	}
	cc_receiver_gone(&r);
	cc_receiver_free(&r);
	c->session = NULL;
}

/* ---- on the way ---- */

static void
deliver(void *arg, uint64 n)
{
	SimConn    *c = arg;

	if (c->dead || c->sent.first == NULL || c->sent.first->at > sim.now)
		return;
	if (sim.cut[c->from->no][c->to->no])
	{
		c->stalled = true;
		return;
	}
	if (c->session == NULL)
	{
		sim_net_reset(c);
		return;
	}
	push(&c->inbox, pop(&c->sent));
	sim_wake(c->session);
}

static void
deliver_reply(void *arg, uint64 n)
{
	SimConn    *c = arg;
	Msg		   *m = c->replies.first;

	if (c->dead || m == NULL || m->at > sim.now)
		return;
	if (sim.cut[c->to->no][c->from->no])
	{
		c->stalled = true;
		return;
	}
	pop(&c->replies);
	if (m->data == NULL)
	{
		sim_net_reset(c);
		return;
	}
	push(&c->arrived, m);
	sim_wake(c->from->replicator);
}

/* What had reached the receiver before its connection died */
static void
deliver_late(void *arg, uint64 n)
{
	SimConn    *c = arg;

	if (c->session == NULL)
		return;
	if (n == 0)
		c->eof = true;
	else
		push(&c->inbox, pop(&c->sent));
	sim_wake(c->session);
}

/* The connection dies; see the file's head. */
static void
die(SimConn *c)
{
	static const int late_ms[] = {0, 300, 2000, 8000};
	int			keep;
	SimTime		t;

	if (c->dead)
		return;
	c->dead = true;
	keep = sim_below(c->sent.n + 1, SIM_U_ZOMBIE, conn_id(c), 0, 0);
	t = sim.now + (SimTime) (SIM_MS(late_ms[sim_below(4, SIM_U_ZOMBIE, conn_id(c), 1, 0)]) *
							 sim_unit(SIM_U_ZOMBIE, conn_id(c), 2, 0));
	for (int i = 0; i < keep; i++)
		sim_at(t += 500, deliver_late, c, 1);
	if (sim.cut[c->from->no][c->to->no] &&
		sim_below(2, SIM_U_ZOMBIE, conn_id(c), 3, 0) == 0)
		t += KEEPALIVE;
	sim_at(t + 100, deliver_late, c, 0);
}

SimConn *
sim_net_connect(SimNode *from, SimNode *to, CcSender *sender)
{
	SimConn    *c;

	if (!to->up || sim.cut[from->no][to->no] || sim.cut[to->no][from->no])
		return NULL;
	c = sim_memory(sizeof(SimConn));
	c->from = from;
	c->to = to;
	c->from_life = from->life;
	c->to_life = to->life;
	c->no = pair_count[from->no][to->no]++;
	c->sender = sender;
	c->next = conns;
	conns = c;
	c->session = sim_fiber_start(to, "session", conn_id(c), serve, c);
	return c;
}

CcSender *
sim_net_sender(SimConn *c)
{
	return c->sender;
}

uint64
sim_net_number(SimConn *c)
{
	return c->no;
}

void
sim_net_send(SimConn *c, const char *data, Size len)
{
	Msg		   *m;

	sim.stats.messages++;
	if (c->dead)
		return;
	if (sim.tracing && getenv("SIM_MESSAGES") != NULL)
		sim_trace("sends to %s#" UINT64_FORMAT " %c flags %02x, %zu bytes",
				  c->to->name, c->no, data[6], (uint8) data[7], (size_t) len);
	m = new_msg(data, len);
	m->at = sim.now + latency(c, SIM_U_LATENCY, c->nsent++);
	c->last_sent = m->at = Max(m->at, c->last_sent + 10);
	push(&c->sent, m);
	sim_at(m->at, deliver, c, 0);
}

bool
sim_net_reply(SimConn *c, const char **data, Size *len)
{
	Msg		   *m = pop(&c->arrived);

	if (m == NULL)
		return false;
	*data = m->data;
	*len = m->len;
	return true;
}

bool
sim_net_broken(SimConn *c)
{
	return c->broken;
}

void
sim_net_close(SimConn *c)
{
	c->sender = NULL;
	die(c);
}

/* ---- links ---- */

void
sim_net_reset(SimConn *c)
{
	die(c);
	c->broken = true;
	if (c->sender != NULL && c->from->life == c->from_life)
		sim_wake(c->from->replicator);
}

void
sim_net_cut(SimNode *from, SimNode *to, uint64 draw)
{
	if (from == to || sim.cut[from->no][to->no])
		return;
	sim.cut[from->no][to->no] = true;
	/* often the first packet into the cut is answered by a reset */
	if (draw % 2 == 0)
		return;
	for (SimConn *c = conns; c != NULL; c = c->next)
	{
		if (!c->dead && ((c->from == from && c->to == to) ||
						 (c->from == to && c->to == from)))
			sim_net_reset(c);
	}
}

void
sim_net_mend(SimNode *from, SimNode *to)
{
	if (!sim.cut[from->no][to->no])
		return;
	sim.cut[from->no][to->no] = false;
	for (SimConn *c = conns; c != NULL; c = c->next)
	{
		SimTime		t = sim.now;

		if (c->dead || !c->stalled)
			continue;
		for (Msg *m = c->sent.first; m != NULL; m = m->next)
		{
			m->at = t = Max(m->at, t + 100);
			sim_at(t, deliver, c, 0);
		}
		c->last_sent = Max(c->last_sent, t);
		t = sim.now;
		for (Msg *m = c->replies.first; m != NULL; m = m->next)
		{
			m->at = t = Max(m->at, t + 100);
			sim_at(t, deliver_reply, c, 0);
		}
		c->last_reply = Max(c->last_reply, t);
	}
}

static void
tell_reset(void *arg, uint64 n)
{
	SimConn    *c = arg;

	if (!c->broken)
		sim_net_reset(c);
}

/* The node's server is gone, with its backends and what they had not read. */
void
sim_net_node_gone(SimNode *node)
{
	for (SimConn *c = conns; c != NULL; c = c->next)
	{
		if (c->from == node && c->from_life == node->life)
		{
			c->sender = NULL;
			die(c);
		}
		if (c->to == node && c->session != NULL)
		{
			c->session = NULL;
			c->sent.first = NULL;
			c->sent.n = 0;
			if (!c->dead && !sim.cut[node->no][c->from->no])
				sim_at(sim.now + sim.cfg.latency, tell_reset, c, 0);
			c->dead = true;
		}
	}
}
