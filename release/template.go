package release

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// maxFilled bounds what one template may grow to, in bytes.
const maxFilled = 4 << 20

// Words that a configuration fills in by names of its own: variables where
// shipper runs, secrets on the host, and in files only.
const (
	VarsWord    = ".Vars."
	SecretsWord = ".Secrets."
)

// TemplateWords are what {{.Word}} may name in the arguments, the environment
// and the templated files of a revision.
func TemplateWords() []string {
	return []string{".ConfigDir", ".DataDir", ".Listen", ".LogDir", ".Port", ".Slot", ".Version"}
}

// CheckTemplate finds the first word that no host could fill in; more are
// words that are known beside the usual ones.
func CheckTemplate(text string, more ...string) error {
	known := append(TemplateWords(), more...)
	_, err := replace(text, func(_, word string) (string, bool) { return "", slices.Contains(known, word) })
	return err
}

// Fill replaces {{.Word}} by what known has for it. Inside the quotes of a
// JSON, YAML or TOML file it is escaped: Windows paths are full of
// backslashes. That is all the language there is: text/template makes the
// linker keep every method of every type, megabytes that would travel to each
// host.
func Fill(file, text string, known map[string]string) (string, error) {
	return replace(text, func(before, word string) (string, bool) {
		value, ok := known[word]
		return escape(file, before, value), ok
	})
}

// FillSome is Fill for a first pass: words that known does not have stay.
func FillSome(file, text string, known map[string]string) string {
	out, err := replace(text, func(before, word string) (string, bool) {
		if value, ok := known[word]; ok {
			return escape(file, before, value), true
		}
		return "{{" + word + "}}", true
	})
	if err != nil { // one that has no end; the second pass tells
		return text
	}
	return out
}

// TemplateError says which word could not be filled in, and on which line.
type TemplateError struct {
	Line int
	Why  string
}

func (e *TemplateError) Error() string { return e.Why }

// replace asks for the value of each word, with the text of its line so far.
func replace(in string, value func(before, word string) (string, bool)) (string, error) {
	var out strings.Builder
	line := 1
	for {
		text, rest, more := strings.Cut(in, "{{")
		out.WriteString(text)
		if !more {
			return out.String(), nil
		}
		line += strings.Count(text, "\n")
		word, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", &TemplateError{line, "template {{" + rest[:min(len(rest), 40)] + " has no end"}
		}
		filled, ok := value(out.String()[strings.LastIndexByte(out.String(), '\n')+1:], strings.TrimSpace(word))
		if !ok {
			return "", &TemplateError{line, "unknown template {{" + word[:min(len(word), 40)] + "}}"}
		}
		out.WriteString(filled)
		if out.Len() > maxFilled {
			return "", &TemplateError{line, "it grows longer than 4 MiB"}
		}
		line += strings.Count(word, "\n")
		in = after
	}
}

// escape fits a value into the double quotes that are open on its line.
func escape(file, before, value string) string {
	switch path.Ext(file) {
	case ".json", ".yaml", ".yml", ".toml":
	default:
		return value
	}
	open := strings.Count(before, `"`) - strings.Count(before, `\"`)
	if open%2 == 0 {
		return value
	}
	b, err := json.Marshal(value)
	if err != nil { // strings have no errors
		return value
	}
	return string(b[1 : len(b)-1])
}
