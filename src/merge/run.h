/*-------------------------------------------------------------------------
 *
 * run.h
 *	  A run over the conflicts of one namespace.
 *
 * Keys are taken in batches; the calls of a batch are one transaction, as the
 * namespace's owner.  What they decide is stored after that has committed: a
 * row that a function wrote and its decision stand or fall together, but for a
 * server that dies between the two; the function is called again then.  If
 * somebody wrote the key meanwhile the decision is dropped (PROTOCOL.md, write
 * only if unchanged), and the function's row stays.
 *
 * After an error the batch is rolled back, and its keys are tried again one by
 * one, each in a subtransaction; those that fail have the error beside them
 * and their time to be tried again.
 *
 * Locking: none is held while a function runs.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGE_RUN_H
#define CC_MERGE_RUN_H

#include "base/port.h"

/* Does what is due now. */
extern void cc_mergerun(uint16 ns);

#endif							/* CC_MERGE_RUN_H */
