package usage

import (
	"math/bits"
	"time"
)

// Classes is the number of classes of an upstream's status: 0 is no answer, such as
// when the client has gone, and 1 to 5 are 1xx to 5xx.
const Classes = 6

// Buckets is the number of buckets that latencies are counted in.
const Buckets = 20

// firstBucket is where the first bucket ends; each other one is as wide as all before it.
// The last one has all that is longer.
const firstBucket = 100 * time.Microsecond

// Counts is what is counted of the requests of a row.
type Counts struct {
	Requests uint64 // decisions
	Status   [Classes]uint64
	Latency  [Buckets]uint64 // from the decision to the header of the answer
}

// Add adds other counts.
func (c *Counts) Add(other *Counts) {
	c.Requests += other.Requests
	for i, n := range other.Status {
		c.Status[i] += n
	}
	for i, n := range other.Latency {
		c.Latency[i] += n
	}
}

// Quantile returns how long the part q, from 0 to 1, of all answers took at most; 0 if
// there was none. It is right but for the width of a bucket, a factor of two, within which
// it goes by proportion.
func (c *Counts) Quantile(q float64) time.Duration {
	var all uint64
	for _, n := range c.Latency {
		all += n
	}
	if all == 0 {
		return 0
	}
	rank, below := q*float64(all), 0.0
	for i, n := range c.Latency {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		from, to := bucketBounds(i)
		return from + time.Duration((rank-below)/float64(n)*float64(to-from))
	}
	from, _ := bucketBounds(Buckets - 1)
	return from
}

// classOf returns the class of a status; 0 is no answer.
func classOf(status int) int {
	if class := status / 100; 0 < class && class < Classes {
		return class
	}
	return 0
}

func bucketOf(took time.Duration) int {
	return min(bits.Len64(uint64(max(took, 0)/firstBucket)), Buckets-1)
}

func bucketBounds(i int) (from, to time.Duration) {
	if i == 0 {
		return 0, firstBucket
	}
	from = firstBucket << (i - 1)
	return from, 2 * from
}
