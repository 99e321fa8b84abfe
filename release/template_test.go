package release

import "testing"

func TestCheckTemplate(t *testing.T) {
	for text, good := range map[string]bool{
		"":                            true,
		"{a} }} $x":                   true,
		"{{.Listen}} and {{ .Port }}": true,
		"{{.Listten}}":                false,
		"{{.Port}} {{.Slot":           false,
		"{{}}":                        false,
		"{{Listen}}":                  false,
	} {
		if err := CheckTemplate(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
