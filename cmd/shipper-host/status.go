package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

func status(ctx context.Context, c call) error {
	return ask(ctx, c, func(ctx context.Context, client *rpc.Client) error {
		names := c.args
		if len(names) == 0 {
			var err error
			if names, err = client.List(ctx); err != nil {
				return fmt.Errorf("list services: %w", err)
			}
		}
		if len(names) == 0 {
			_, err := fmt.Fprintln(c.out, "no services here")
			return err
		}
		for _, name := range names {
			st, err := client.Status(ctx, rpc.ServiceRef{Service: name})
			if err != nil {
				return fmt.Errorf("status of %s: %w", name, err)
			}
			if !st.Known {
				return fmt.Errorf("status: service %s is not known on this host", name)
			}
			printStatus(c.out, st)
		}
		return nil
	})
}

func printStatus(w io.Writer, st rpc.ServiceStatus) {
	fmt.Fprintf(w, "%s (%s)\n", st.Service, orNone(st.Environment))
	for _, slot := range release.Slots() {
		if s, ok := st.Slots[slot]; ok {
			fmt.Fprintf(w, "  %-8s %s, %s%s%s\n", slot, s.Release, live(s), share(st, slot), mark(st, slot))
		}
	}
	if s := st.Session; s != nil {
		fmt.Fprintf(w, "  session  %s %s by %s%s since %s%s\n", s.Verb, s.Run, s.Owner, acting(*s), clock(s.Since), left(*s))
	}
	if r := st.Run; r != nil {
		fmt.Fprintf(w, "  run      %s %s of %s: %s%s\n", r.Verb, r.ID, r.Release, r.State, because(r.Why))
	}
	if st.WarmFor > 0 {
		fmt.Fprintf(w, "  warm     the idle slot stays ready for %v\n", st.WarmFor.Round(time.Second))
	}
	if st.Frozen != "" {
		fmt.Fprintf(w, "  frozen   %s\n", st.Frozen)
	}
	for _, id := range st.Trusted {
		fmt.Fprintf(w, "  trusts   releases signed by key %.12s\n", id)
	}
	for _, k := range st.Retained {
		fmt.Fprintf(w, "  kept     %s, committed %s%s\n", k.Release, clock(k.Committed), rejected(k))
	}
	for _, note := range st.Notes {
		fmt.Fprintf(w, "  note     %s\n", note)
	}
}

// acting is who that really is on this host.
func acting(s rpc.Session) string {
	switch {
	case s.Account == "":
		return ""
	case s.Client == "":
		return " (acts as " + s.Account + ")"
	}
	return " (acts as " + s.Account + " from " + s.Client + ")"
}

func live(s rpc.SlotStatus) string {
	text := s.Live.State
	if s.Live.PID != 0 {
		text += fmt.Sprintf(" (process %d)", s.Live.PID)
	} else if s.Live.Exit != 0 {
		text += fmt.Sprintf(" (exit code %d)", s.Live.Exit)
	}
	return fmt.Sprintf("%s, port %d", text, s.Port)
}

func share(st rpc.ServiceStatus, slot release.Slot) string {
	if st.Traffic == nil {
		return ""
	}
	return fmt.Sprintf(", %s of the traffic", st.Traffic.Weights[slot])
}

func mark(st rpc.ServiceStatus, slot release.Slot) string {
	if st.Stable == slot {
		return ", stable"
	}
	return ""
}

func left(s rpc.Session) string {
	if s.Manual {
		return because(s.Message)
	}
	return fmt.Sprintf(", lease ends in %v", s.Remaining.Round(time.Second))
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func rejected(k rpc.Retained) string {
	if k.Rejected {
		return ", rejected"
	}
	return ""
}

func orNone(environment string) string {
	if environment == "" {
		return "no environment"
	}
	return environment
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
