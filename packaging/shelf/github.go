package shelf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

// github is the files of a repository's releases, by GitHub's REST API.
type github struct {
	client *http.Client
	repo   *url.URL // api/repos/OWNER/NAME
	token  string
}

// published is a release as the API tells it.
type published struct {
	ID        int64
	Tag       string `json:"tag_name"`
	Draft     bool
	UploadURL string `json:"upload_url"`
	Assets    []asset
}

type asset struct {
	ID    int64
	Name  string
	State string // uploaded, or starter: a torso that an upload left
}

func openGitHub(client *http.Client, c config.GitHub) (packaging.Shelf, error) {
	api, err := url.Parse(c.API)
	if err == nil {
		err = secure(api)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read bundles.github.api", "write https://github.example.com/api/v3")
	}
	token, err := secret("github.token", c.Token)
	return &github{client, api.JoinPath("repos", c.Repository), token}, err
}

const (
	perPage       = 100
	maxGitHubPage = 10
)

func (g *github) List(ctx context.Context, service string) ([]packaging.Listed, error) {
	var all []packaging.Listed
	err := g.each(ctx, func(_ published, a asset) {
		if l, ok := packaging.ParseName(service, a.Name); ok {
			all = append(all, l)
		}
	})
	return all, err
}

// each visits the complete files of the newest releases; drafts are not public
// yet and do not count.
func (g *github) each(ctx context.Context, visit func(published, asset)) error {
	for page := 1; page <= maxGitHubPage; page++ {
		u := g.repo.JoinPath("releases")
		u.RawQuery = url.Values{"per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(page)}}.Encode()
		var releases []published
		if err := g.ask(ctx, http.MethodGet, u.String(), nil, &releases); err != nil {
			return failed(err, "list the releases of "+g.repo.Redacted())
		}
		for _, r := range releases {
			for _, a := range r.Assets {
				if !r.Draft && a.State == "uploaded" {
					visit(r, a)
				}
			}
		}
		if len(releases) < perPage {
			break
		}
	}
	return nil
}

func (g *github) Open(ctx context.Context, l packaging.Listed) (*packaging.Bundle, error) {
	var id int64
	err := g.each(ctx, func(_ published, a asset) {
		if a.Name == l.Name {
			id = a.ID
		}
	})
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, problem.New(problem.Failed, "", "fetch %s: no release of %s has it any more", l.Name, g.repo.Redacted())
	}
	req, err := g.request(ctx, http.MethodGet, g.repo.JoinPath("releases/assets", strconv.FormatInt(id, 10)).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/octet-stream") // the file itself, often by a redirect
	b, err := fetch(ctx, g.client, req, message)
	return b, failed(err, "fetch "+l.Name+" from "+g.repo.Redacted())
}

// Put adds a file to the release of the version's tag, and makes that release
// where there is none.
func (g *github) Put(ctx context.Context, b *packaging.Bundle, path string) error {
	m := b.Manifest
	v, err := semver.StrictNewVersion(m.Version)
	if err != nil || strings.HasPrefix(m.Version, "0.0.0-") || v.Metadata() != "" {
		return problem.New(problem.Usage, "tag the commit, or push to a folder or a bucket", "push %s: a GitHub release belongs to a tag", b.Release())
	}
	r, err := g.releaseOf(ctx, "v"+m.Version, m.Commit, v.Prerelease() != "")
	if err == nil {
		err = g.upload(ctx, r, packaging.FileName(m.Name, b.Release()), path)
	}
	return failed(err, "push "+b.Release().String()+" to "+g.repo.Redacted())
}

func (g *github) releaseOf(ctx context.Context, tag, commit string, pre bool) (r published, err error) {
	err = g.ask(ctx, http.MethodGet, g.repo.JoinPath("releases/tags", tag).String(), nil, &r)
	if !isStatus(err, http.StatusNotFound) {
		return r, err
	}
	body, err := json.Marshal(map[string]any{"tag_name": tag, "target_commitish": commit, "name": tag, "prerelease": pre})
	if err != nil {
		return r, err
	}
	return r, g.ask(ctx, http.MethodPost, g.repo.JoinPath("releases").String(), body, &r)
}

func (g *github) upload(ctx context.Context, r published, name, path string) error {
	for _, a := range r.Assets {
		switch {
		case a.Name != name:
		case a.State == "uploaded":
			return nil
		default:
			torso := g.repo.JoinPath("releases/assets", strconv.FormatInt(a.ID, 10)).String()
			if err := g.ask(ctx, http.MethodDelete, torso, nil, nil); err != nil {
				return err
			}
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	to, _, _ := strings.Cut(r.UploadURL, "{") // a URI template: {?name,label}
	req, err := g.request(ctx, http.MethodPost, to+"?name="+url.QueryEscape(name), nil)
	if err != nil {
		return err
	}
	if !g.trusts(req.URL) {
		return fmt.Errorf("the upload address %s is not of the same site", req.URL.Host)
	}
	req.Body, req.ContentLength = f, info.Size()
	req.Header.Set("Content-Type", "application/zip")
	return g.send(req, nil)
}

// trusts keeps the token on the site that it is for: api.github.com sends
// uploads to uploads.github.com, an Enterprise server to itself.
func (g *github) trusts(u *url.URL) bool {
	return u.Host == g.repo.Host || strings.TrimPrefix(u.Host, "uploads.") == strings.TrimPrefix(g.repo.Host, "api.")
}

func (g *github) ask(ctx context.Context, method, to string, body []byte, into any) error {
	req, err := g.request(ctx, method, to, body)
	if err != nil {
		return err
	}
	return g.send(req, into)
}

func (g *github) send(req *http.Request, into any) error {
	res, err := do(g.client, req, message)
	if err != nil {
		return err
	}
	answer, err := read(res)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

func (g *github) request(ctx context.Context, method, to string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	req.Header.Set("User-Agent", "shipper")
	bearer(req, g.token)
	return req, nil
}
