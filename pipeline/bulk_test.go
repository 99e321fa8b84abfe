package pipeline

import "testing"

func TestLanesOfAllHostsAreBounded(t *testing.T) {
	var b bulk
	first, giveFirst := b.widen(maxStreams - 3)
	second, giveSecond := b.widen(4)
	third, _ := b.widen(4)
	if first != maxStreams-3 || second != 3 || third != 0 {
		t.Fatalf("%d, %d, %d lanes", first, second, third)
	}
	giveSecond()
	giveSecond() // it may be said twice
	if n, give := b.widen(4); n != 3 {
		t.Errorf("%d lanes were given back, want 3", n)
	} else {
		give()
	}
	giveFirst()
	if n, _ := b.widen(2 * maxStreams); n != maxStreams {
		t.Errorf("%d lanes at the end", n)
	}
	if n, _ := b.widen(-1); n != 0 {
		t.Errorf("%d lanes for one who wants none", n)
	}
}
