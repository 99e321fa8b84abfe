package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion of a shell: bash, zsh, fish or powershell",
		ArgsUsage: "SHELL",
		Action:    p.does("completion", p.completion),
	}
}

func (p *program) completion(c *cli.Context) (pipeline.Result, error) {
	scripts := map[string]func([]choice) string{"bash": bash, "zsh": zsh, "fish": fish, "powershell": powershell}
	shells := []string{"bash", "zsh", "fish", "powershell"}
	if c.NArg() != 1 {
		return pipeline.Result{}, problem.New(problem.Usage, "write one of "+strings.Join(shells, ", ")+" after it", "completion: no shell given")
	}
	script, ok := scripts[c.Args().First()]
	if !ok {
		return pipeline.Result{}, problem.New(problem.Usage, problem.Suggest(c.Args().First(), shells), "completion: unknown shell `%s`", c.Args().First())
	}
	return pipeline.Result{}, p.print(script(choices(p.app())))
}

// choice is a verb with the words that may follow it.
type choice struct {
	verb, usage string
	words       []string
}

func choices(app *cli.App) []choice {
	global := dashes(app.Flags)
	all := []choice{{"", "", global}}
	for _, c := range app.Commands {
		words := slices.Concat(dashes(c.Flags), global)
		for _, sub := range c.Subcommands {
			words = append(words, sub.Name)
			words = append(words, dashes(sub.Flags)...)
		}
		all[0].words = append(all[0].words, c.Name)
		all = append(all, choice{c.Name, c.Usage, words})
	}
	return all
}

func dashes(flags []cli.Flag) []string {
	var out []string
	for _, f := range flags {
		out = append(out, "--"+f.Names()[0])
	}
	return out
}

func bash(all []choice) string {
	var b strings.Builder
	b.WriteString("_shipper() {\n  local word=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"\" w\n")
	b.WriteString("  for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case \"$w\" in\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "      %s) verb=%s;;\n", c.verb, c.verb)
	}
	b.WriteString("    esac\n  done\n  case \"$verb\" in\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -W \"%s\" -- \"$word\"));;\n", c.verb, strings.Join(c.words, " "))
	}
	fmt.Fprintf(&b, "    *) COMPREPLY=($(compgen -W \"%s\" -- \"$word\"));;\n", strings.Join(all[0].words, " "))
	b.WriteString("  esac\n  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n}\ncomplete -F _shipper shipper\n")
	return b.String()
}

func zsh(all []choice) string {
	return "#compdef shipper\nautoload -U +X bashcompinit && bashcompinit\n" + bash(all)
}

func fish(all []choice) string {
	var b strings.Builder
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "complete -c shipper -n __fish_use_subcommand -a %s -d '%s'\n", c.verb, strings.ReplaceAll(c.usage, "'", ""))
		for _, word := range c.words {
			long, flag := strings.CutPrefix(word, "--")
			if flag {
				fmt.Fprintf(&b, "complete -c shipper -n '__fish_seen_subcommand_from %s' -l %s\n", c.verb, long)
			} else {
				fmt.Fprintf(&b, "complete -c shipper -n '__fish_seen_subcommand_from %s' -a %s\n", c.verb, word)
			}
		}
	}
	return b.String()
}

func powershell(all []choice) string {
	var b strings.Builder
	b.WriteString("Register-ArgumentCompleter -Native -CommandName shipper -ScriptBlock {\n")
	b.WriteString("  param($word, $ast, $position)\n  $words = @{\n")
	for _, c := range all {
		fmt.Fprintf(&b, "    '%s' = '%s'\n", c.verb, strings.Join(c.words, " "))
	}
	b.WriteString("  }\n  $verb = ''\n")
	b.WriteString("  foreach ($w in $ast.CommandElements | Select-Object -Skip 1) { if ($w.ToString() -ne $word -and $words.ContainsKey($w.ToString())) { $verb = $w.ToString() } }\n")
	b.WriteString("  $words[$verb].Split(' ') | Where-Object { $_ -like \"$word*\" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }\n}\n")
	return b.String()
}
