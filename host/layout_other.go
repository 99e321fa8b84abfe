//go:build !windows

package host

// systemFolders are for hosts that are no Windows: transport local, as root.
func systemFolders() (programs, data string) { return "/opt", "/var/lib" }
