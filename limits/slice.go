package limits

import (
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// How much a node may take of a limit that it has not been told that the others know: its
// slice. It bounds what all let through beyond the limit. Where it is used up, requests wait
// for a round trip; so it is not less than what comes during one.
const (
	// rateShare is the part of a burst that the slices of all nodes make up.
	rateShare = 8
	// tripTime is longer than a round trip takes as a rule.
	tripTime = 5 * time.Millisecond
	// quotaShare is the part of what is left of a quota that the slices of all nodes make up.
	quotaShare = 20
	// maxQuotaSlice is enough for a round trip of any node.
	maxQuotaSlice = 1000
	// tellTime is longer than a take is kept from the others as a rule.
	tellTime = 100 * time.Millisecond
)

func rateSlice(r *scopes.Rate, nodes int64) int64 {
	trip := int64(tripTime) * int64(r.Requests) / int64(r.Per)
	return max(1, int64(r.Burst)/(rateShare*nodes), min(int64(r.Burst), trip))
}

func quotaSlice(q scopes.Quota, count, nodes int64) int64 {
	return max(1, min(maxQuotaSlice, (q.Requests-count)/(quotaShare*nodes)))
}

// slack is how much too high the level of a rate may be that this node knows of, and so how
// far above the burst requests are refused only: in the units of a level. It is what the
// others may not have told; and only what drains before it is told can be in the wrong order.
func slack(r *scopes.Rate, nodes int64) int64 {
	if nodes <= 1 {
		return 0
	}
	return min((nodes-1)*rateSlice(r, nodes)*int64(r.Per), int64(tellTime)*int64(r.Requests))
}

// mostLevel is how many requests can be in a bucket: all slices above the burst. What was
// taken while the nodes could not reach each other is forgiven beyond that.
func mostLevel(r *scopes.Rate, nodes int64) int64 {
	return int64(r.Burst) + 2*nodes*rateSlice(r, nodes)
}
