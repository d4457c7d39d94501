/*-------------------------------------------------------------------------
 *
 * trouble.h
 *	  What went wrong with a peer: whether it passes by itself, what to do
 *	  about it, and whether it has been said already.
 *
 * Locking: none.
 *
 * May include: base/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_TROUBLE_H
#define CC_TROUBLE_H

#include "base/port.h"

#define CC_TROUBLE_CAUSES	4

/* The causes that were logged since the last good session. */
typedef struct CcTrouble
{
	uint32		cause[CC_TROUBLE_CAUSES];
	unsigned	n;
} CcTrouble;

/* True when text is not among them; it is from then on. */
extern bool cc_trouble_is_new(CcTrouble *t, const char *text);

/*
 * Whether an error with this SQLSTATE will pass soon by itself, against one
 * that somebody must see to.
 */
extern bool cc_trouble_passes(const char *sqlstate);

/* What to do about an error that a peer's server has raised, or NULL. */
extern const char *cc_trouble_cure(const char *sqlstate);

/*
 * Finds the SQLSTATE in libpq's verbose message of a failed connection.
 * Returns the text behind it, or NULL.
 */
extern const char *cc_trouble_sqlstate(const char *message, char sqlstate[6]);

/*
 * Copies the first line of a message of libpq's, without the "connection to
 * server ..." before it.
 */
extern void cc_trouble_line(const char *message, char *out, Size size);

#endif							/* CC_TROUBLE_H */
