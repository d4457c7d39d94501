/*-------------------------------------------------------------------------
 *
 * shrink.c
 *	  The shortest schedule that still fails in the same way.
 *
 * Greedy: takes out runs of actions, of half the schedule at first and of one
 * action in the end, and keeps what still violates with the same kind.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

static bool
fails(uint64 seed, const SimAction *a, int n, const char *kind)
{
	return !sim_run(seed, a, n, false) && strcmp(sim.kind, kind) == 0;
}

int
sim_shrink(uint64 seed, SimAction *actions, int nactions, const char *kind)
{
	static SimAction try[SIM_MAX_ACTIONS];
	char		wanted[32];
	int			size = (nactions + 1) / 2;

	strlcpy(wanted, kind, sizeof(wanted));
	while (size > 0)
	{
		bool		removed = false;

		for (int i = 0; i < nactions;)
		{
			int			n = Min(size, nactions - i);

			memcpy(try, actions, i * sizeof(SimAction));
			memcpy(try + i, actions + i + n,
				   (nactions - i - n) * sizeof(SimAction));
			if (fails(seed, try, nactions - n, wanted))
			{
				nactions -= n;
				memcpy(actions, try, nactions * sizeof(SimAction));
				removed = true;
			}
			else
				i += n;
		}
		if (size > 1)
			size = (size + 1) / 2;
		else if (!removed)
			break;
	}
	return nactions;
}
