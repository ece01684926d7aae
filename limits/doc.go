// Package limits holds tokens to their rates and quotas, on one node or on several
// together.
//
// A rate is held by the generic cell rate algorithm, in the form of a bucket (ITU-T I.371):
// each request adds to a level, time drains it, and a request that would rise above the
// burst is refused. A quota is counted in hours, days or months of the calendar, in UTC. A
// request must pass all limits that apply to it, and is taken from all of them or from none.
//
// # Several nodes
//
// No request waits for the others as a rule. A node knows what all had taken when it last
// asked, and what it has taken itself since then, and decides on that. What it has taken it
// tells through an [Exchange], which answers with what all have taken: see settle.go.
//
// How much all nodes together can let through beyond a limit is bounded by the slice, that
// is how much a node may take which it has not been told that the others know. Whoever has
// used up his slice waits for the answer. With n nodes:
//
//   - Never is a request refused that one node alone would have let through.
//   - A rate lets through at most 2·(n-1) slices more than its burst, and what it gives in
//     the time of a round trip. A slice is an eighth of the burst over n, but at least what
//     the rate gives in 5 ms, and at least one request.
//   - A quota lets through at most n-1 slices more. A slice is a twentieth of the quota
//     over n, at most 1000 requests, and at least one.
//
// Why that is so: look at the last request that was let through, by the node that had been
// answered last. All that the others had told until that answer it knew; what they have not
// told is at most a slice each. So is the error of what it knows of a rate, for the order
// in which nodes tell is not that in which they took: a take that had drained when another
// one came may be added after it. That makes the level too high, never by more than what
// the others had not told, and so requests are refused only that much above the burst.
//
// While the others cannot be reached, each node holds the whole limit by itself. Afterwards
// they go on in the one they share.
package limits
