package packaging

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
)

func TestVersionFromGit(t *testing.T) {
	tests := map[string]struct {
		prepare func(dir string)
		want    string // COMMIT7 stands for the commit
	}{
		"no tag":            {func(string) {}, "0.0.0-20260304050607.COMMIT7"},
		"tag":               {func(dir string) { git(t, dir, "tag", "v1.4.2") }, "1.4.2"},
		"tag without v":     {func(dir string) { git(t, dir, "tag", "1.4.2") }, "1.4.2"},
		"highest of many":   {func(dir string) { tag(t, dir, "v1.4.2", "v1.10.0", "v1.9.9", "v2.0.0-rc.1", "latest", "v9") }, "2.0.0-rc.1"},
		"pre-release below": {func(dir string) { tag(t, dir, "v1.0.0-rc.1", "v1.0.0") }, "1.0.0"},
		"metadata":          {func(dir string) { git(t, dir, "tag", "v1.0.0+b7") }, "1.0.0+b7"},
		"untracked file":    {func(dir string) { write(t, filepath.Join(dir, "new"), "x") }, "0.0.0-20260304050607.COMMIT7+dirty"},
		"changed, metadata": {func(dir string) {
			git(t, dir, "tag", "v1.0.0+b7")
			write(t, filepath.Join(dir, "main.go"), mainSource+"\n")
		}, "1.0.0+b7.dirty"},
		"older tag only": {func(dir string) {
			git(t, dir, "tag", "v1.0.0")
			git(t, dir, "commit", "-q", "--allow-empty", "-m", "second")
		}, "0.0.0-20260304050607.COMMIT7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := newRepo(t, nil)
			tt.prepare(dir)
			s, err := ReadSource(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(tt.want, "COMMIT7", git(t, dir, "rev-parse", "HEAD")[:7])
			if s.Version != want {
				t.Errorf("version %s, want %s", s.Version, want)
			}
			if !s.Time.Equal(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)) {
				t.Errorf("time %s", s.Time)
			}
			if err := checkVersion(s.Version); err != nil {
				t.Error(err)
			}
		})
	}
}

func tag(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		git(t, dir, "tag", name)
	}
}

func TestShallowCloneIsSeen(t *testing.T) {
	dir := newRepo(t, nil)
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "second")
	git(t, dir, "tag", "v1.0.0")
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", "--depth=1", "--no-tags", "file://"+filepath.ToSlash(dir), clone)
	s, err := ReadSource(t.Context(), clone)
	if err != nil || !s.Shallow || s.Tagged || !s.Origin {
		t.Errorf("%+v: %v", s, err)
	}
}

func TestVersionOfAnyCommitIsSemantic(t *testing.T) {
	for _, commit := range []string{"0123456789", "0000000abc", "abcdef0123", "1234567890", "0a"} {
		v, _ := versionOf(Source{Commit: commit, Time: time.Unix(0, 0)})
		if _, err := semver.StrictNewVersion(v); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
}
