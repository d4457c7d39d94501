/*-------------------------------------------------------------------------
 *
 * sim_port.h
 *	  The simulator's port for a stand-alone measurement: its types, and
 *	  nothing of what makes it slow (asserts, checkers, switches for rules).
 *
 * It must come before the simulator's own in the include path.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_PORT_H
#define BENCH_PORT_H

#include "../../sim/sim_port.h"

#undef USE_ASSERT_CHECKING
#undef Assert
#define Assert(c)			((void) 0)
#undef AssertMacro
#define AssertMacro(c)		((void) 0)
#undef cc_rule
#define cc_rule(name)		true
#undef cc_yield
#define cc_yield()			((void) 0)
#undef cc_check_raise
#define cc_check_raise(origin, from, to, full) ((void) 0)
#undef cc_check_take
#define cc_check_take(entry)	((void) 0)
#undef cc_check_write
#define cc_check_write(entry)	((void) 0)
#undef cc_check_evict
#define cc_check_evict(entry)	((void) 0)
#undef cc_check_race
#define cc_check_race(entry)	((void) 0)

#endif							/* BENCH_PORT_H */
