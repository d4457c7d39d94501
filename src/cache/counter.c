/*-------------------------------------------------------------------------
 *
 * counter.c
 *	  See counter.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/counter.h"

static bool
add_overflows(int64 a, int64 b, int64 *sum)
{
	return __builtin_add_overflow(a, b, sum);
}

/* Reads the head; returns the number of parts that follow, or -1. */
static int
read_head(CcReader *r, uint64 *base, int64 *start)
{
	int			n;

	*base = cc_read_u64(r);
	(void) cc_read_bytes(r, CC_ID_LEN);
	*start = (int64) cc_read_u64(r);
	n = cc_read_u16(r);
	if (r->bad || n > CC_MAX_ORIGINS ||
		cc_reader_left(r) != (Size) n * CC_COUNTER_PART)
		return -1;
	return n;
}

bool
cc_counter_value(const char *value, Size len, int64 *number)
{
	CcReader	r;
	uint64		base;
	int			n;

	cc_reader_init(&r, value, len);
	n = read_head(&r, &base, number);
	for (int i = 0; i < n; i++)
	{
		(void) cc_read_bytes(&r, CC_ID_LEN + 24);
		/* sums of different nodes may leave bigint together: wrap, as a sum */
		*number = (int64) ((uint64) *number + cc_read_u64(&r));
	}
	return n >= 0;
}

void
cc_counter_begin(CcBuf *out, uint64 base_hlc, const CcNodeId *base_node,
				 int64 start)
{
	cc_buf_put_u64(out, base_hlc);
	cc_buf_put(out, base_node->b, CC_ID_LEN);
	cc_buf_put_u64(out, (uint64) start);
	cc_buf_put_u16(out, 0);
}

/* The part of one origin, as it stands in the value. */
typedef struct Part
{
	const char *at;				/* NULL: there is none */
	uint64		begun;
	uint64		step;
	int64		sum;
} Part;

static Part
part(const char *value, int i)
{
	Part		p = {.at = value + CC_COUNTER_HEAD + (Size) i * CC_COUNTER_PART};
	CcReader	r;

	cc_reader_init(&r, p.at + CC_ID_LEN + 8, 24);
	p.begun = cc_read_u64(&r);
	p.step = cc_read_u64(&r);
	p.sum = (int64) cc_read_u64(&r);
	return p;
}

/* Of the same origin: a node that begins again does so later. */
static bool
later(const Part *a, const Part *b)
{
	return a->begun != b->begun ? a->begun > b->begun : a->step > b->step;
}

static int
nparts(const char *value, Size len, uint64 *base)
{
	CcReader	r;
	int64		start;

	cc_reader_init(&r, value, len);
	return read_head(&r, base, &start);
}

/* The part of the origin whose id and incarnation stand at origin. */
static Part
find_part(const char *value, int n, const char *origin)
{
	Part		none = {0};

	for (int i = 0; i < n; i++)
	{
		Part		p = part(value, i);

		if (memcmp(p.at, origin, CC_ID_LEN + 8) == 0)
			return p;
	}
	return none;
}

static void
put_part(CcBuf *b, const char *origin, uint64 begun, uint64 step, int64 sum)
{
	cc_buf_put(b, origin, CC_ID_LEN + 8);
	cc_buf_put_u64(b, begun);
	cc_buf_put_u64(b, step);
	cc_buf_put_u64(b, (uint64) sum);
}

static void
set_count(CcBuf *b, int n)
{
	Size		len = b->len;

	b->len = CC_COUNTER_HEAD - 2;
	cc_buf_put_u16(b, (uint16) n);
	b->len = len;
}

CcCounterResult
cc_counter_add(CcBuf *value, const CcNodeId *node, uint64 incarnation,
			   uint64 hlc, int64 by, int64 *number)
{
	char		bytes[CC_ID_LEN + 8];
	CcBuf		origin = {.data = bytes, .len = 0, .cap = sizeof(bytes)};
	uint64		base;
	int			n = nparts(value->data, value->len, &base);
	Part		p;

	if (n < 0 || !cc_counter_value(value->data, value->len, number))
		return CC_COUNTER_BAD;
	cc_buf_put(&origin, node->b, CC_ID_LEN);
	cc_buf_put_u64(&origin, incarnation);
	p = find_part(value->data, n, bytes);
	if (p.at == NULL && n == CC_MAX_ORIGINS)
		return CC_COUNTER_BAD;
	if (add_overflows(*number, by, number) || add_overflows(p.sum, by, &p.sum))
		return CC_COUNTER_OVERFLOW;
	if (p.at == NULL)
	{
		put_part(value, bytes, Max(hlc, base) + 1, 1, p.sum);
		set_count(value, n + 1);
	}
	else
	{
		Size		len = value->len;

		value->len = (Size) (p.at - value->data);
		put_part(value, bytes, p.begun, p.step + 1, p.sum);
		value->len = len;
	}
	return CC_COUNTER_OK;
}

