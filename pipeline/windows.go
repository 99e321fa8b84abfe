package pipeline

import (
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
)

// mayBegin refuses a deploy outside the change windows, unless a change
// allows it; then it says so in the journal. What takes a release back never
// waits for a window.
func (p *Pipeline) mayBegin(s *story, change string) error {
	if err := p.closed(change); err != nil {
		return err
	}
	if why := p.Target.Windows.Closed(p.Now()); why != "" {
		s.note(journal.TypeWarning, "", "closed for changes: "+why+"; change "+change+", named by "+p.Owner+", overrides it")
	}
	return nil
}

func (p *Pipeline) closed(change string) error {
	why := p.Target.Windows.Closed(p.Now())
	if why == "" || change != "" {
		return nil
	}
	return problem.New(problem.Failed, "wait for the window, or name the change that allows it with --change ID",
		"deploy to %s: closed for changes: %s", p.Target.Environment, why)
}
