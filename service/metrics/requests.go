package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-shipper/shipper/service/internal/response"
)

const (
	checkTimeout = 2 * time.Second
	other        = "other"
)

// exchange is what requests with the same labels have in common.
type exchange struct {
	route, method string
	code          int
}

// series counts them.
type series struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

// Requests counts and times what next answers. The label route is the pattern
// that http.ServeMux found, so put it directly around the mux; what matched
// none, and methods that HTTP does not know, are "other": a client cannot make
// new series. A handler that panics has 500.
func (m *Metrics) Requests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		rec := response.Record(w)
		m.inFlight.Inc()
		whole := false
		defer func() {
			m.inFlight.Dec()
			code := rec.Status()
			if !whole {
				code = http.StatusInternalServerError
			}
			s := m.of(exchange{r.Pattern, r.Method, code})
			s.requests.Inc()
			s.duration.Observe(time.Since(begun).Seconds())
		}()
		next.ServeHTTP(rec, r)
		whole = true
	})
}

func (m *Metrics) of(e exchange) series {
	e = e.bounded()
	if s, ok := m.series.Load(e); ok {
		return s.(series)
	}
	s := series{m.requests.WithLabelValues(e.route, e.method, strconv.Itoa(e.code)), m.duration.WithLabelValues(e.route)}
	m.series.Store(e, s)
	return s
}

func (e exchange) bounded() exchange {
	if e.route == "" {
		e.route = other
	}
	switch e.method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		e.method = other
	}
	if e.code < 100 || e.code > 599 {
		e.code = http.StatusInternalServerError
	}
	return e
}
