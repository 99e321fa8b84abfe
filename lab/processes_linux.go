package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processes finds every process of a prefix: Wine keeps WINEPREFIX in the
// environment of all it starts.
func processes(prefix string) (servers, others []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, nil
	}
	want := []byte("WINEPREFIX=" + prefix)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !hasVariable(pid, want) {
			continue
		}
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if strings.HasPrefix(filepath.Base(exe), "wineserver") {
			servers = append(servers, pid)
		} else {
			others = append(others, pid)
		}
	}
	return servers, others
}

func hasVariable(pid int, want []byte) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false // gone, or not ours
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, want) {
			return true
		}
	}
	return false
}

// powerCut ends every process of the prefix at once. The server goes last and
// is asked, because it holds the registry in its memory: it writes it down
// and ends. Windows has a log for that.
func powerCut(ctx context.Context, prefix string) error {
	for attempt := 0; ; attempt++ {
		servers, others := processes(prefix)
		if len(servers)+len(others) == 0 {
			return nil
		}
		for _, pid := range others {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone is fine
		}
		signal := syscall.SIGTERM
		if attempt > 3000 { // half a minute: a busy machine writes slowly
			signal = syscall.SIGKILL
		}
		if len(others) == 0 {
			for _, pid := range servers {
				_ = syscall.Kill(pid, signal)
			}
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("end the processes of %s: %w", prefix, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// forgetServer removes the folder in /tmp that Wine's server keeps for a
// prefix; the prefix says which.
func forgetServer(prefix string) error {
	name, err := os.ReadFile(filepath.Join(prefix, "wineserver"))
	if err != nil || !strings.HasPrefix(string(name), "wine-") || strings.ContainsAny(string(name), "/\x00") {
		return nil
	}
	return os.RemoveAll(filepath.Join("/tmp", strings.TrimSpace(string(name))))
}
