//go:build !windows

package service

import (
	"context"
	"errors"
)

func (s *Service) runWindowsService(context.Context) error {
	return errors.New("run as a Windows service: this is not Windows")
}
