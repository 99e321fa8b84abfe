package exec

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the program that is asked.
func TestMain(m *testing.M) {
	if mode := os.Getenv("ANALYSIS_EXEC"); mode != "" {
		program(mode)
	}
	os.Exit(m.Run())
}

func program(mode string) {
	switch mode {
	case "number":
		fmt.Println("looking …\n 0.5")
	case "word":
		fmt.Println("green")
	case "silent failure":
		os.Exit(3)
	case "failure":
		fmt.Println("0.5")
		fmt.Fprintln(os.Stderr, "it broke")
		os.Exit(1)
	case "flood":
		fmt.Println(strings.Repeat("x\n", 1<<20) + "7")
	case "hang":
		time.Sleep(time.Hour) // it is killed
	}
	os.Exit(0)
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]string{
		"number": "0.5", "word": `"green"`, "silent": "0", "silent failure": "3", "failure": "exit status 1: it broke", "flood": "7",
	} {
		s := Source{Command: []string{self}, Env: map[string]string{"ANALYSIS_EXEC": mode}, Timeout: time.Minute}
		v, err := s.Measure(t.Context())
		got := v.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", mode, got, want)
		}
	}
	hang := Source{Command: []string{self}, Env: map[string]string{"ANALYSIS_EXEC": "hang"}, Timeout: time.Second}
	if v, err := hang.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "no end within 1s") {
		t.Errorf("a program that hangs: %v, %v", v, err)
	}
	missing := Source{Command: []string{self + ".none"}, Timeout: time.Second}
	if v, err := missing.Measure(t.Context()); err == nil {
		t.Errorf("a program that is not there: %v", v)
	}
}
