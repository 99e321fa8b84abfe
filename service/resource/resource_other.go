//go:build !linux && !windows

package resource

import "errors"

func readMemory() (Memory, error) { return Memory{}, errors.ErrUnsupported }

func readTicks() (ticks, error) { return ticks{}, errors.ErrUnsupported }

func readProcess() (Process, error) { return Process{}, errors.ErrUnsupported }
