// Package notify tells people what is going to happen to tokens, or just has: each event once,
// in a digest, by webhook, by mail, or by whatever else is a [Channel].
//
//	what there is ─► View.Find ─► events ─► Offer ─► journal: pending ─► message ─► Channel.Deliver
//	(each minute)    (pure)                          (fsync)             (fsync)    ─► journal: done
//
// # Events
//
// An [Event] is found in what there is, not in a stream of what happens: [View.Find] is a function
// of a token and of what was counted of it, and is asked again and again. Its id follows from
// what it is about, so every node finds the same event with the same id, and finds it again after a
// restart. What is left to know is who was told of it.
//
// # Who was told
//
// The journal is a file beside the store that knows of each event and each recipient one of three
// things: that it is pending, that a message about it is open, or that it is done. [Notifier.Offer]
// returns once what is new is on the disk. A recipient is a channel, or an address of one that has
// addresses: the operators, who hear of everything, and the contact of a token, who hears of
// that.
//
// Pending events of a recipient are gathered for [Options].Digest, urgent ones for a minute, and
// become one [Message]. It has an id that follows from its recipient and its events, is written down
// before it is sent for the first time, and never changes: every try sends the same, byte by byte.
// While it cannot be delivered there is no other for the same recipient; what comes meanwhile goes
// into the next. So a mail server that is away for a day makes two mails, not a hundred.
//
// A try that fails is made again after 5 seconds, then after twice as long each time, up to an
// hour, or when the other side says so; for a week, then the message is given up, and the log says
// so. What the other side will never take is given up at once. A webhook that answers 410 gets
// nothing more until it is configured anew.
//
// Where messages are new, what was so before is told to nobody, except what is ahead: see seed.go.
//
// # Once, and when not
//
// Between the moment in which the other side has taken a message and that in which this is on the
// disk here, a crash leaves it open whether it was taken. The same holds for an answer that was lost.
// Then it is sent again, with the same id: webhook-id, or Message-ID. A receiver that drops an id
// that it knows gets each message once, whatever happens. In no other case is one sent twice,
// and in none is one lost, but for the two at the end of this page.
//
// # Several nodes
//
// All nodes find the same events, and each has a journal of its own with all of them. An [Exchange],
// in a Redis, says which of them sends: it has for each event and recipient (its key) nothing, the
// open message that tells of it, or the mark that it is done.
//
//	Claim   a message becomes open, if nothing is known of any of its keys, and is this node's
//	        for a lease, which each Sync renews
//	Settle  its keys are marked, and it is gone; or it says when the next try is due
//	Sync    a node hears of open messages, of which it keeps a copy, and asks for the marks of what
//	        is pending in its own journal, at least each 30 seconds
//
// Without the exchange nothing is sent: messages are held, on the disk of every node.
//
// A node that is gone: once its lease is over, another claims its message, of which it has a copy, and
// sends the same. A node begins no try that could end after its own lease, by its own clock that
// began before the lease did. So what a node that was stopped had not begun, it does not send when
// it continues.
//
// A Redis that was away: for nobody could tell it anything, leases are over that should not be. When
// the first node is heard of after a while, no message is taken from another node for half a lease,
// in which those that are there tell what came of theirs.
//
// A Redis that has lost what it knew, or some of it: it counts its changes, and nodes know how
// many there were. If there are fewer, a new epoch begins. Each node puts back what it
// knows: the marks, the open messages, the roles; and for a minute nothing new is claimed. As each
// node has the marks of all that it finds itself, one node that is left is enough.
//
// Nobody needs to trust the exchange: a mark and a message are signed with a key that follows from
// the secret of the nodes. What somebody else writes there is dropped, and told in the log. Keys are
// digests.
//
// # What is not promised
//
// If Redis loses what it knew, and in the same half minute the only node that knows that a message
// was delivered is gone for good, it is sent again; most often with the same id, for the copy of
// it is put back. And if one is never delivered for a week, it is given up.
//
// # Nothing secret
//
// An event has no credential and no digest of one. Errors of channels have the host of a
// webhook, not its path, and a mail server's answer without the password, even if the server
// repeats it. A mail is plain text; a name or description in it is one line, without control
// characters, and not long, whoever has chosen it.
package notify
