//go:build !linux

package main

import (
	"context"
	"errors"
)

func runWine(context.Context, options) (outcome, error) {
	return outcome{}, errors.New("the lab needs Linux")
}
