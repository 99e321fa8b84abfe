package release

import (
	"math/bits"
	"time"
)

// Latencies are counted in log-linear buckets: 1 µs wide up to 32 µs, then 16
// to every doubling, so that a bucket is never wider than 1/16 of where it
// begins. Hosts count with LatencyBucket, readers turn back with LatencyBound.
const (
	// LatencyBuckets is how many there are; the last one ends at 134 s and
	// takes all that is slower.
	LatencyBuckets = 384

	perOctave = 16
)

// LatencyBucket is the bucket that counts d; a negative d counts as 0.
func LatencyBucket(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	us := uint64(d / time.Microsecond)
	shift := max(0, bits.Len64(us)-5) // of the octave: us>>shift is 16 … 31
	return min(shift*perOctave+int(us>>shift), LatencyBuckets-1)
}

// LatencyBound is where bucket i ends: it counts what is shorter than that,
// and not shorter than LatencyBound(i-1).
func LatencyBound(i int) time.Duration {
	if i < perOctave {
		return time.Duration(i+1) * time.Microsecond
	}
	shift := i/perOctave - 1
	return time.Duration(i%perOctave+perOctave+1) << shift * time.Microsecond
}
