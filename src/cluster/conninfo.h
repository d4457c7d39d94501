/*-------------------------------------------------------------------------
 *
 * conninfo.h
 *	  Connection strings, read: what a peer is reached by, and what of it may
 *	  be shown.
 *
 * libpq reads the strings and uses the result; in between they are plain
 * lists of options here.  Only host and port of one ever appear in a message
 * or a view.
 *
 * Locking: none.
 *
 * May include: base/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_CONNINFO_H
#define CC_CONNINFO_H

#include "base/port.h"

#define CC_CONNINFO_MAX		80	/* options */
#define CC_HOST_LEN			256
#define CC_HOSTADDR_LEN		64	/* of a numeric address with a scope */
#define CC_PORT_LEN			16

typedef struct CcOption
{
	const char *keyword;		/* static */
	char	   *value;			/* cc_alloc'd; never empty */
	bool		secret;
} CcOption;

typedef struct CcConninfo
{
	int			n;
	CcOption	option[CC_CONNINFO_MAX];
} CcConninfo;

/* Adds an option with a copy of its value; an empty one is left out. */
extern void cc_conninfo_add(CcConninfo *info, const char *keyword,
							const char *value, bool secret);
extern void cc_conninfo_free(CcConninfo *info);

/* An option's value, or NULL. */
extern const char *cc_conninfo_get(const CcConninfo *info, const char *keyword);

/* Whether text quotes the value of a secret option. */
extern bool cc_conninfo_leaks(const CcConninfo *info, const char *text);

/* One of the places that a connection string names. */
typedef struct CcPlace
{
	char		host[CC_HOST_LEN];	/* name, address, or a socket's path */
	char		hostaddr[CC_HOSTADDR_LEN];	/* empty: to be resolved */
	char		port[CC_PORT_LEN];
} CcPlace;

/*
 * The i-th of the places that info names, round and round; added stands in
 * for what info does not say.  False when host or port is too long.
 */
extern bool cc_conninfo_place(const CcConninfo *info, const CcConninfo *added,
							  unsigned i, CcPlace *place);

extern bool cc_conninfo_is_path(const char *host);

/* Host and port for a message; good until the next call. */
extern const char *cc_conninfo_show(const CcPlace *place);

/* Host and port as a conninfo.  False when there is no host or no room. */
extern bool cc_conninfo_address(const CcConninfo *info, char *out, Size size);

#endif							/* CC_CONNINFO_H */
