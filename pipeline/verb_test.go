package pipeline

// ending is how a verb ended.
type ending struct {
	res Result
	err error
}

// verb is one that goes on while the test does something else.
type verb struct {
	b    *bed
	over chan struct{}
	ending
}

// begin lets a verb go on beside the test, which waits for its end at last.
func (b *bed) begin(f func() (Result, error)) *verb {
	v := &verb{b: b, over: make(chan struct{})}
	go func() {
		defer func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			close(v.over)
			b.seen.Broadcast()
		}()
		v.res, v.err = f()
	}()
	b.t.Cleanup(func() { <-v.over })
	return v
}

// until waits until a record of the type was told; untilCount for n of them.
// A verb that ends without fails the test with what it ended by.
func (v *verb) until(kind string) {
	v.b.t.Helper()
	v.untilCount(kind, 1)
}

func (v *verb) untilCount(kind string, n int) {
	v.b.t.Helper()
	if !v.tells(kind, n) {
		v.b.t.Fatalf("it ended as %s, by %v, and told %q not %d times\n%s", v.res.State, v.err, kind, n, v.b.story())
	}
}

// tells waits until n records of the type were told, or the verb has ended,
// and reports whether they were.
func (v *verb) tells(kind string, n int) bool {
	v.b.mu.Lock()
	defer v.b.mu.Unlock()
	for {
		count := 0
		for _, r := range v.b.records {
			if r.Type == kind {
				count++
			}
		}
		select {
		case <-v.over:
			return count >= n
		default:
		}
		if count >= n {
			return true
		}
		v.b.seen.Wait()
	}
}

// end waits for the verb's end.
func (v *verb) end() ending {
	<-v.over
	return v.ending
}
