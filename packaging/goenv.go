package packaging

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// kept are the settings of a user's go env file that say where modules come
// from and where caches lie. Everything else there (GOFLAGS, GOEXPERIMENT …)
// could change the bits and is left behind.
var kept = []string{
	"GOAUTH", "GOCACHE", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB",
	"GOPATH", "GOPRIVATE", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN", "GOVCS",
}

// pinned are the settings that fix the bits, for both builders.
var pinned = map[string]string{
	"CGO_ENABLED": "0", "GOAMD64": "v1", "GOARM64": "v8.0",
	"GOENV": "off", "GOEXPERIMENT": "", "GOFLAGS": "",
}

// goEnv returns the environment in which builds of dir run: the same bits on
// every machine, whatever `go env -w` holds there.
func goEnv(ctx context.Context, dir string) ([]string, error) {
	out, err := capture(ctx, dir, nil, "go", append([]string{"env", "-json"}, kept...)...)
	if err != nil {
		return nil, fmt.Errorf("read go env: %w", err)
	}
	settings := map[string]string{}
	if err := json.Unmarshal([]byte(out), &settings); err != nil {
		return nil, fmt.Errorf("read go env: %w", err)
	}
	maps.Copy(settings, pinned)
	env := make([]string, 0, len(settings))
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		env = append(env, key+"="+settings[key])
	}
	return env, nil
}

// buildEnv is goEnv with the toolchain that a build asks for.
func buildEnv(ctx context.Context, req BuildRequest) ([]string, error) {
	env, err := goEnv(ctx, req.Dir)
	if err != nil || req.Toolchain == "" {
		return env, err
	}
	here, err := capture(ctx, req.Dir, env, "go", "env", "GOVERSION")
	if err == nil && here != req.Toolchain {
		env = append(env, "GOTOOLCHAIN="+req.Toolchain)
	}
	return env, err
}

// targetEnv adds one target to the environment of a build.
func targetEnv(env []string, target string) ([]string, error) {
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok || !tokenShape.MatchString(goos) || !tokenShape.MatchString(goarch) {
		return nil, fmt.Errorf("target %q: want GOOS/GOARCH", target)
	}
	return append(slices.Clone(env), "GOOS="+goos, "GOARCH="+goarch), nil
}
