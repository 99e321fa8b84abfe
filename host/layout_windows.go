package host

import (
	"os"

	"golang.org/x/sys/windows"
)

// systemFolders asks the system: services and shells can have different
// environments, and a user's could point anywhere.
func systemFolders() (programs, data string) {
	return known(windows.FOLDERID_ProgramFiles, "ProgramFiles"), known(windows.FOLDERID_ProgramData, "ProgramData")
}

func known(id *windows.KNOWNFOLDERID, variable string) string {
	path, err := windows.KnownFolderPath(id, windows.KF_FLAG_DEFAULT)
	if err != nil {
		return os.Getenv(variable)
	}
	return path
}
