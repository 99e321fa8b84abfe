// Package log is log/slog for a service: one JSON line per record with
// service, version, slot and the request's trace_id, written in batches by a
// goroutine of its own, so that nobody waits for the disk; files that start
// anew each day and when they are full, the old ones compressed; and the
// Windows Event Log for what operators must see.
//
//	l, err := log.Open(log.Options{Service: "orders", Version: version, File: path})
//	…
//	defer l.Close()
//	slog.SetDefault(l.Logger())
package log
