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
	if (r->bad || cc_reader_left(r) != (Size) n * CC_COUNTER_PART)
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
	if (n < 0 || !cc_counter_value(value->data, value->len, number))
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
