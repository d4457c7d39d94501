/*-------------------------------------------------------------------------
 *
 * floor.c
 *	  F, the floor: a Bloom filter of what was forgotten, by generations.
 *
 * Promise (PROTOCOL.md section 1, the floor): whatever was added or merged is
 * answered by an HLC at least as high, for ever.  A generation whose bits are
 * half set is left alone and the oldest one makes room: its HLC goes into
 * "gone", which answers for every key of the slice.
 *
 * As bytes, a slice is
 *
 *	u32 generations, u32 bits, u64 gone, and for each generation
 *	u64 hlc, u8 present, and where present is 1: bits / 8 bytes
 *
 * Bit n of a generation is bit n % 8 of byte n / 8.
 *
 * Locking: the caller holds the lock of the slice's partition.  Nothing here
 * allocates, logs or waits.
 *
 * May include: base/, state.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/floor.h"

#define PROBES			4		/* bits that stand for a key */
#define WIRE_HEAD		16
#define WIRE_GENERATION 9
#define WORD_BITS		64

/*
 * The bits of a key, each a number below 2^16 of which the user takes as many
 * low bits as its filter has.  The top bits of a key's hash are the same in
 * all of a slice, and the next ones in a bucket, so they are mixed first.
 */
typedef struct Probes
{
	uint16		bit[PROBES];
} Probes;

static inline Probes
probe(uint64 hash)
{
	Probes		p;

	hash ^= hash >> 32;
	hash *= UINT64CONST(0xd6e8feb86659fd93);
	hash ^= hash >> 32;
	hash *= UINT64CONST(0xd6e8feb86659fd93);
	hash ^= hash >> 32;
	for (int i = 0; i < PROBES; i++)
		p.bit[i] = (uint16) (hash >> (16 * i));
	return p;
}

static inline int
count_bits(uint64 w)
{
	w -= (w >> 1) & UINT64CONST(0x5555555555555555);
	w = (w & UINT64CONST(0x3333333333333333)) +
		((w >> 2) & UINT64CONST(0x3333333333333333));
	w = (w + (w >> 4)) & UINT64CONST(0x0f0f0f0f0f0f0f0f);
	return (int) ((w * UINT64CONST(0x0101010101010101)) >> 56);
}

static inline uint64
get_number(const char *p, int n)
{
	uint64		v = 0;

	for (int i = 0; i < n; i++)
		v |= (uint64) (uint8) p[i] << (8 * i);
	return v;
}

static inline char *
put_number(char *p, uint64 v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (char) (v >> (8 * i));
	return p + n;
}

static inline uint32
words_of_generation(void)
{
	return cc.floor->bits / WORD_BITS;
}

static uint64 *
generation_words(int slice, uint32 generation)
{
	uint64	   *words = (uint64 *) ((char *) cc.floor +
									MAXALIGN(sizeof(CcFloorShared)));
	Size		n = (Size) slice * cc.floor->generations + generation;

	return words + n * words_of_generation();
}

Size
cc_floor_size(uint32 generations, uint32 bits)
{
	return MAXALIGN(sizeof(CcFloorShared)) +
		(Size) CC_SLICES * generations * (bits / 8);
}

void
cc_floor_init(void *mem, uint32 generations, uint32 bits)
{
	Assert(generations >= 1 && generations <= CC_FLOOR_GENERATIONS);
	Assert(bits >= WORD_BITS && bits <= CC_FLOOR_BITS);
	Assert((bits & (bits - 1)) == 0);

	memset(mem, 0, cc_floor_size(generations, bits));
	cc.floor = mem;
	cc.floor->generations = generations;
	cc.floor->bits = bits;
}

static void
clear_generation(int slice, uint32 generation)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];

	if (s->set[generation] > 0)
		memset(generation_words(slice, generation), 0, cc.floor->bits / 8);
	s->set[generation] = 0;
	s->hlc[generation] = 0;
}

/* "gone" answers up to hlc from now on; generations below it are of no use. */
static void
raise_gone(int slice, uint64 hlc)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];

	if (hlc <= s->gone)
		return;
	s->gone = hlc;
	for (uint32 g = 0; g < cc.floor->generations; g++)
	{
		if (s->hlc[g] <= s->gone)
			clear_generation(slice, g);
	}
}

