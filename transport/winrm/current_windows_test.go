package winrm

import (
	"os"
	"strconv"
	"testing"
)

// TestCurrentUser logs on as who runs it, to the host that the environment
// names; TestCurrentUserOnWine starts it.
func TestCurrentUser(t *testing.T) {
	port, err := strconv.Atoi(os.Getenv("SHIPPER_TEST_PORT"))
	if err != nil {
		t.Skip("no host is named")
	}
	c, err := Dial(t.Context(), Config{
		Address: "127.0.0.1", Port: port, HTTPS: os.Getenv("SHIPPER_TEST_CA") != "", CAFile: os.Getenv("SHIPPER_TEST_CA"),
		Auth: os.Getenv("SHIPPER_TEST_AUTH"), Service: os.Getenv("SHIPPER_TEST_SPN"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if r, err := c.Run(t.Context(), "exit 3", nil); err != nil || r.Exit != 3 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
