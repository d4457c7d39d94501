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
read_head(CcReader *r, int64 *start)
{
	int			n;

	(void) cc_read_u64(r);
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
	int			n;

	cc_reader_init(&r, value, len);
	n = read_head(&r, number);
	for (int i = 0; i < n; i++)
	{
		(void) cc_read_bytes(&r, CC_ID_LEN + 16);
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

/* Overwrites numbers in place: those of a part, the count of the head. */
static void
patch_u64(CcBuf *b, Size at, uint64 v)
{
	Size		len = b->len;

	b->len = at;
	cc_buf_put_u64(b, v);
	b->len = len;
}

CcCounterResult
cc_counter_add(CcBuf *value, const CcNodeId *node, uint64 incarnation,
			   int64 by, int64 *number)
{
	CcReader	r;
	int64		start;
	int64		sum = 0;
	int			n;
	Size		at = 0;
	uint64		step = 0;

	cc_reader_init(&r, value->data, value->len);
	n = read_head(&r, &start);
	if (n < 0 || n == CC_MAX_ORIGINS ||
		!cc_counter_value(value->data, value->len, number))
		return CC_COUNTER_BAD;
	for (int i = 0; i < n && at == 0; i++)
	{
		const char *id = cc_read_bytes(&r, CC_ID_LEN);
		uint64		inc = cc_read_u64(&r);

		if (inc == incarnation && memcmp(id, node->b, CC_ID_LEN) == 0)
			at = (Size) (r.p - value->data);
		step = cc_read_u64(&r);
		sum = (int64) cc_read_u64(&r);
	}
	if (at == 0)
		step = 0, sum = 0;
	if (add_overflows(*number, by, number) || add_overflows(sum, by, &sum))
		return CC_COUNTER_OVERFLOW;
	if (at == 0)
	{
		Size		len;

		cc_buf_put(value, node->b, CC_ID_LEN);
		cc_buf_put_u64(value, incarnation);
		cc_buf_put_u64(value, 1);
		cc_buf_put_u64(value, (uint64) sum);
		len = value->len;
		value->len = CC_COUNTER_HEAD - 2;
		cc_buf_put_u16(value, (uint16) (n + 1));
		value->len = len;
	}
	else
	{
		patch_u64(value, at, step + 1);
		patch_u64(value, at + 8, (uint64) sum);
	}
	return CC_COUNTER_OK;
}

/* One origin's part, as it stands in the value. */
typedef struct Part
{
	const char *at;
	uint64		step;
} Part;

static Part
part(const char *value, int i)
{
	Part		p = {.at = value + CC_COUNTER_HEAD + (Size) i * CC_COUNTER_PART};
	CcReader	r;

	cc_reader_init(&r, p.at + CC_ID_LEN + 8, 8);
	p.step = cc_read_u64(&r);
	return p;
}

static int
nparts(const char *value, Size len)
{
	CcReader	r;
	int64		start;

	cc_reader_init(&r, value, len);
	return read_head(&r, &start);
}

/* The part of the same origin; one without address when there is none. */
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

/* Order of the bases: HLC, then node. */
static int
compare_base(const char *a, const char *b)
{
	CcReader	ra;
	CcReader	rb;
	uint64		ha;
	uint64		hb;

	cc_reader_init(&ra, a, CC_COUNTER_HEAD);
	cc_reader_init(&rb, b, CC_COUNTER_HEAD);
	ha = cc_read_u64(&ra);
	hb = cc_read_u64(&rb);
	if (ha != hb)
		return ha < hb ? -1 : 1;
	return memcmp(a + 8, b + 8, CC_ID_LEN);
}

bool
cc_counter_join(CcBuf *out, const char *a, Size alen, const char *b, Size blen)
{
	int			na = nparts(a, alen);
	int			nb = nparts(b, blen);
	int			n = na;
	int			cmp;
	Size		len;

	if (na < 0 || nb < 0)
		return false;
	cmp = compare_base(a, b);
	if (cmp != 0)
	{
		cc_buf_put(out, cmp > 0 ? a : b, cmp > 0 ? alen : blen);
		return true;
	}
	cc_buf_put(out, a, CC_COUNTER_HEAD);
	for (int i = 0; i < na; i++)
	{
		Part		p = part(a, i);
		Part		q = find_part(b, nb, p.at);

		if (q.at != NULL && q.step > p.step)
			p = q;
		cc_buf_put(out, p.at, CC_COUNTER_PART);
	}
	for (int i = 0; i < nb && n < CC_MAX_ORIGINS; i++)
	{
		Part		q = part(b, i);

		if (find_part(a, na, q.at).at != NULL)
			continue;
		cc_buf_put(out, q.at, CC_COUNTER_PART);
		n++;
	}
	len = out->len;
	out->len = CC_COUNTER_HEAD - 2;
	cc_buf_put_u16(out, (uint16) n);
	out->len = len;
	return true;
}

bool
cc_counter_equal(const char *a, Size alen, const char *b, Size blen)
{
	int			n = nparts(a, alen);

	if (alen != blen || memcmp(a, b, CC_COUNTER_HEAD) != 0)
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
