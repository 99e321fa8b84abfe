package recovery

import (
	"time"

	"golang.org/x/sys/windows"
)

// bootID is when the machine was started, as well as its clock tells.
func bootID() string {
	return time.Now().Add(-windows.DurationSinceBoot()).UTC().Format(time.RFC3339)
}

// clockSteps is how far the clock may be set while a boot is still the same.
const clockSteps = 2 * time.Minute

func sameBoot(a, b string) bool {
	at, err := time.Parse(time.RFC3339, a)
	if err != nil {
		return false
	}
	bt, err := time.Parse(time.RFC3339, b)
	return err == nil && at.Sub(bt).Abs() <= clockSteps
}
