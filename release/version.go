package release

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions by the precedence of Semantic Versioning:
// numbers by value, a pre-release before its release; build metadata and a
// leading v do not count. It takes any text, so that an order always exists.
func CompareVersions(a, b string) int {
	coreA, preA := splitVersion(a)
	coreB, preB := splitVersion(b)
	switch c := compareParts(coreA, coreB); {
	case c != 0:
		return c
	case preA == "" || preB == "":
		return cmp.Compare(len(preB), len(preA)) // only one of them, or none, is a pre-release
	default:
		return compareParts(preA, preB)
	}
}

func splitVersion(v string) (core, pre string) {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
	core, pre, _ = strings.Cut(v, "-")
	return core, pre
}

// compareParts compares what dots separate; more parts are higher.
func compareParts(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if c := comparePart(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

// comparePart puts numbers before words; both are compared as such.
func comparePart(a, b string) int {
	numberA, numberB := isNumber(a), isNumber(b)
	switch {
	case numberA && numberB:
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	case numberA:
		return -1
	case numberB:
		return 1
	}
	return strings.Compare(a, b)
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
