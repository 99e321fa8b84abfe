package reload

import (
	"net/http"
	"sync"
	"time"
)

// Rate bounds requests per second, by a number that may change at any time.
// A second's worth may come at once.
type Rate struct {
	perSecond *Value[int64]

	mu     sync.Mutex
	tokens float64
	at     time.Time // of tokens
}

// NewRate follows perSecond.
func NewRate(perSecond *Value[int64]) *Rate {
	return &Rate{perSecond: perSecond, tokens: float64(perSecond.Get()), at: time.Now()}
}

// Allow reports whether one more is within the rate, and counts it then.
func (r *Rate) Allow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, rate := time.Now(), float64(r.perSecond.Get())
	r.tokens = min(rate, r.tokens+now.Sub(r.at).Seconds()*rate)
	r.at = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// Handler answers 429 with Retry-After: 1 to what is too much.
func (r *Rate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.Allow() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, req)
	})
}
