package reload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrUnknown says that no parameter has the name.
var ErrUnknown = errors.New("unknown parameter")

// ErrRange says that a value is not of the parameter's type or range.
var ErrRange = errors.New("out of range")

// Params are named settings that change at run time: by a configuration file
// (Prepare) or by hand (Set). Safe for concurrent use once they are declared.
type Params struct {
	mu  sync.Mutex // one change at a time
	all map[string]param
}

// param is a Value of any type.
type param interface {
	prepare(text string) (commit func(), err error)
	reset() (commit func())
	describe() Param
}

// Param describes a parameter to people.
type Param struct {
	Name, Value, Default string // the value now, as Set takes it
	Range                string // "50…500", or the words that are allowed
	Unit                 string // empty for plain numbers and words
}

// NewParams has none yet.
func NewParams() *Params { return &Params{all: map[string]param{}} }

// Value is one parameter. Reading it costs an atomic load.
type Value[T any] struct {
	info   Param
	def    T
	parse  func(string) (T, error)
	format func(T) string
	cur    atomic.Pointer[T]

	mu    sync.Mutex
	onSet []func(T)
}

// Get is the value now.
func (v *Value[T]) Get() T { return *v.cur.Load() }

// OnSet calls f with the value, now and after each change. f returns soon.
func (v *Value[T]) OnSet(f func(T)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onSet = append(v.onSet, f)
	f(v.Get())
}

func (v *Value[T]) set(to T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cur.Store(&to)
	for _, f := range v.onSet {
		f(to)
	}
}

func (v *Value[T]) prepare(text string) (func(), error) {
	to, err := v.parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %q: %w: %s", v.info.Name, text, ErrRange, v.info.Range)
	}
	return func() { v.set(to) }, nil
}

func (v *Value[T]) reset() func() { return func() { v.set(v.def) } }

func (v *Value[T]) describe() Param {
	d := v.info
	d.Value, d.Default = v.format(v.Get()), v.format(v.def)
	return d
}

// declare panics if the name is taken or the default is out of range: both
// are mistakes of the program that its first start shows.
func declare[T any](p *Params, info Param, def T, parse func(string) (T, error), format func(T) string) *Value[T] {
	v := &Value[T]{info: info, def: def, parse: parse, format: format}
	v.cur.Store(&def)
	if _, err := parse(format(def)); err != nil {
		panic(fmt.Sprintf("parameter %s: default %s is outside of %s", info.Name, format(def), info.Range))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.all[info.Name]; ok {
		panic(fmt.Sprintf("parameter %s is declared twice", info.Name))
	}
	p.all[info.Name] = v
	return v
}

// Int declares a whole number between low and high, both allowed. unit is for
// people: "requests/s".
func (p *Params) Int(name string, def, low, high int64, unit string) *Value[int64] {
	parse := func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, errors.Join(err, inRange(n, low, high))
	}
	format := func(n int64) string { return strconv.FormatInt(n, 10) }
	return declare(p, Param{Name: name, Unit: unit, Range: fmt.Sprintf("%d…%d", low, high)}, def, parse, format)
}

// Duration declares a time between low and high, both allowed, as 1m30s.
func (p *Params) Duration(name string, def, low, high time.Duration) *Value[time.Duration] {
	parse := func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		return d, errors.Join(err, inRange(d, low, high))
	}
	return declare(p, Param{Name: name, Range: fmt.Sprintf("%v…%v", low, high)}, def, parse, time.Duration.String)
}

func inRange[T cmp.Ordered](n, low, high T) error {
	if n < low || n > high {
		return ErrRange
	}
	return nil
}

// Bool declares a switch: true or false.
func (p *Params) Bool(name string, def bool) *Value[bool] {
	return declare(p, Param{Name: name, Range: "true, false"}, def, strconv.ParseBool, strconv.FormatBool)
}

// Level declares the level of a log: debug, info, warn or error. Its default
// is what level is now, and it sets level from then on.
func (p *Params) Level(name string, level *slog.LevelVar) *Value[slog.Level] {
	parse := func(s string) (l slog.Level, err error) {
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, strings.ToLower(s)) {
			return l, ErrRange
		}
		return l, l.UnmarshalText([]byte(s))
	}
	format := func(l slog.Level) string { return strings.ToLower(l.String()) }
	v := declare(p, Param{Name: name, Range: "debug, info, warn, error"}, level.Level(), parse, format)
	v.OnSet(level.Set)
	return v
}

// Set changes one parameter. Errors are ErrUnknown and ErrRange, and change
// nothing. service.WithSet takes it.
func (p *Params) Set(_ context.Context, name, value string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.all[name]
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	commit, err := v.prepare(value)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// Prepare checks all settings of a configuration. commit sets them, and those
// that it does not name to their defaults. Errors name every bad setting, each
// ErrUnknown or ErrRange, and there is no commit then.
func (p *Params) Prepare(s Settings) (commit func(), err error) {
	var commits []func()
	for name, v := range p.all {
		if _, named := s[name]; !named {
			commits = append(commits, v.reset())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		v, ok := p.all[name]
		if !ok {
			err = errors.Join(err, fmt.Errorf("%w: %s", ErrUnknown, name))
			continue
		}
		c, bad := v.prepare(s[name])
		commits, err = append(commits, c), errors.Join(err, bad)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range commits {
			c()
		}
	}, nil
}

// List describes all, by name.
func (p *Params) List() []Param {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Param
	for _, name := range slices.Sorted(maps.Keys(p.all)) {
		all = append(all, p.all[name].describe())
	}
	return all
}

// Settings are parameters of a configuration file. In JSON a value may be a
// text, a number, true or false.
type Settings map[string]string

// UnmarshalJSON takes numbers and switches as they are written.
func (s *Settings) UnmarshalJSON(b []byte) error {
	var raw map[string]any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	*s = Settings{}
	for name, value := range raw {
		switch value.(type) {
		case string, json.Number, bool:
			(*s)[name] = fmt.Sprint(value)
		default:
			return fmt.Errorf("parameter %s is no text, number or switch", name)
		}
	}
	return nil
}
