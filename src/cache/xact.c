/* being written */
#include "cache/xact.h"
#include "base/guc.h"
void		(*cc_xact_check_hook) (bool forced);
void cc_xact_install(void) {}
bool cc_xact_defers(uint16 ns) { return false; }
CcResult cc_xact_add(const CcChange *c, CcOutcome *o, bool forced) { return cc_cache_change(c, o); }
void cc_xact_clear(uint16 ns) { cc_cache_clear(ns); }
CcResult cc_xact_now(const CcChange *c, CcOutcome *o) { return cc_cache_change(c, o); }
CcResult cc_xact_clear_now(uint16 ns) { return cc_cache_clear(ns); }
bool cc_xact_get(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf) { return cc_cache_get(ns, key, keylen, e, buf); }
bool cc_xact_has(uint16 ns, const char *key, uint16 keylen, int64 *expires) { return cc_cache_has(ns, key, keylen, expires); }
uint64 cc_xact_count(uint16 ns) { return cc_cache_count(ns); }
bool cc_xact_get_stale(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf, bool *stale) { return cc_cache_get_stale(ns, key, keylen, e, buf, stale); }
void cc_xact_scan(uint16 ns, CcScan *scan, CcEntryFn fn, void *arg) { cc_cache_scan(ns, scan, fn, arg); }
void cc_xact_missed(uint16 ns, const char *key, uint16 keylen) {}
