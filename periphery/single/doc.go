// Package single runs single containers: it turns a deployment's settings into what
// the engine is asked for, and puts a new container in the place of the one before
// so that at no moment two of them run, and that the one before is back when the
// new one does not start.
//
// What is going on is written on the containers themselves, in names and labels: a
// process that is killed half way leaves all that the next one needs to finish or to
// take back (see Engine.Recover). An Engine is safe for concurrent use; whatever is
// done to one deployment must not overlap.
package single
