// Package simulate runs whole releases in a simulated world: controllers,
// guards, routers, engine and state files are the shipped code, while clock,
// network, service manager and instances are made here, and fail on purpose.
// It consists of tests, because the clock is that of testing/synctest;
// docs/SIMULATION.md tells what is real and how a seed is replayed.
package simulate
