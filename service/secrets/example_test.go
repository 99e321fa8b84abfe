package secrets_test

import (
	"context"
	"fmt"

	"github.com/go-shipper/shipper/service/secrets"
)

func Example() {
	r := secrets.Resolver{Env: func(string) string { return "hunter2" }}
	password, err := r.Get(context.Background(), "env:DB_PASSWORD")
	fmt.Println(password, len(password.Reveal()), err)
	// Output: [secret] 7 <nil>
}
