package config

import "github.com/go-shipper/shipper/problem"

// checkRequires looks at the order in which releases pass through the
// environments: each one named is there, and none waits for itself.
func (f *File) checkRequires(problems *Problems) {
	for _, env := range f.Names() {
		t := f.targets[env]
		d := &decoder{at: t.at, problems: problems}
		need := t.Requires.Environment
		switch {
		case need == "" && t.Requires.For > 0:
			d.problem("requires", "add environment: staging, or remove the section", "`requires.environment` is missing")
		case need == "":
		case f.Environments[need] == nil:
			d.problem("requires.environment", problem.Suggest(need, f.Names()), "`requires.environment`: there is no environment `%s`", shorten(need))
		case f.waitsForItself(env):
			d.problem("requires.environment", "name the environment that releases reach first",
				"`requires.environment`: %s requires %s, which waits for it", env, need)
		}
	}
}

func (f *File) waitsForItself(env string) bool {
	seen := map[string]bool{}
	for at := f.targets[env].Requires.Environment; at != "" && !seen[at]; at = f.targets[at].Requires.Environment {
		if at == env {
			return true
		}
		seen[at] = true
	}
	return false
}
