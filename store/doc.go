// Package store is what Scopegate remembers: the APIs, accounts and tokens in one
// bbolt file, and in memory an index of every token, compiled and ready to
// decide with.
//
//	        Plan/Apply, Issue, Activate, Deactivate, Delete
//	                            │ one at a time
//	                            ▼
//	change ──► bbolt transaction ──► revocations log ──► next Snapshot
//	           (fsync)               (fsync)             (one atomic swap)
//	                                                          │
//	                     Snapshot().Grant(digest) ◄───────────┘ any number of readers
//
// # Reading
//
// [Store.Snapshot] is one atomic load and yields one consistent state: a catalog,
// and for each credential a grant compiled against it. A snapshot lives on the
// heap, so it stays valid after the next change and after Close. The index is
// complete: a credential that it does not have is unknown, and saying so costs
// no more than finding one.
//
// # Changing
//
// Each change is one bbolt transaction with its own revision and its entries in
// the audit log. The next snapshot is built inside the transaction and published
// after the commit, so that file and memory never disagree. What is acknowledged
// was fsynced before.
//
// # Revocations
//
// A revocation is also written to the revocations log, a small file beside the
// store, before it is acknowledged. On a full disk it is in the log alone, and
// holds all the same. At the next open the log tells whether the
// store went back in time, because a page was damaged or an older copy was
// restored, and is replayed over it: whatever an old file says, a deleted or
// deactivated token does not come back.
//
// # Several nodes
//
// With [ClusterOptions] a store is one of several that hold the same. A [Sequencer] orders
// their changes: one is made only on the state that all had before it, and else made
// again. Each node pulls what others have changed, checks that all it has adds up to what
// was signed, and writes it into its own file. [Store.Stale] tells for how long that may be
// relied on. Histories that went apart, because the sequencer lost some of its own, are
// joined: what was taken away in either stays so.
package store
