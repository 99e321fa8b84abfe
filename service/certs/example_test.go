package certs_test

import (
	"fmt"
	"net/http"

	"github.com/go-shipper/shipper/service/certs"
)

func ExampleOpen() {
	c, err := certs.Open(certs.Options{Cert: "tls/cert.pem", Key: "tls/key.pem"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// service.WithPart(c) follows the files.
	srv := &http.Server{Addr: ":8443", TLSConfig: c.Config()}
	fmt.Println(srv.ListenAndServeTLS("", ""))
	// Output: certificate: load configuration: open tls/cert.pem: no such file or directory
}
