package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// accessLists are the lists that were changed, by lower-cased path.
type accessLists map[string]*accessList

type accessList struct {
	explicit  []access // denials first, as Windows orders them
	protected bool     // inherits nothing
}

func (l accessLists) get(path string) *accessList {
	key := strings.ToLower(path)
	if l[key] == nil {
		l[key] = &accessList{}
	}
	return l[key]
}

func (l accessLists) apply(c change) {
	list := l.get(c.Path)
	switch {
	case c.Reset:
		*list = accessList{}
	case c.Inherit == "d" && !list.protected:
		for _, e := range l.inherited(c.Path) {
			list.explicit = append(list.explicit, access{e.Who, strings.TrimPrefix(e.Rights, "(I)")})
		}
		list.protected = true
	case c.Inherit != "":
		list.protected = c.Inherit != "e"
	}
	for _, who := range c.Remove {
		list.remove(who)
	}
	for _, e := range c.Deny {
		list.explicit = append([]access{{e.Who, "(DENY)" + e.Rights}}, list.explicit...)
	}
	for _, e := range c.Grant {
		if c.Replace {
			list.remove(e.Who)
		}
		if !slices.Contains(list.explicit, e) {
			list.explicit = append(list.explicit, e)
		}
	}
}

func (l *accessList) remove(who string) {
	l.explicit = slices.DeleteFunc(l.explicit, func(e access) bool { return strings.EqualFold(e.Who, who) })
}

// effective is what the original prints: the path's own entries, and then
// those that it inherits.
func (l accessLists) effective(path string) []access {
	list := l[strings.ToLower(path)]
	if list == nil {
		return l.inherited(path)
	}
	if list.protected {
		return list.explicit
	}
	return append(slices.Clone(list.explicit), l.inherited(path)...)
}

// inherited are the entries that come from above; at the root of a drive,
// those that Windows puts there.
func (l accessLists) inherited(path string) []access {
	parent := filepath.Dir(path)
	if parent == path {
		return []access{{`NT AUTHORITY\SYSTEM`, "(I)(OI)(CI)(F)"}, {`BUILTIN\Administrators`, "(I)(OI)(CI)(F)"}, {`BUILTIN\Users`, "(I)(OI)(CI)(RX)"}}
	}
	var out []access
	for _, e := range l.effective(parent) {
		if strings.Contains(e.Rights, "(CI)") || strings.Contains(e.Rights, "(OI)") {
			out = append(out, access{e.Who, "(I)" + strings.TrimPrefix(e.Rights, "(I)")})
		}
	}
	return out
}
