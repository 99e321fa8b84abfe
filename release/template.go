package release

import (
	"fmt"
	"slices"
	"strings"
)

// TemplateWords are what {{.Word}} may name in the arguments, the environment
// and the templated files of a revision.
func TemplateWords() []string {
	return []string{".ConfigDir", ".DataDir", ".Listen", ".LogDir", ".Port", ".Slot", ".Version"}
}

// CheckTemplate finds the first word that no host could fill in.
func CheckTemplate(text string) error {
	for {
		_, rest, more := strings.Cut(text, "{{")
		if !more {
			return nil
		}
		word, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return fmt.Errorf("template {{%.40s has no end", rest)
		}
		if !slices.Contains(TemplateWords(), strings.TrimSpace(word)) {
			return fmt.Errorf("unknown template {{%.40s}}", word)
		}
		text = after
	}
}
