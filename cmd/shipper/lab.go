package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/problem"
)

// labCommand is the verb `lab` with its own verbs.
func labCommand() *cli.Command {
	name := func() cli.Flag {
		return &cli.StringFlag{Name: "name", Value: "default", Usage: "the `NAME` of the lab"}
	}
	return &cli.Command{
		Name:  "lab",
		Usage: "Windows hosts on this Linux machine, for trying things out",
		Action: func(*cli.Context) error {
			return problem.New(problem.Usage, "use one of: shipper lab up, down, list, reboot, exec", "lab: no known verb given")
		},
		Subcommands: []*cli.Command{
			{
				Name: "up", Usage: "start a lab", Action: labUp,
				Flags: []cli.Flag{name(), &cli.IntFlag{Name: "hosts", Value: 1, Usage: "how many hosts, 1 to 100"}},
			},
			{Name: "down", Usage: "end a lab and leave nothing of it", Action: labDown, Flags: []cli.Flag{name()}},
			{Name: "list", Usage: "list the labs and their hosts", Action: labList},
			{
				Name: "reboot", Usage: "cut the power of a host and switch it on again", ArgsUsage: "HOST", Action: labReboot,
				Flags: []cli.Flag{name(), &cli.DurationFlag{Name: "down", Value: 3 * time.Second, Usage: "how long the host is off"}},
			},
			{Name: "exec", Usage: "run a command on a host", ArgsUsage: "HOST -- COMMAND...", Action: labExec, Flags: []cli.Flag{name()}},
			{Name: "daemon", Hidden: true, Action: func(c *cli.Context) error { return lab.Daemon(c.Context, c.Args().First()) }},
		},
	}
}

func labUp(c *cli.Context) error {
	if err := labArgs(c, 0); err != nil {
		return err
	}
	if c.Int("hosts") < 1 {
		return problem.New(problem.Usage, "ask for 1 to 100", "a lab of %d hosts is not possible", c.Int("hosts"))
	}
	say := func(line string) { fmt.Fprintln(c.App.ErrWriter, line) }
	l, err := lab.Up(c.Context, lab.Options{Name: c.String("name"), Hosts: c.Int("hosts"), Log: say})
	if err != nil {
		return err
	}
	return printHosts(labWriter(c), l.Name(), l.Hosts())
}

// labWriter is where tables and the output of commands go: not to stdout, when
// that is for records only.
func labWriter(c *cli.Context) io.Writer {
	if c.Bool("json") {
		return c.App.ErrWriter
	}
	return c.App.Writer
}

func printHosts(w io.Writer, name string, hosts []lab.Host) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "LAB\tHOST\tADDRESS\tUSER\tPASSWORD\tCA")
	for _, h := range hosts {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", name, h.Name, h.Address, h.User, h.Password, h.CAFile)
	}
	return out.Flush()
}

func labDown(c *cli.Context) error {
	l, err := openLab(c, 0)
	if err != nil {
		return err
	}
	return l.Down(context.WithoutCancel(c.Context)) // half an end would be worse
}

func labList(c *cli.Context) error {
	labs, err := lab.List("")
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(labWriter(c), 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "LAB\tSTATE\tHOST\tADDRESS")
	for _, l := range labs {
		state := "down"
		if l.Running {
			state = "up"
		}
		for _, h := range l.Hosts {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", l.Name, state, h.Name, h.Address)
		}
	}
	return out.Flush()
}

func labReboot(c *cli.Context) error {
	l, err := openLab(c, 1)
	if err != nil {
		return err
	}
	return l.Reboot(c.Context, c.Args().First(), c.Duration("down"))
}

// labExec joins its words to one command line: what needs quotes on the host
// has to bring them.
func labExec(c *cli.Context) error {
	l, err := openLab(c, -2)
	if err != nil {
		return err
	}
	words := c.Args().Tail()
	if words[0] == "--" {
		words = words[1:]
	}
	exit, err := l.Exec(c.Context, c.Args().First(), strings.Join(words, " "), c.App.Reader, labWriter(c), c.App.ErrWriter)
	if err != nil {
		return err
	}
	if exit != 0 {
		return problem.New(problem.Failed, "", "the command ended with exit code %d", exit)
	}
	return nil
}

func openLab(c *cli.Context, args int) (*lab.Lab, error) {
	if err := labArgs(c, args); err != nil {
		return nil, err
	}
	return lab.Open(c.Context, "", c.String("name"))
}

// labArgs checks the number of arguments; a negative one is the least.
func labArgs(c *cli.Context, want int) error {
	if n := c.NArg(); n == want || want < 0 && n >= -want {
		return nil
	}
	return problem.New(problem.Usage, "shipper lab "+c.Command.Name+" --help tells how", "lab %s: wrong number of arguments", c.Command.Name)
}
