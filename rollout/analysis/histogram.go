package analysis

import (
	"math"
	"time"

	"github.com/go-shipper/shipper/release"
)

// histogram counts requests by duration in the router's buckets: bucket i
// ends at release.LatencyBound(i).
type histogram []int64

func (h histogram) total() int64 {
	var sum int64
	for _, n := range h {
		sum += n
	}
	return sum
}

// quantile is the upper bound of the bucket in which the share q of requests
// ends; 0 without requests.
func (h histogram) quantile(q float64) time.Duration {
	need := int64(math.Ceil(q * float64(h.total())))
	var sum int64
	for i, n := range h {
		sum += n
		if n > 0 && sum >= need {
			return release.LatencyBound(i)
		}
	}
	return 0
}

// above counts requests that certainly took longer than limit: those in
// buckets that begin at it or later.
func (h histogram) above(limit time.Duration) int64 {
	var sum int64
	for i := len(h) - 1; i > 0 && release.LatencyBound(i-1) >= limit; i-- {
		sum += h[i]
	}
	return sum
}
