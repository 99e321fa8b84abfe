// App is as large as services are: what it links is what they link. The
// folders s0 and s1 beside it hold the files in which its next versions differ.
package main

import (
	"encoding/xml"
	"expvar"
	"flag"
	"fmt"
	"html/template"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/http/pprof"
	"os"

	"github.com/Masterminds/semver/v3"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/masterzen/winrm"
	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/crypto/ssh"

	"github.com/go-shipper/shipper/delta/testdata/app/store"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok", version) })
	mux.Handle("/orders", store.New(slog.Default()))
	mux.HandleFunc("/debug/profile", pprof.Profile)
	mux.Handle("/debug/vars", expvar.Handler())
	mux.HandleFunc("/linked", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, linked()...) })
	slog.Info("listening", "address", *listen, "version", version)
	if err := http.ListenAndServe(*listen, mux); err != nil {
		slog.Error("serve", "error", err)
		os.Exit(1)
	}
}

// linked keeps what a linker would drop.
func linked() []any {
	return []any{
		xml.NewDecoder, template.New, new(big.Int),
		httputil.NewSingleHostReverseProxy, semver.NewVersion, s2.NewReader, zstd.NewReader,
		winrm.NewClient, cli.NewApp(), yaml.NewDecoder, new(autocert.Manager), ssh.Dial,
	}
}
