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
	case Evidence:
		err = s.validateEvidence()
	case Asked:
		err = s.validateAsked()
	default:
		err = fmt.Errorf("kind %q: want %s, %s, %s or %s", s.Kind, Errors, Latency, Evidence, Asked)
	}
	if err == nil && (s.Interval < 0 || s.FailureLimit < 0 || s.MinRequests < 0 || s.StartingStep < 0) {
		err = errors.New("interval, failure limit, minimum of requests and starting step must not be negative")
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

func (s Signal) validateEvidence() error {
	switch {
	case !(s.Alpha >= 0 && s.Alpha < 1) || !(s.MaxRatio >= 0 && s.MaxRatio < 1):
		return fmt.Errorf("alpha %v and error limit %v: want between 0 and 1", s.Alpha, s.MaxRatio)
	case !(s.Margin >= 0 && s.Margin <= 100) || !(s.Tolerance >= 0 && s.Tolerance <= 100):
		return fmt.Errorf("margin %v and tolerance %v: want 0 to 100", s.Margin, s.Tolerance)
	}
	return nil
}

func (s Signal) validateAsked() error {
	success, wrong := parseCondition(s.Success)
	failure, alsoWrong := parseCondition(s.Failure)
	switch err := errors.Join(wrong, alsoWrong); {
	case err != nil:
		return err
	case !success.isSet() && !failure.isSet():
		return errors.New("want a condition for success or for failure")
	case s.Count < 0:
		return errors.New("count must not be negative")
	}
	return nil
}

// share also refuses what is not a number.
func share(x float64) bool { return x >= 0 && x <= 1 }
