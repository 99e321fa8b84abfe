package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/lab/bench/zeroloss/instance"
)

// program is an instance as a console program; version and faults are set by
// each release.
const program = `package main

import (
	"flag"
	"log"
	"net/http"
	"os"

	"example.com/orders/instance"
)

var version, faults string

func main() {
	flag.String("log", "", "not kept")
	flag.Parse()
	log.Fatal(http.ListenAndServe(os.Getenv("SHIPPER_LISTEN"), instance.Handler(version+faults, os.Getenv("SHIPPER_SLOT"), %d)))
}
`

// writeProgram makes a module of it.
func writeProgram(dir string, download int64) error {
	if err := os.MkdirAll(filepath.Join(dir, "instance"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"go.mod":               "module example.com/orders\n\ngo 1.24\n",
		"main.go":              fmt.Sprintf(program, download),
		"instance/instance.go": string(instance.Source),
	} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
