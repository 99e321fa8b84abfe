package reload

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParams(t *testing.T) {
	p := NewParams()
	level := new(slog.LevelVar)
	p.Level("log_level", level)
	most := p.Int("max_connections", 200, 50, 500, "connections")
	timeout := p.Duration("timeout", time.Second, 0, time.Minute)
	trial := p.Bool("trial", false)
	var seen []int64
	most.OnSet(func(n int64) { seen = append(seen, n) })
	for _, step := range []struct {
		name, value string
		err         error
	}{
		{"max_connections", "50", nil}, {"max_connections", "500", nil},
		{"max_connections", "49", ErrRange}, {"max_connections", "501", ErrRange}, {"max_connections", "many", ErrRange},
		{"timeout", "1m", nil}, {"timeout", "61s", ErrRange}, {"timeout", "-1s", ErrRange},
		{"trial", "true", nil}, {"trial", "maybe", ErrRange},
		{"log_level", "debug", nil}, {"log_level", "WARN", nil}, {"log_level", "warn+1", ErrRange},
		{"max_conections", "50", ErrUnknown},
	} {
		if err := p.Set(t.Context(), step.name, step.value); !errors.Is(err, step.err) {
			t.Errorf("%s=%s: %v, want %v", step.name, step.value, err, step.err)
		}
	}
	if most.Get() != 500 || timeout.Get() != time.Minute || !trial.Get() || level.Level() != slog.LevelWarn || !slices.Equal(seen, []int64{200, 50, 500}) {
		t.Errorf("%+v, seen %v", p.List(), seen)
	}
	want := Param{"max_connections", "500", "200", "50…500", "connections"}
	if all := p.List(); len(all) != 4 || all[1] != want {
		t.Errorf("%+v", all)
	}
}

func TestParamsOfAFile(t *testing.T) {
	p := NewParams()
	most := p.Int("max_connections", 200, 50, 500, "")
	trial := p.Bool("trial", false)
	apply := func(text string) error {
		var s Settings
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return err
		}
		commit, err := p.Prepare(s)
		if err == nil {
			commit()
		}
		return err
	}
	if err := apply(`{"max_connections": 300, "trial": true}`); err != nil || most.Get() != 300 || !trial.Get() {
		t.Errorf("%v, %+v", err, p.List())
	}
	err := apply(`{"max_connections": "400", "trial": 7, "other": 1}`)
	if !errors.Is(err, ErrRange) || !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "trial") || most.Get() != 300 || !trial.Get() {
		t.Errorf("%v, %+v", err, p.List())
	}
	if err := apply(`{"max_connections": "400"}`); err != nil || most.Get() != 400 || trial.Get() {
		t.Errorf("what is not named has its default: %v, %+v", err, p.List())
	}
}

func TestMistakesOfTheProgram(t *testing.T) {
	p := NewParams()
	p.Bool("a", true)
	for name, declare := range map[string]func(){"twice": func() { p.Bool("a", true) }, "default": func() { p.Int("b", 5, 50, 500, "") }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			declare()
		}()
	}
}
