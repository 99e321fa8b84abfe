package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// Settings is what a target says about how to release, each value by where it
// stands (rollout.steps[0].setWeight). What makes up a revision (arguments,
// environment, files) is not in it, nor how hosts are reached and where
// bundles come from. Paths below the configuration's folder are told from
// there, so that another checkout says the same.
func (t Target) Settings() map[string]string {
	folder := filepath.Dir(t.Path)
	t.Path, t.Environment = "", ""
	t.Service = Service{Ports: t.Service.Ports, StartTimeout: t.Service.StartTimeout, Data: t.Service.Data}
	t.Build, t.Bootstrap, t.Bundles, t.Package = Build{}, Bootstrap{}, Bundles{}, Package{}
	t.Sign, t.Attest, t.Transport, t.Hosts = Sign{}, Attest{}, Transport{}, nil
	out := map[string]string{}
	flatten(out, "", reflect.ValueOf(t))
	for at, value := range out {
		if rel, ok := strings.CutPrefix(value, folder+string(filepath.Separator)); ok && filepath.IsAbs(folder) {
			out[at] = filepath.ToSlash(rel)
		}
	}
	return out
}

// flatten books the values below v that are set.
func flatten(out map[string]string, at string, v reflect.Value) {
	if v.IsZero() || !v.CanInterface() {
		return
	}
	if text, ok := v.Interface().(fmt.Stringer); ok {
		out[at] = text.String()
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.Elem().IsZero() { // written, as nothing
			out[at] = fmt.Sprint(v.Elem())
		}
		flatten(out, at, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			flatten(out, below(at, v.Type().Field(i)), v.Field(i))
		}
	case reflect.Slice:
		out[at] = fmt.Sprint(v.Len()) // no steps are not the default steps
		for i := range v.Len() {
			flatten(out, fmt.Sprintf("%s[%d]", at, i), v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			flatten(out, fmt.Sprintf("%s.%v", at, key), v.MapIndex(key))
		}
	default:
		out[at] = fmt.Sprint(v)
	}
}

func below(at string, f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "" || name == "-" {
		name = strings.ToLower(f.Name[:1]) + f.Name[1:]
	}
	if at == "" {
		return name
	}
	return at + "." + name
}

// String is a step as people say it.
func (s Step) String() string {
	switch {
	case s.SetWeight != nil:
		return s.SetWeight.String()
	case s.Pause != nil && *s.Pause == 0:
		return "pause until promoted"
	case s.Pause != nil:
		return "pause " + short(*s.Pause)
	}
	return "analysis"
}

// short writes 30s, 10m and 24h instead of 10m0s and 24h0m0s.
func short(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
