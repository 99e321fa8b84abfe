package shelf

import (
	"context"
	"sync"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

// later opens a shelf when it is first asked: most verbs never do, and must
// not need its credentials.
type later struct {
	open func() (packaging.Shelf, error)
}

// Later is Open with the first question.
func Later(b config.Bundles, dist string) packaging.Store {
	return later{sync.OnceValues(func() (packaging.Shelf, error) { return Open(b, dist) })}
}

func (l later) List(ctx context.Context, service string) ([]packaging.Listed, error) {
	s, err := l.open()
	if err != nil {
		return nil, err
	}
	return s.List(ctx, service)
}

func (l later) Open(ctx context.Context, what packaging.Listed) (*packaging.Bundle, error) {
	s, err := l.open()
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, what)
}

func (l later) Put(ctx context.Context, b *packaging.Bundle, path string) error {
	s, err := l.open()
	if err != nil {
		return err
	}
	store, ok := s.(packaging.Store)
	if !ok {
		return problem.New(problem.Usage, "copy the bundle there yourself and add it to checksums.txt, or use folder, github or s3",
			"push: bundles.url is only read")
	}
	return store.Put(ctx, b, path)
}
