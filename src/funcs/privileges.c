/*-------------------------------------------------------------------------
 *
 * privileges.c
 *	  See privileges.h.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/privileges.h"

bool
cc_privileges_has(uint16 ns, uint8 need)
{
	return true;
}

void
cc_privileges_check(uint16 ns, uint8 need)
{
}

bool
cc_privileges_owns(uint16 ns)
{
	return true;
}

void
cc_privileges_check_owner(uint16 ns)
{
}

void
cc_privileges_bind(const char *role)
{
}

void
cc_privileges_install(void)
{
}
