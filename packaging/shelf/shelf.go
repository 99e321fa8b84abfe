// Package shelf finds bundles where they are kept: in a folder, on a web
// server, among the files of GitHub releases, in an S3 bucket. Whatever comes
// from there is verified as a bundle before anyone sees it.
package shelf

import (
	"net/http"
	"os"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

// Open gives the shelf that the configuration names; without one it is the
// folder that builds write to. References are resolved here, once.
func Open(b config.Bundles, dist string) (packaging.Shelf, error) {
	client, err := newClient(b.CA)
	if err != nil {
		return nil, err
	}
	switch {
	case b.Folder != "":
		return folder{packaging.Folder(b.Folder)}, nil
	case b.URL != "":
		return openWeb(client, b)
	case b.GitHub != nil:
		return openGitHub(client, *b.GitHub)
	case b.S3 != nil:
		return openS3(client, *b.S3)
	}
	return folder{packaging.Folder(dist)}, nil
}

// secret resolves a reference; an empty one is no secret.
func secret(key, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	value, err := config.Resolve(ref, os.LookupEnv, os.ReadFile)
	if err != nil {
		return "", problem.Wrap(problem.Usage, err, "resolve bundles."+key, "set it where shipper runs")
	}
	return value, nil
}

// bearer authorizes a request, if there is a token.
func bearer(req *http.Request, token string) {
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
}
