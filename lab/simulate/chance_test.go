package simulate

// watcher is asked before a file or a folder changes, and may refuse.
type watcher = func(op, path, to string) error

// watchDisks gives a watcher to the os package and returns the one before.
// This one does nothing: package exact has another one in its place, of a
// program that it builds.
func watchDisks(watcher) watcher { return nil }
