// Package core is the control plane: it wires the parts and holds the lists of
// what there is (kinds.go, actions.go).
//
// Run is the program as a value: main, `berth up` and tests call it alike. It owns
// every goroutine and returns when all have ended. The order of its start: bus,
// store, engine of runs, agents' doors, and last the public listener, so that
// nobody is answered before everything accepted earlier is known again.
package core