/* Goes on with another generation when the current one is half full. */
static void
rotate_if_full(int slice)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];
	uint32		oldest = 0;

	if (s->set[s->current] < cc.floor->bits / 2)
		return;

	/* an empty one, whose HLC is 0, or else the one of the lowest HLC */
	for (uint32 g = 1; g < cc.floor->generations; g++)
	{
		if (s->hlc[g] < s->hlc[oldest])
			oldest = g;
	}
	raise_gone(slice, s->hlc[oldest]);
	clear_generation(slice, oldest);
	s->current = oldest;
}

void
cc_floor_add(uint64 hash, uint64 hlc)
{
	int			slice = cc_floor_slice(hash);
	CcFloorSliceShared *s = &cc.floor->slice[slice];
	uint64	   *words;
	Probes		p;

	if (hlc <= s->gone)
		return;					/* answered already */

	words = generation_words(slice, s->current);
	p = probe(hash);
	for (int i = 0; i < PROBES; i++)
	{
		uint32		bit = p.bit[i] & (cc.floor->bits - 1);
		uint64		mask = UINT64CONST(1) << (bit % WORD_BITS);

		if ((words[bit / WORD_BITS] & mask) == 0)
		{
			words[bit / WORD_BITS] |= mask;
			s->set[s->current]++;
		}
	}
	s->hlc[s->current] = Max(s->hlc[s->current], hlc);
	rotate_if_full(slice);
}

uint64
cc_floor_get(uint64 hash)
{
	int			slice = cc_floor_slice(hash);
	CcFloorSliceShared *s = &cc.floor->slice[slice];
	uint64		highest = s->gone;
	Probes		p;

	if (!cc_rule(floor))
		return 0;

	p = probe(hash);
	for (uint32 g = 0; g < cc.floor->generations; g++)
	{
		const uint64 *words;
		bool		all = true;

		if (s->hlc[g] <= highest)
			continue;
		words = generation_words(slice, g);
		for (int i = 0; all && i < PROBES; i++)
		{
			uint32		bit = p.bit[i] & (cc.floor->bits - 1);

			all = (words[bit / WORD_BITS] >> (bit % WORD_BITS)) & 1;
		}
		if (all)
			highest = s->hlc[g];
	}
	return highest;
}

void
cc_floor_raise(int slice, uint64 hlc)
{
	raise_gone(slice, hlc);
}

Size
cc_floor_max_bytes(void)
{
	return WIRE_HEAD + (Size) cc.floor->generations *
		(WIRE_GENERATION + cc.floor->bits / 8);
}

Size
cc_floor_write(int slice, char *out)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];
	char	   *p = out;

	p = put_number(p, cc.floor->generations, 4);
	p = put_number(p, cc.floor->bits, 4);
	p = put_number(p, s->gone, 8);
	for (uint32 g = 0; g < cc.floor->generations; g++)
	{
		const uint64 *words = generation_words(slice, g);
		bool		present = s->set[g] > 0;

		p = put_number(p, s->hlc[g], 8);
		p = put_number(p, present, 1);
		for (uint32 i = 0; present && i < words_of_generation(); i++)
			p = put_number(p, words[i], 8);
	}
	return p - out;
}

/* One generation of a slice as bytes. */
typedef struct WireGeneration
{
	uint64		hlc;
	const char *bits;			/* NULL: none is set */
} WireGeneration;

typedef struct WireSlice
{
	uint32		generations;
	uint32		bits;
	uint64		gone;
	WireGeneration generation[CC_FLOOR_GENERATIONS];
} WireSlice;

/* Takes bytes apart; false when they are not what cc_floor_write writes. */
static bool
parse(const char *data, Size len, WireSlice *w)
{
	const char *end = data + len;

	if (len < WIRE_HEAD)
		return false;
	w->generations = (uint32) get_number(data, 4);
	w->bits = (uint32) get_number(data + 4, 4);
	w->gone = get_number(data + 8, 8);
	data += WIRE_HEAD;
	if (w->generations < 1 || w->generations > CC_FLOOR_GENERATIONS ||
		w->bits < WORD_BITS || w->bits > CC_FLOOR_BITS ||
		(w->bits & (w->bits - 1)) != 0)
		return false;

	for (uint32 g = 0; g < w->generations; g++)
	{
		WireGeneration *wg = &w->generation[g];
		uint8		present;

		if (end - data < WIRE_GENERATION)
			return false;
		wg->hlc = get_number(data, 8);
		wg->bits = NULL;
		present = (uint8) data[8];
		data += WIRE_GENERATION;
		if (present > 1 || (present == 0) != (wg->hlc == 0))
			return false;
		if (present == 1)
		{
			if (end - data < (ptrdiff_t) (w->bits / 8))
				return false;
			wg->bits = data;
			data += w->bits / 8;
		}
	}
	return data == end;
}

