// Package wrapper makes a Windows service of any console program: a console
// of its own, output in rotated files, a stop it understands, then the end of
// its whole process tree.
package wrapper

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Stop signals. Elsewhere than on Windows SIGTERM stands for ctrl-break and
// SIGINT for ctrl-c.
const (
	CtrlBreak  = "ctrl-break"
	CtrlC      = "ctrl-c"
	StdinClose = "stdin-close"
	HTTP       = "http"
	Kill       = "kill"
)

// Defaults and bounds.
const (
	defaultStopTimeout = 30 * time.Second
	defaultLogMaxBytes = 10 << 20
	defaultLogKeep     = 5
	maxConfig          = 1 << 20
)

// Config says what to run and how to stop it.
type Config struct {
	Name        string            `json:"name"`       // of the service
	Executable  string            `json:"executable"` // absolute
	Args        []string          `json:"args,omitempty"`
	Env         map[string]string `json:"env,omitempty"` // over what the wrapper inherits
	Dir         string            `json:"dir,omitempty"` // default: the executable's folder
	LogDir      string            `json:"logDir"`        // out.log, out.1.log … out.N.log; N = LogKeep
	LogMaxBytes int64             `json:"logMaxBytes,omitempty"`
	LogKeep     int               `json:"logKeep,omitempty"`
	StopSignal  string            `json:"stopSignal,omitempty"`  // default ctrl-break
	StopURL     string            `json:"stopURL,omitempty"`     // of http: POST, on a loopback address
	StopTimeout int64             `json:"stopTimeout,omitempty"` // milliseconds until the tree is killed
	// SecretsFile holds a map of environment variables as secret.Box.SealMap
	// made it; KeyDir is the box's folder, which Windows does not need.
	SecretsFile string `json:"secretsFile,omitempty"`
	KeyDir      string `json:"keyDir,omitempty"`
}

// Load reads and checks a configuration. Unknown fields are left alone: an
// older wrapper may meet a newer guard's file.
func Load(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, fmt.Errorf("read wrapper configuration: %w", err)
	}
	if info.Size() > maxConfig {
		return Config{}, fmt.Errorf("read wrapper configuration %s: %d bytes, at most %d are allowed", path, info.Size(), maxConfig)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read wrapper configuration: %w", err)
	}
	c, err := parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("wrapper configuration %s: %w", path, err)
	}
	return c, nil
}

func parse(b []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, err
	}
	c = c.withDefaults()
	return c, c.check()
}

func (c Config) withDefaults() Config {
	if c.Dir == "" {
		c.Dir = filepath.Dir(c.Executable)
	}
	if c.LogMaxBytes == 0 {
		c.LogMaxBytes = defaultLogMaxBytes
	}
	if c.LogKeep == 0 {
		c.LogKeep = defaultLogKeep
	}
	if c.StopSignal == "" {
		c.StopSignal = CtrlBreak
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = defaultStopTimeout.Milliseconds()
	}
	return c
}

func (c Config) check() error {
	switch {
	case !filepath.IsAbs(c.Executable):
		return fmt.Errorf("executable %q: want an absolute path", c.Executable)
	case !filepath.IsAbs(c.LogDir):
		return fmt.Errorf("logDir %q: want an absolute path", c.LogDir)
	case c.LogMaxBytes < 0, c.LogKeep < 0, c.StopTimeout < 0:
		return fmt.Errorf("logMaxBytes, logKeep and stopTimeout must not be negative")
	case c.LogKeep > 1000:
		return fmt.Errorf("logKeep %d: at most 1000", c.LogKeep)
	}
	switch c.StopSignal {
	case CtrlBreak, CtrlC, StdinClose, Kill:
		return nil
	case HTTP:
		return checkStopURL(c.StopURL)
	}
	return fmt.Errorf("stopSignal %q: want ctrl-break, ctrl-c, stdin-close, http or kill", c.StopSignal)
}

// checkStopURL keeps the wrapper on its own machine.
func checkStopURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("stopURL: %w", err)
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if u.Scheme != "http" || u.Hostname() != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("stopURL %q: want http:// on a loopback address", s)
	}
	return nil
}

func (c Config) stopTimeout() time.Duration { return time.Duration(c.StopTimeout) * time.Millisecond }
