/*-------------------------------------------------------------------------
 *
 * counter.c
 *	  Fuzz target: counters that are added to, joined and begun again.
 *
 * The first byte of an input tells what the rest is.  Even: half the length of
 * the first of two values as a peer may send them; whatever they are, nothing is read past their ends, and
 * what comes out of a join is a counter.  Odd: steps of some nodes that each
 * hold a counter; then joining is commutative, associative and idempotent, and
 * an increment adds what it says.
 *
 *-------------------------------------------------------------------------
 */
#include "world.h"

#include "cache/counter.h"

#define NODES	4
#define ROOM	(16 * 1024)

/* Copies, so that the sanitizer sees where they end. */
static CcBuf
copy(const void *data, Size len, Size room)
{
	CcBuf		b = {.data = malloc(Max(len + room, 1)), .len = len};

	b.cap = len + room;
	memcpy(b.data, data, len);
	return b;
}

static CcBuf
join(const CcBuf *a, const CcBuf *b)
{
	CcBuf		out = copy("", 0, a->len + b->len);

	Assert(cc_counter_join(&out, a->data, a->len, b->data, b->len));
	return out;
}

static bool
same(const CcBuf *a, const CcBuf *b)
{
	return cc_counter_equal(a->data, a->len, b->data, b->len);
}

static void
try_values(uint8 length, const uint8_t *data, size_t size)
{
	Size		cut = Min((Size) length * 2, size);
	CcBuf		a = copy(data, cut, 0);
	CcBuf		b = copy(data + cut, size - cut, CC_COUNTER_PART);
	CcBuf		out = copy("", 0, a.len + b.len);
	CcNodeId	id = world_id(0);
	int64		number;
	bool		fine = cc_counter_value(a.data, a.len, &number) &&
		cc_counter_value(b.data, b.len, &number);

	(void) cc_counter_equal(a.data, a.len, b.data, b.len);
	if (cc_counter_join(&out, a.data, a.len, b.data, b.len))
	{
		Assert(fine);
		Assert(cc_counter_value(out.data, out.len, &number));
	}
	if (cc_counter_add(&b, &id, 1, 77, 5, &number) == CC_COUNTER_OK)
	{
		int64		now;

		Assert(cc_counter_value(b.data, b.len, &now) && now == number);
	}
	free(a.data);
	free(b.data);
	free(out.data);
}

static void
check_laws(const CcBuf *a, const CcBuf *b, const CcBuf *c)
{
	CcBuf		ab = join(a, b);
	CcBuf		ba = join(b, a);
	CcBuf		bc = join(b, c);
	CcBuf		ab_c = join(&ab, c);
	CcBuf		a_bc = join(a, &bc);
	CcBuf		aa = join(a, a);
	CcBuf		again = join(&ab, b);

	Assert(same(&ab, &ba));
	Assert(same(&ab_c, &a_bc));
	Assert(same(&aa, a));
	Assert(same(&again, &ab));
	free(ab.data);
	free(ba.data);
	free(bc.data);
	free(ab_c.data);
	free(a_bc.data);
	free(aa.data);
	free(again.data);
}

static CcNodeId
node_id(int i)
{
	CcNodeId	id = world_id(0);

	id.b[0] = (uint8) i;
	return id;
}

static void
begin(CcBuf *b, uint64 hlc, int node, int64 start)
{
	CcNodeId	id = node_id(node);

	b->len = 0;
	cc_counter_begin(b, hlc, &id, start);
}

static void
take_steps(const uint8_t *data, size_t size)
{
	CcBuf		node[NODES];
	uint64		clock = 0;

	for (int i = 0; i < NODES; i++)
	{
		node[i] = copy("", 0, ROOM);
		begin(&node[i], 0, 0, 0);
	}
	for (; size >= 2; data += 2, size -= 2)
	{
		int			i = data[0] % NODES;
		int			j = data[1] % NODES;
		int64		before;
		int64		after;
		CcNodeId	id = node_id(i);
		CcBuf		out;

		switch (data[0] / NODES % 8)
		{
			case 0:
				/* a number is put, or the floor is all that is left */
				clock++;
				begin(&node[i], clock, data[1] & 1 ? i : 0,
					  data[1] & 1 ? data[1] : 0);
				break;
			case 1:
			case 2:
			case 3:
				out = join(&node[i], &node[j]);
				node[i].len = 0;
				cc_buf_put(&node[i], out.data, out.len);
				free(out.data);
				break;
			default:
				(void) cc_counter_value(node[i].data, node[i].len, &before);
				Assert(cc_counter_add(&node[i], &id, data[1] / 128, clock,
									  data[1], &after) == CC_COUNTER_OK);
				Assert(after == before + data[1]);
				clock++;
		}
		check_laws(&node[i], &node[j], &node[(data[1] / 16) % NODES]);
	}
	for (int i = 0; i < NODES; i++)
		free(node[i].data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;

	if (!made)
		world_make(0);
	made = true;
	if (size < 2)
		return 0;
	if (data[0] % 2 == 0)
		try_values(data[1], data + 2, size - 2);
	else
		take_steps(data + 1, Min(size - 1, 600));
	return 0;
}
