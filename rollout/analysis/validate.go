package analysis

import (
	"errors"
	"fmt"
)

// Validate says what about the signal makes no sense.
func (s Signal) Validate() error {
	var err error
	switch s.Kind {
	case Errors:
		err = s.validateErrors()
	case Latency:
		err = s.validateLatency()
	default:
		err = fmt.Errorf("kind %q: want %s or %s", s.Kind, Errors, Latency)
	}
	if err == nil && (s.Interval < 0 || s.FailureLimit < 0 || s.MinRequests < 0) {
		err = errors.New("interval, failure limit and minimum of requests must not be negative")
	}
	if err != nil {
		return fmt.Errorf("signal %q: %w", s.Name, err)
	}
	return nil
}

func (s Signal) validateErrors() error {
	if !share(s.MaxRatio) || !share(s.MaxDelta) || s.MaxRatio == 0 && s.MaxDelta == 0 {
		return fmt.Errorf("error limits %v and %v above stable: want a share above 0 and at most 1 for one of them", s.MaxRatio, s.MaxDelta)
	}
	return nil
}

func (s Signal) validateLatency() error {
	if !(s.Percentile > 0 && s.Percentile < 1) {
		return fmt.Errorf("percentile %v: want between 0 and 1", s.Percentile)
	}
	if !(s.MaxLatency >= 0 && s.MaxFactor >= 0) || s.MaxLatency == 0 && s.MaxFactor == 0 {
		return fmt.Errorf("latency limits %v and %v × stable: want one above 0", s.MaxLatency, s.MaxFactor)
	}
	return nil
}

// share also refuses what is not a number.
func share(x float64) bool { return x >= 0 && x <= 1 }
