//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service/log"
	"github.com/go-shipper/shipper/service/trace"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger is one of those that are compared.
type logger struct {
	line  func(n int)
	close func() (lost uint64, err error) // all is on the disk then
}

const (
	message  = "request"
	path     = "/orders/7"
	buffered = 8 << 20 // bytes, for each
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID   = "00f067aa0ba902b7"
)

func ours(rotation log.Rotation) func(string) (logger, error) {
	return func(file string) (logger, error) {
		l, err := log.Open(log.Options{Service: "orders", Version: "1.0.0", Slot: "blue", File: file, Rotation: rotation, Buffer: buffered, MaxWait: time.Minute})
		if err != nil {
			return logger{}, err
		}
		s := l.Logger()
		parent, err := trace.Parse("00-" + traceID + "-" + spanID + "-01")
		ctx := trace.With(context.Background(), parent)
		return logger{
			line: func(n int) {
				s.LogAttrs(ctx, slog.LevelInfo, message, slog.String("method", "GET"), slog.String("path", path), slog.Int("status", 200), slog.Int("bytes", n), slog.Int("duration_us", 81))
			},
			close: func() (uint64, error) { err := l.Close(); return l.Stats().Dropped, err },
		}, err
	}
}

// zap with its own buffered writer.
func withZap(file string) (logger, error) {
	f, err := os.Create(file)
	if err != nil {
		return logger{}, err
	}
	w := &zapcore.BufferedWriteSyncer{WS: f, Size: buffered}
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	l := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), w, zap.InfoLevel)).
		With(zap.String("service", "orders"), zap.String("version", "1.0.0"), zap.String("slot", "blue"))
	return logger{
		line: func(n int) {
			l.Info(message, zap.String("trace_id", traceID), zap.String("span_id", spanID), zap.String("method", "GET"), zap.String("path", path),
				zap.Int("status", 200), zap.Int("bytes", n), zap.Int("duration_us", 81))
		},
		close: func() (uint64, error) {
			if err := w.Stop(); err != nil {
				return 0, err
			}
			return 0, f.Sync()
		},
	}, nil
}

// zerolog with its own ring, which never makes callers wait.
func withZerolog(file string) (logger, error) {
	f, err := os.Create(file)
	if err != nil {
		return logger{}, err
	}
	stdlog.SetOutput(io.Discard) // the ring complains there
	var lost uint64
	w := diode.NewWriter(f, buffered/256, 0, func(missed int) { lost += uint64(missed) })
	return logger{
		line:  zeroline(w),
		close: func() (uint64, error) { err := w.Close(); return lost, err }, // closes f, too
	}, nil
}

// withBoth is zerolog into zap's buffered writer, which loses nothing.
func withBoth(file string) (logger, error) {
	f, err := os.Create(file)
	if err != nil {
		return logger{}, err
	}
	w := &zapcore.BufferedWriteSyncer{WS: f, Size: buffered}
	return logger{
		line: zeroline(w),
		close: func() (uint64, error) {
			if err := w.Stop(); err != nil {
				return 0, err
			}
			return 0, f.Sync()
		},
	}, nil
}

// zeroline writes a line by zerolog.
func zeroline(w io.Writer) func(int) {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	l := zerolog.New(w).With().Timestamp().Str("service", "orders").Str("version", "1.0.0").Str("slot", "blue").Logger()
	return func(n int) {
		l.Info().Str("trace_id", traceID).Str("span_id", spanID).Str("method", "GET").Str("path", path).
			Int("status", 200).Int("bytes", n).Int("duration_us", 81).Msg(message)
	}
}

type result struct {
	rate, cpu float64 // lines per second to the disk, and processor nanoseconds per line
	p999, max time.Duration
	lost      float64 // share
}

// logs lets each logger take the same lines, in turn.
func (b *bench) logs() error {
	loggers := []struct {
		name string
		open func(string) (logger, error)
	}{
		{"the kit (slog)", ours(log.Rotation{MaxBytes: 1 << 40})},
		{"zap, BufferedWriteSyncer", withZap},
		{"zerolog, diode", withZerolog},
		{"zerolog, zap's BufferedWriteSyncer", withBoth},
		{"the kit, with rotation and gzip", ours(log.Rotation{Keep: 3})},
	}
	results := map[string][]result{}
	for range b.rounds {
		for _, l := range loggers {
			r, err := b.log(l.open)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			results[l.name] = append(results[l.name], r)
		}
	}
	fmt.Println()
	row(fmt.Sprintf("%d lines, %d callers, %d processors", b.lines, b.callers, runtime.GOMAXPROCS(0)), "kept lines/s", "CPU ns/line", "call, 99.9 %", "longest call", "lost")
	of := func(name string, what func(result) float64) float64 {
		var all []float64
		for _, r := range results[name] {
			all = append(all, what(r))
		}
		return median(all)
	}
	for _, l := range loggers {
		us := func(what func(result) time.Duration) string {
			return time.Duration(of(l.name, func(r result) float64 { return float64(what(r)) })).Round(100 * time.Nanosecond).String()
		}
		row(l.name, fmt.Sprintf("%.0f", of(l.name, func(r result) float64 { return r.rate })), fmt.Sprintf("%.0f", of(l.name, func(r result) float64 { return r.cpu })),
			us(func(r result) time.Duration { return r.p999 }), us(func(r result) time.Duration { return r.max }),
			fmt.Sprintf("%.1f %%", 100*of(l.name, func(r result) float64 { return r.lost })))
	}
	b.results["log_lines_per_s"] = of(loggers[0].name, func(r result) float64 { return r.rate })
	return nil
}

// sampled is how many calls there are for one whose time is taken.
const sampled = 64

func (b *bench) log(open func(string) (logger, error)) (result, error) {
	dir, err := os.MkdirTemp(b.dir, "log-")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	runtime.GC()
	l, err := open(filepath.Join(dir, "x.log"))
	if err != nil {
		return result{}, err
	}
	each := b.lines / b.callers
	took := make([][]time.Duration, b.callers)
	begun, used := time.Now(), processorTime()
	var callers sync.WaitGroup
	for c := range b.callers {
		callers.Go(func() {
			for n := range each {
				if n%sampled != 0 {
					l.line(n)
					continue
				}
				at := time.Now()
				l.line(n)
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	callers.Wait()
	lost, err := l.close()
	if err != nil {
		return result{}, err
	}
	lines := float64(each * b.callers)
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	return result{rate: (lines - float64(lost)) / time.Since(begun).Seconds(), cpu: float64(processorTime()-used) / lines,
		p999: all[len(all)*999/1000], max: all[len(all)-1], lost: float64(lost) / lines}, nil
}
