package release_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

func TestLatencyBoundsGrow(t *testing.T) {
	t.Parallel()
	last := time.Duration(0)
	for i := range release.LatencyBuckets {
		b := release.LatencyBound(i)
		if b <= last {
			t.Fatalf("bucket %d ends at %v, the one before at %v", i, b, last)
		}
		if width := b - last; last >= 32*time.Microsecond && width > last/16 {
			t.Errorf("bucket %d from %v is %v wide, more than 1/16", i, last, width)
		}
		last = b
	}
	if last < 100*time.Second {
		t.Errorf("the last bucket ends at %v, want at least 100 s", last)
	}
}

func TestLatencyBucketHoldsItsDuration(t *testing.T) {
	t.Parallel()
	for i := range release.LatencyBuckets {
		end := release.LatencyBound(i)
		if got := release.LatencyBucket(end - 1); got != i {
			t.Errorf("%v is in bucket %d, want %d", end-1, got, i)
		}
		if got := release.LatencyBucket(end); got != min(i+1, release.LatencyBuckets-1) {
			t.Errorf("%v is in bucket %d, want the one after %d", end, got, i)
		}
	}
}

func TestLatencyBucketIsMonotonic(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		a, b := time.Duration(random.Int64()>>random.IntN(63)), time.Duration(random.Int64()>>random.IntN(63))
		if a > b {
			a, b = b, a
		}
		if release.LatencyBucket(a) > release.LatencyBucket(b) {
			t.Fatalf("bucket of %v above the one of %v", a, b)
		}
	}
}

func TestLatencyBucketEdges(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int{
		math.MinInt64:         0,
		0:                     0,
		time.Microsecond - 1:  0,
		time.Microsecond:      1,
		31 * time.Microsecond: 31,
		33 * time.Microsecond: 32,
		math.MaxInt64:         release.LatencyBuckets - 1,
	} {
		if got := release.LatencyBucket(d); got != want {
			t.Errorf("LatencyBucket(%v) = %d, want %d", d, got, want)
		}
	}
}
