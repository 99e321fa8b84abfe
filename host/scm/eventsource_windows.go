package scm

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/windows/registry"
)

const eventSourcesKey = `SYSTEM\CurrentControlSet\Services\EventLog\Application`

// EventSources lists the files that sources of the Application event log take
// their messages from. Without such a file its events cannot be read any more.
func EventSources() ([]string, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, eventSourcesKey, registry.ENUMERATE_SUB_KEYS)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list event sources: %w", err)
	}
	defer key.Close()
	names, err := key.ReadSubKeyNames(-1)
	if err != nil {
		return nil, fmt.Errorf("list event sources: %w", err)
	}
	var files []string
	for _, name := range names {
		named, err := messageFiles(name)
		if err != nil {
			return nil, fmt.Errorf("read event source %s: %w", name, err)
		}
		files = append(files, named...)
	}
	return files, nil
}

func messageFiles(source string) ([]string, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, eventSourcesKey+`\`+source, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil // gone meanwhile
	}
	if err != nil {
		return nil, err
	}
	defer key.Close()
	value, _, err := key.GetStringValue("EventMessageFile")
	if errors.Is(err, registry.ErrNotExist) || errors.Is(err, registry.ErrUnexpectedType) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if full, err := registry.ExpandString(value); err == nil {
		value = full
	}
	return strings.Split(value, ";"), nil
}
