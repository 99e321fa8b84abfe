package scm

import (
	"slices"
	"testing"

	"golang.org/x/sys/windows/registry"
)

func TestEventSources(t *testing.T) {
	const source = eventSourcesKey + `\shipper-test`
	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, source, registry.SET_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		key.Close()
		if err := registry.DeleteKey(registry.LOCAL_MACHINE, source); err != nil {
			t.Error(err)
		}
	})
	if err := key.SetExpandStringValue("EventMessageFile", `%SystemRoot%\a.exe;C:\b.dll`); err != nil {
		t.Fatal(err)
	}
	files, err := EventSources()
	if err != nil || !slices.Contains(files, `C:\windows\a.exe`) || !slices.Contains(files, `C:\b.dll`) {
		t.Errorf("%v, %v", files, err)
	}
}
