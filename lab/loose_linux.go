package lab

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
)

// Loose is a prefix without a host around it, for programs that are to have
// this machine's network and environment.
type Loose struct{ w wine }

// NewLoose makes one in dir, from the template that all hosts are made from.
func NewLoose(ctx context.Context, dir string, log func(string)) (*Loose, error) {
	w, err := findWine(dir)
	if err != nil {
		return nil, err
	}
	from, err := template(ctx, dir, log)
	if err != nil {
		return nil, err
	}
	return &Loose{w}, clonePrefix(from, dir)
}

// Drive is the folder of C:.
func (l *Loose) Drive() string { return filepath.Join(l.w.prefix(), "drive_c") }

// Command is a program in the prefix, with env beside what Wine needs.
func (l *Loose) Command(env []string, program string, args ...string) *exec.Cmd {
	cmd := l.w.command(program, args...)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// Close ends all that runs in the prefix.
func (l *Loose) Close() error {
	return errors.Join(powerCut(context.Background(), l.w.prefix()), forgetServer(l.w.prefix()))
}
