package acl

import "testing"

func TestShareProcess(t *testing.T) {
	if err := ShareProcess(`NT SERVICE\shipper-router-a`, `NT SERVICE\shipper-router-b`); err != nil {
		t.Error(err)
	}
}
