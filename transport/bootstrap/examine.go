package bootstrap

import (
	"context"
	"strings"

	"github.com/go-shipper/shipper/transport"
)

// Abilities are what a host has to unpack the helper with.
type Abilities struct {
	Tar      bool
	Language string // of PowerShell: FullLanguage, ConstrainedLanguage …; empty: there is no PowerShell
}

// Examine looks which ways to a host work. It changes nothing there.
func Examine(ctx context.Context, conn transport.Conn, o Options) (Abilities, error) {
	s, err := survey(ctx, conn, o)
	if err != nil {
		return Abilities{}, err
	}
	var a Abilities
	for line, take := range map[string]func(transport.Result){
		s.lines.hasTar(): func(r transport.Result) { a.Tar = r.Exit == 0 },
		s.lines.language(): func(r transport.Result) {
			if word := strings.TrimSpace(string(r.Stdout)); r.Exit == 0 && strings.HasSuffix(word, "Language") && len(word) < 40 {
				a.Language = word
			}
		},
	} {
		r, err := conn.Run(ctx, line, nil)
		if err != nil {
			return a, err
		}
		take(r)
	}
	return a, nil
}
