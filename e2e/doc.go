// Package e2e meets the whole program as its users do: the real binary, two Docker
// engines, an agent behind NAT, a git server, a forge's signed webhooks, a browser.
//
// The packages below it are the parts of that world, each with a test of its own.
// Tests run one after the other: they share two cores and the machine's network.
package e2e
