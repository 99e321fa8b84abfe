package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
)

// story is the sum of all that happened in a world, to the message.
var story = regexp.MustCompile(`story (\d+) ([0-9a-f]{16})`)

// alike is the share of seeds that must have the same story again, in percent:
// about one of a hundred has not, and chance must not fail a build.
const alike = 90

// replay plays the first seeds again, the later half of them without those
// before, and counts those that have the same story to the message.
func (s *simulation) replay(n int) error {
	if n == 0 {
		return nil
	}
	first, err := s.stories(1, n)
	if err != nil {
		return err
	}
	again, err := s.stories(n/2+1, n-n/2)
	if err != nil {
		return err
	}
	same := 0
	for seed, sum := range again {
		if first[seed] == sum {
			same++
		} else {
			fmt.Fprintf(os.Stderr, "seed %s has another story when it is played again\n", seed)
		}
	}
	fmt.Printf("replays     %d, %d alike to the message\n", len(again), same)
	if same*100 < len(again)*alike {
		return fmt.Errorf("replay: %d of %d have another story", len(again)-same, len(again))
	}
	return nil
}

func (s *simulation) stories(from, n int) (map[string]string, error) {
	out, err := s.output("", "-test.run", "^TestSimulate$", "-hashes", "-from", strconv.Itoa(from), "-seeds", strconv.Itoa(n))
	if err != nil {
		return nil, fmt.Errorf("replay: %w\n%s", err, out)
	}
	all := map[string]string{}
	for _, m := range story.FindAllSubmatch(out, -1) {
		all[string(m[1])] = string(m[2])
	}
	if len(all) != n {
		return nil, fmt.Errorf("replay: %d seeds told %d stories", n, len(all))
	}
	return all, nil
}