bool
cc_floor_check(const char *data, Size len)
{
	WireSlice	w;

	return parse(data, len, &w);
}

uint64
cc_floor_highest_in(const char *data, Size len)
{
	WireSlice	w;
	uint64		highest;

	if (!parse(data, len, &w))
		return 0;
	highest = w.gone;
	for (uint32 g = 0; g < w.generations; g++)
		highest = Max(highest, w.generation[g].hlc);
	return highest;
}

uint64
cc_floor_get_in(const char *data, Size len, uint64 hash)
{
	WireSlice	w;
	uint64		highest;
	Probes		p;

	if (!cc_rule(floor) || !parse(data, len, &w))
		return 0;

	highest = w.gone;
	p = probe(hash);
	for (uint32 g = 0; g < w.generations; g++)
	{
		const WireGeneration *wg = &w.generation[g];
		bool		all = true;

		if (wg->hlc <= highest)
			continue;
		for (int i = 0; all && i < PROBES; i++)
		{
			uint32		bit = p.bit[i] & (w.bits - 1);

			all = ((uint8) wg->bits[bit / 8] >> (bit % 8)) & 1;
		}
		if (all)
			highest = wg->hlc;
	}
	return highest;
}

/*
 * Word i of a generation of our size, made of one of theirs: a larger one is
 * folded, a smaller one repeated.
 */
static uint64
resized_word(const WireGeneration *wg, uint32 their_words, uint32 i)
{
	uint32		our_words = words_of_generation();
	uint64		w = 0;

	for (uint32 j = i % their_words; j < their_words; j += our_words)
		w |= get_number(wg->bits + 8 * (Size) j, 8);
	return w;
}

/* Whether one of our generations already answers for all of theirs. */
static bool
answered(int slice, const WireGeneration *wg, uint32 their_words)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];

	if (wg->hlc <= s->gone)
		return true;
	for (uint32 g = 0; g < cc.floor->generations; g++)
	{
		const uint64 *words = generation_words(slice, g);
		uint32		i = 0;

		if (s->hlc[g] < wg->hlc)
			continue;
		while (i < words_of_generation() &&
			   (resized_word(wg, their_words, i) & ~words[i]) == 0)
			i++;
		if (i == words_of_generation())
			return true;
	}
	return false;
}

static void
merge_generation(int slice, const WireGeneration *wg, uint32 their_words)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];
	uint64	   *words = generation_words(slice, s->current);
	uint32		set = 0;

	for (uint32 i = 0; i < words_of_generation(); i++)
	{
		words[i] |= resized_word(wg, their_words, i);
		set += count_bits(words[i]);
	}
	if (set == 0)
		return;					/* "present", and yet nothing is set */
	s->set[s->current] = set;
	s->hlc[s->current] = Max(s->hlc[s->current], wg->hlc);
	s->dirty = true;
	rotate_if_full(slice);
}

/*
 * Their generations go into our current one, the oldest first, so that it is
 * again the oldest that goes when there is no room.  What we know already is
 * left out: comparisons with several peers bring much the same.
 */
void
cc_floor_merge(int slice, const char *data, Size len)
{
	CcFloorSliceShared *s = &cc.floor->slice[slice];
	WireSlice	w;
	uint32		order[CC_FLOOR_GENERATIONS];

	if (!parse(data, len, &w))
		return;

	if (w.gone > s->gone)
	{
		raise_gone(slice, w.gone);
		s->dirty = true;
		s->losses++;
	}

	for (uint32 g = 0; g < w.generations; g++)
	{
		uint32		i = g;

		while (i > 0 && w.generation[order[i - 1]].hlc > w.generation[g].hlc)
		{
			order[i] = order[i - 1];
			i--;
		}
		order[i] = g;
	}
	for (uint32 i = 0; i < w.generations; i++)
	{
		const WireGeneration *wg = &w.generation[order[i]];

		if (wg->bits != NULL && !answered(slice, wg, w.bits / WORD_BITS))
		{
			merge_generation(slice, wg, w.bits / WORD_BITS);
			s->losses++;
		}
	}
}
