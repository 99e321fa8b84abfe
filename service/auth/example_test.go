package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-shipper/shipper/service/auth"
)

func Example() {
	keys, err := auth.NewJWKS("https://id.example/.well-known/jwks.json", nil)
	if err != nil {
		panic(err)
	}
	v, err := auth.New(auth.Options{Issuer: "https://id.example", Audience: "orders", Algorithms: []string{"ES256"}, Keys: keys})
	if err != nil {
		panic(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.From(r.Context())
		fmt.Fprintln(w, "hello", id.Subject)
	})
	handler := v.Handler(auth.Require(orders, "writer"))

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer
}
