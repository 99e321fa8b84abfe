package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// covered are the packages of which the simulation runs the shipped code.
const covered = "./rollout,./rollout/analysis,./pipeline,./host,./host/router,./host/store,./host/rpc,./journal"

// block is a line of a coverage profile: the file, its statements, how often
// they ran.
var block = regexp.MustCompile(`(?m)^(\S+):\S+ (\d+) (\d+)$`)

// cover runs seeds in a program that counts, and tells the share of statements
// of each package.
func (s *simulation) cover(seeds int) error {
	if seeds == 0 {
		return nil
	}
	bin, err := s.build("cover.test", "-cover", "-coverpkg", covered)
	if err != nil {
		return err
	}
	profile := filepath.Join(s.dir, "profile")
	counting := &simulation{ctx: s.ctx, dir: s.dir, bin: bin}
	if out, err := counting.output("", "-test.run", "^TestSimulate$", "-seeds", strconv.Itoa(seeds), "-test.coverprofile", profile); err != nil {
		return fmt.Errorf("coverage: %w\n%s", err, out)
	}
	b, err := os.ReadFile(profile)
	if err != nil {
		return err
	}
	all, ran := map[string]int{}, map[string]int{}
	for _, m := range block.FindAllStringSubmatch(string(b), -1) {
		_, in, _ := strings.Cut(path.Dir(m[1]), "/shipper/")
		n, _ := strconv.Atoi(m[2]) // digits by the expression
		for _, name := range []string{in, "together"} {
			all[name] += n
			if m[3] != "0" {
				ran[name] += n
			}
		}
	}
	names := []string{}
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("covered     %-18s %5.1f %% of %d statements\n", name, 100*float64(ran[name])/float64(all[name]), all[name])
	}
	return nil
}
