package shipper_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A promise rests on tests that exist.
func TestGuaranteesNameRealTests(t *testing.T) {
	exist := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	sources(t, func(name string, text []byte) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, m := range function.FindAllSubmatch(text, -1) {
			exist[string(m[1])] = true
		}
	})
	text, err := os.ReadFile("docs/GUARANTEES.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(text, -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !exist[string(m[1])] {
			t.Errorf("docs/GUARANTEES.md rests on %s, which does not exist", m[1])
		}
	}
}

// What the documents call by its path is there.
func TestDocumentsNameRealFiles(t *testing.T) {
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`\b(?:docs|cmd|pipeline|rollout|host|lab|transport|packaging|examples|config|release|report)/[\w./-]*\w`)
	for _, document := range append(append(documents, decisions...), "README.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths.FindAllString(string(text), -1) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s names %s, which is not there", document, path)
			}
		}
	}
}

// Whoever asks why a dependency is there finds a page that says so.
func TestDependenciesHaveReasons(t *testing.T) {
	pages, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var reasons strings.Builder
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		reasons.Write(text)
	}
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(text), -1)
	if len(direct) < 5 {
		t.Errorf("go.mod has only %d direct dependencies", len(direct))
	}
	for _, m := range direct {
		if !strings.Contains(reasons.String(), m[1]) {
			t.Errorf("no page of docs/decisions says why %s is needed", m[1])
		}
	}
}
