// Package lab runs Windows hosts on one Linux machine: a Wine prefix each, in
// a network namespace of its own, behind a WinRM endpoint that really speaks
// the protocol (lab/wsman).
package lab
