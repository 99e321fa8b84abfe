package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/problem"
)

// line is a command line taken apart.
type line struct {
	program string
	global  []string // flags with their values
	verbs   []string // the verb, and the verb below it
	flags   []string
	rest    []string // arguments
	help    bool
}

// arrange puts a command line into the order that the flag parser wants:
// global flags, verb, its flags, `--`, arguments. Flags may stand anywhere;
// what follows `--` is never a flag. Errors are of kind Usage.
func arrange(app *cli.App, args []string) ([]string, error) {
	l := line{program: args[0]}
	known := flagsOf(app)
	command := (*cli.Command)(nil)
	commands := app.Commands
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			l.rest = append(l.rest, args[i+1:]...)
			i = len(args)
		case arg == "--version" && command == nil:
			arg = "version"
			fallthrough
		case len(arg) < 2 || arg[0] != '-':
			next, err := l.word(arg, commands, command)
			if err != nil {
				return nil, err
			}
			if next != nil {
				command, commands = next, next.Subcommands
			}
		default:
			used, err := l.flag(args[i:], known)
			if err != nil {
				return nil, err
			}
			i += used - 1
		}
	}
	return l.ordered(app, command)
}

// word takes an argument that is no flag: a verb, or what the verb works on.
func (l *line) word(arg string, commands []*cli.Command, command *cli.Command) (*cli.Command, error) {
	if command == nil && arg == "help" {
		l.help = true
		return nil, nil
	}
	if len(commands) == 0 {
		l.rest = append(l.rest, arg)
		return nil, nil
	}
	for _, c := range commands {
		if c.HasName(arg) {
			l.verbs = append(l.verbs, arg)
			return c, nil
		}
	}
	return nil, unknownVerb(strings.Join(append(l.verbs, arg), " "), arg, commands)
}

func unknownVerb(full, arg string, commands []*cli.Command) error {
	return problem.New(problem.Usage, problem.Suggest(arg, visible(commands)), "unknown verb `%s`", full)
}

func visible(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// laterFlags are named in the documentation of the command line, but come in
// later versions.
func laterFlags() []string { return []string{"restore"} }

// known is a flag, with the verb it belongs to; "" for global ones.
type known struct {
	verb string
	flag cli.Flag
}

// flagsOf lists every flag of every verb by name. Flags may stand before
// their verb, so whether one takes a value must not depend on the verb.
func flagsOf(app *cli.App) map[string][]known {
	all := map[string][]known{}
	add := func(verb string, flags []cli.Flag) {
		for _, f := range flags {
			for _, name := range f.Names() {
				all[name] = append(all[name], known{verb, f})
			}
		}
	}
	add("", app.Flags)
	var walk func(prefix string, commands []*cli.Command)
	walk = func(prefix string, commands []*cli.Command) {
		for _, c := range commands {
			full := strings.TrimSpace(prefix + " " + c.Name)
			add(full, c.Flags)
			walk(full, c.Subcommands)
		}
	}
	walk("", app.Commands)
	return all
}

// flag takes one flag and its value off args; it returns how many words that
// were.
func (l *line) flag(args []string, all map[string][]known) (int, error) {
	name, _, inline := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	if name == "help" || name == "h" {
		l.help = true
		return 1, nil
	}
	defs := all[name]
	if len(defs) == 0 {
		return 0, unknownFlag(args[0], all)
	}
	used := 1
	if !inline && takesValue(defs[0].flag) {
		if len(args) < 2 {
			return 0, problem.New(problem.Usage, "write "+dashed(name)+" VALUE", "flag %s needs a value", dashed(name))
		}
		used = 2
	}
	if defs[0].verb == "" {
		l.global = append(l.global, args[:used]...)
	} else {
		l.flags = append(l.flags, args[:used]...)
	}
	return used, nil
}

func unknownFlag(arg string, all map[string][]known) error {
	var names []string
	for name := range all {
		if len(name) > 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if slices.Contains(laterFlags(), name) {
		return problem.New(problem.Usage, "`shipper VERB --help` tells the flags that are", "flag %s is not part of this version", dashed(name))
	}
	hint := "`shipper VERB --help` tells the flags of a verb; what follows -- is never a flag"
	if best := problem.Closest(name, names); best != "" {
		hint = "did you mean " + dashed(best) + "?"
	}
	return problem.New(problem.Usage, hint, "unknown flag %s", arg)
}

func takesValue(f cli.Flag) bool {
	_, isBool := f.(*cli.BoolFlag)
	return !isBool
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// ordered checks that flags and arguments belong to the verb.
func (l *line) ordered(app *cli.App, command *cli.Command) ([]string, error) {
	out := append([]string{l.program}, l.global...)
	out = append(out, l.verbs...)
	if l.help {
		return append(out, "--help"), nil
	}
	verb := strings.Join(l.verbs, " ")
	if command != nil && len(command.Subcommands) > 0 {
		names := strings.Join(visible(command.Subcommands), ", ")
		return nil, problem.New(problem.Usage, "write one of "+names+" after it", "`%s` does nothing by itself", verb)
	}
	if err := l.belong(flagsOf(app), verb); err != nil {
		return nil, err
	}
	if command != nil && command.ArgsUsage == "" && !command.Hidden && len(l.rest) > 0 {
		return nil, problem.New(problem.Usage, "`shipper "+verb+" --help` tells what it takes", "`%s` takes no arguments, but got %q", verb, l.rest[0])
	}
	out = append(out, l.flags...)
	if len(l.rest) > 0 {
		out = append(append(out, "--"), l.rest...)
	}
	return out, nil
}

// belong refuses flags of other verbs.
func (l *line) belong(all map[string][]known, verb string) error {
	for i := 0; i < len(l.flags); i++ {
		name, _, inline := strings.Cut(strings.TrimLeft(l.flags[i], "-"), "=")
		defs := all[name]
		if !slices.ContainsFunc(defs, func(k known) bool { return k.verb == verb }) {
			return problem.New(problem.Usage, "it belongs to `"+defs[0].verb+"`; `shipper VERB --help` tells the flags of a verb",
				"unknown flag %s of `%s`", dashed(name), verb)
		}
		if !inline && takesValue(defs[0].flag) {
			i++
		}
	}
	return nil
}

// verbOf finds the verb of a command line that may not be readable, for the
// result record.
func verbOf(app *cli.App, args []string) string {
	var verbs []string
	commands := app.Commands
	for _, arg := range args[1:] {
		for _, c := range commands {
			if c.HasName(arg) {
				verbs, commands = append(verbs, arg), c.Subcommands
				break
			}
		}
	}
	return strings.Join(verbs, " ")
}
