package bootstrap

import (
	"context"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
)

// Why Windows does not start a program (winerror.h). They call for different
// remedies and different people.
const (
	errorAccessDenied     = 5
	errorSharing          = 32
	errorBadFormat        = 193
	errorOtherMachine     = 216
	errorVirus            = 225
	errorVirusDeleted     = 226
	errorImageHash        = 577
	errorPolicy           = 1260
	errorIntegrityPolicy  = 4551
	sharingTries          = 5
	sharingPause          = 500 * time.Millisecond
	allowFolder           = "%ProgramFiles%\\shipper\\bin"
	hintSigned            = "have the helper signed by a publisher the host trusts, or allow it by its digest"
	hintExclude           = "tell the virus scanner that " + allowFolder + " is wanted, or have the helper signed"
	hintApplicationPolicy = "allow " + allowFolder + " in AppLocker or the software restriction policies of the host, or have the helper signed"
)

// firstStart proves that the host runs the helper at all. One that it does
// not run is taken away, so that the next try begins anew.
func (s *site) firstStart(ctx context.Context, d release.Digest) error {
	exe := s.executable(d)
	for try := 1; ; try++ {
		r, err := s.conn.Run(ctx, s.lines.quote(exe)+" version", nil)
		if err != nil || r.Exit == 0 {
			return err
		}
		if r.Exit == errorSharing && try < sharingTries { // a scanner looks at it
			if err := wait(ctx, sharingPause); err != nil {
				return err
			}
			continue
		}
		s.remove(ctx, s.join(s.bin, string(d)))
		return startError(r)
	}
}

func startError(r transport.Result) error {
	why, hint := remedy(r.Exit)
	err := fmt.Errorf("exit code %d: %s", r.Exit, words(r))
	if why != "" {
		err = fmt.Errorf("%s: %w", why, err)
	}
	return problem.Wrap(problem.Failed, err, "start the helper on the host for the first time", hint)
}

func remedy(exit int) (why, hint string) {
	switch exit {
	case errorAccessDenied:
		return "access denied", "a virus scanner or an application policy may forbid it: " + hintApplicationPolicy
	case errorSharing:
		return "another program keeps the file open", "a virus scanner or a backup takes its time with it: leave " + allowFolder + " out of it, or try again"
	case errorVirus:
		return "a virus scanner takes it for malware", hintExclude
	case errorVirusDeleted:
		return "a virus scanner removed it", "take it off the scanner's list of finds, and " + hintExclude
	case errorImageHash:
		return "the host demands a signature", hintSigned
	case errorPolicy:
		return "a policy of the host forbids it", hintApplicationPolicy
	case errorIntegrityPolicy:
		return "App Control of the host forbids it", "add the helper to the App Control (WDAC) policy, or " + hintSigned
	case errorBadFormat, errorOtherMachine:
		return "it is for another processor", "set `arch` of the host in shipper.yaml"
	}
	return "", ""
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
