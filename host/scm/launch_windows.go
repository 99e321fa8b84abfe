package scm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/host/scm/tree"
	"github.com/go-shipper/shipper/host/scm/wine"
)

// LaunchArg is the first argument by which our own executable is told to
// Launch a service.
const LaunchArg = "launch-service"

// Launch runs a service's program with the environment of the service's
// registry key and returns its exit code. Needed on Wine only, whose service
// manager ignores that environment: there Ensure puts it before the program.
// args are the service's name, the program and its arguments.
func Launch(args []string) (uint32, error) {
	if len(args) < 2 {
		return 1, errors.New("launch service: want its name and its program")
	}
	s := Spec{Name: args[0]}
	if err := readKey(&s); err != nil {
		return 1, err
	}
	t, err := tree.Start(&exec.Cmd{Path: args[1], Args: args[1:], Env: append(os.Environ(), s.Env...)})
	if err != nil {
		return 1, err
	}
	<-t.Done()
	return t.Exit(), nil
}

// launched leads the image path with Launch where it is needed.
func launched(s Spec) (Spec, error) {
	if len(s.Env) == 0 || !wine.Detected() {
		return s, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return s, fmt.Errorf("find own executable: %w", err)
	}
	s.Args = append([]string{LaunchArg, s.Name, s.Executable}, s.Args...)
	s.Executable = exe
	return s, nil
}

// unlaunched is the inverse, for reading back.
func unlaunched(s *Spec) {
	if wine.Detected() && len(s.Args) > 2 && s.Args[0] == LaunchArg && strings.EqualFold(s.Args[1], s.Name) {
		s.Executable, s.Args = s.Args[2], slices.Clone(s.Args[3:])
	}
}
