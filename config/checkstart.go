package config

import "fmt"

// StartsWith is the step, from 0, with which a signal begins to count.
func (a Analysis) StartsWith(s Signal) int {
	if s.StartingStep != nil {
		return *s.StartingStep
	}
	return a.StartingStep
}

// startingSteps looks at where signals begin to count: at a step that there
// is, and in time for every analysis.
func (c *checker) startingSteps() {
	a := c.t.Analysis
	c.startingStep("analysis.startingStep", a.StartingStep)
	first, decides := 0, false
	for i, s := range a.Signals {
		if s.StartingStep != nil {
			c.startingStep(fmt.Sprintf("analysis.signals[%d].startingStep", i), *s.StartingStep)
		}
		if n := a.StartsWith(s); !s.DryRun && (!decides || n < first) {
			first, decides = n, true
		}
	}
	for i, step := range c.t.Rollout.Steps {
		if step.Analysis && decides && i < first {
			c.problem("analysis.startingStep", fmt.Sprintf("remove the analysis from `rollout.steps`, or let a signal start with step %d", i),
				"`rollout.steps[%d]` is an analysis, but no signal counts before step %d (the first is 0)", i, first)
			return
		}
	}
}

func (c *checker) startingStep(at string, n int) {
	steps := len(c.t.Rollout.Steps)
	switch {
	case n == 0:
	case n < 0:
		c.problem(at, "0 is the first step", "`%s` must not be negative", at)
	case c.t.Rollout.Strategy != "canary":
		c.problem(at, "remove it: a bake is judged from its beginning", "`%s` counts the steps of a canary, the strategy is %s", at, c.t.Rollout.Strategy)
	case n >= steps:
		c.problem(at, "steps are counted from 0", "`%s`: %d is not one of the %d steps of `rollout.steps`", at, n, steps)
	}
}
