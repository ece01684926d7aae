// Package usage remembers what tokens are used for: which operation, in which version and
// by which method, how often, how it was decided, how the upstream answered and how fast,
// and when it was the first and the last time.
//
//	a request ─► Meter: a cell of a table in memory, by atomic additions
//	every 10 s ─► Ledger: one transaction of a bbolt file of its own
//	a report   ─► Ledger.Each, over hours or days
//
// Counting is not deciding: nothing here can delay a request or a change of a token, and
// whatever goes wrong here is told and denies nobody anything.
//
// A row is about one day of one [Key], by hour for [HourDays] days, then as a whole, for
// [Days] days. It has a total, not increments, and it belongs to the node that counted it:
// so a row can be written again, sent twice or come late, and is never counted twice.
//
// Several nodes tell each other through an [Exchange], after each flush: see [Ledger.Sync].
package usage