/* The number that stood in the base, of a counter that is well-formed. */
static int64
start_of(const char *value)
{
	CcReader	r;

	cc_reader_init(&r, value + 8 + CC_ID_LEN, sizeof(int64));
	return (int64) cc_read_u64(&r);
}

/*
 * Order of the bases: HLC, then node.  Of one base the number is above its
 * absence: where a node had lost the value, or saw it expired, before it
 * counted, others have counted from it.
 */
static int
compare_base(const char *a, uint64 abase, const char *b, uint64 bbase)
{
	int			cmp = memcmp(a + 8, b + 8, CC_ID_LEN);
	int64		astart = start_of(a);
	int64		bstart = start_of(b);

	if (abase != bbase)
		return abase < bbase ? -1 : 1;
	if (cmp != 0 || astart == bstart)
		return cmp;
	if (astart == 0 || bstart == 0)
		return astart == 0 ? -1 : 1;
	return astart < bstart ? -1 : 1;
}

/*
 * The parts of a that count above the base, each the later one of a's and b's;
 * or only those of origins that b has none of.  Returns how many.
 */
static int
join_parts(CcBuf *out, const char *a, int na, const char *b, int nb,
		   uint64 base, bool only_new)
{
	int			n = 0;

	for (int i = 0; i < na; i++)
	{
		Part		p = part(a, i);
		Part		q = find_part(b, nb, p.at);

		if (only_new && q.at != NULL)
			continue;
		if (q.at != NULL && later(&q, &p))
			p = q;
		if (p.begun <= base)
			continue;
		cc_buf_put(out, p.at, CC_COUNTER_PART);
		n++;
	}
	return n;
}

bool
cc_counter_join(CcBuf *out, const char *a, Size alen, const char *b, Size blen)
{
	uint64		abase;
	uint64		bbase;
	int			na = nparts(a, alen, &abase);
	int			nb = nparts(b, blen, &bbase);
	int			n;
	int			cmp;

	if (na < 0 || nb < 0)
		return false;
	cmp = compare_base(a, abase, b, bbase);
	if (cmp != 0 && !cc_rule(counter_begun))
	{
		cc_buf_put(out, cmp > 0 ? a : b, cmp > 0 ? alen : blen);
		return true;
	}
	cc_buf_put(out, cmp >= 0 ? a : b, CC_COUNTER_HEAD);
	n = join_parts(out, a, na, b, nb, Max(abase, bbase), false);
	n += join_parts(out, b, nb, a, na, Max(abase, bbase), true);
	if (n > CC_MAX_ORIGINS)
		return false;
	set_count(out, n);
	return true;
}

bool
cc_counter_equal(const char *a, Size alen, const char *b, Size blen)
{
	uint64		base;
	int			n = nparts(a, alen, &base);

	if (n < 0 || alen != blen || memcmp(a, b, CC_COUNTER_HEAD) != 0)
		return false;
	for (int i = 0; i < n; i++)
	{
		Part		p = part(a, i);
		Part		q = find_part(b, n, p.at);

		if (q.at == NULL || memcmp(p.at, q.at, CC_COUNTER_PART) != 0)
			return false;
	}
	return true;
}

bool
cc_counter_parse(const char *text, Size len, int64 *number)
{
	const char *end = text + len;
	bool		negative = false;
	int64		v = 0;

	while (text < end && (*text == ' ' || (*text >= '\t' && *text <= '\r')))
		text++;
	while (end > text && (end[-1] == ' ' || (end[-1] >= '\t' && end[-1] <= '\r')))
		end--;
	if (text < end && (*text == '-' || *text == '+'))
		negative = *text++ == '-';
	if (text == end)
		return false;
	/* counts down, so that the smallest bigint is read too */
	for (; text < end; text++)
	{
		if (*text < '0' || *text > '9' ||
			__builtin_mul_overflow(v, 10, &v) ||
			__builtin_sub_overflow(v, *text - '0', &v))
			return false;
	}
	if (!negative && v == PG_INT64_MIN)
		return false;
	*number = negative ? v : -v;
	return true;
}
