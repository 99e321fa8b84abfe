package problem

import (
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	known := []string{"deploy", "setWeight", "env", "lock"}
	for word, want := range map[string]string{
		"deplyo": "deploy", "DEPLOY": "deploy", "setWieght": "setWeight", "evn": "env", "en": "env", "lokc": "lock", "lck": "lock",
		"": "", "wholly-different": "", strings.Repeat("x", 10000): "",
	} {
		if got := Closest(word, known); got != want {
			t.Errorf("%.20s: %q, want %q", word, got, want)
		}
	}
	if got := Suggest("zzz", known); got != "write one of deploy, setWeight, env, lock" {
		t.Error(got)
	}
}
