/*-------------------------------------------------------------------------
 *
 * floor.c
 *	  Fuzz target: a slice of the floor as bytes.
 *
 * Whatever is accepted answers without reading past its end, and after it is
 * merged our own slice answers at least as high for every key; our own bytes
 * are accepted and answer as we do.
 *
 *-------------------------------------------------------------------------
 */
#include "world.h"

#define KEYS	64

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	char	   *bytes;
	char	   *ours;
	Size		len;

	if (!made)
	{
		world_make(0);
		for (int i = 0; i < 20; i++)
			cc_floor_add(UINT64CONST(0x9E3779B97F4A7C15) * i >> 7, 1000 + i);
		world_save();
		made = true;
	}
	world_restore();

	bytes = malloc(Max(size, 1));
	memcpy(bytes, data, size);
	if (cc_floor_check(bytes, size))
	{
		uint64		theirs[KEYS];
		uint64		before[KEYS];

		ours = malloc(cc_floor_max_bytes());
		for (int i = 0; i < KEYS; i++)
		{
			uint64		hash = UINT64CONST(0x9E3779B97F4A7C15) * i >> 7;

			theirs[i] = cc_floor_get_in(bytes, size, hash);
			before[i] = cc_floor_get(hash);
			Assert(theirs[i] <= cc_floor_highest_in(bytes, size));
		}
		cc_floor_merge(0, bytes, size);
		len = cc_floor_write(0, ours);
		Assert(len <= cc_floor_max_bytes());
		Assert(cc_floor_check(ours, len));
		for (int i = 0; i < KEYS; i++)
		{
			uint64		hash = UINT64CONST(0x9E3779B97F4A7C15) * i >> 7;

			Assert(cc_floor_get(hash) >= Max(theirs[i], before[i]));
			Assert(cc_floor_get_in(ours, len, hash) == cc_floor_get(hash));
		}
		free(ours);
	}
	free(bytes);
	return 0;
}
