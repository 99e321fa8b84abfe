package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/logfile"
	"github.com/go-shipper/shipper/host/scm"
)

const (
	logBytes = 5 << 20
	logKeep  = 3
)

func guardLog(l host.Layout) string { return filepath.Join(l.Guard(), "guard.log") }
func routerLog(l host.Layout, name string) string {
	return filepath.Join(l.Router(), "router-"+name+".log")
}

// serviceLog is the log of a service of ours, and where its crash is written.
type serviceLog struct {
	*slog.Logger
	file  *logfile.Log
	crash *os.File
}

func openLog(path string) (*serviceLog, error) {
	file, err := logfile.Open(path, logBytes, logKeep)
	if err != nil {
		return nil, err
	}
	crash, err := os.OpenFile(path+".crash", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		err = debug.SetCrashOutput(crash, debug.CrashOptions{})
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open crash log: %w", err)
	}
	return &serviceLog{slog.New(slog.NewTextHandler(file, nil)), file, crash}, nil
}

// keep writes down what ended the service: nobody reads its standard error.
func (l *serviceLog) keep(err error) error {
	var p *scm.PanicError
	if errors.As(err, &p) {
		l.Error("panic", "value", fmt.Sprint(p.Value), "stack", string(p.Stack))
	} else if err != nil {
		l.Error("service ends", "error", err)
	}
	return err
}

func (l *serviceLog) Close() {
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	l.crash.Close()
	l.file.Close()
}
