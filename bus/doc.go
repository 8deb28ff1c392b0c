// Package bus is how core and agents talk: questions, durable commands and their
// results, run events, output and status, all over NATS with JetStream.
//
// A Conn is one principal's connection. All its methods are safe for concurrent
// use. Handlers given to Answer and Serve run on their own goroutines, at most
// 64 at a time per connection; handlers given to OnNotify and OnStatus run one
// after the other and must not block. A Conn owns every goroutine it starts, and
// Close waits for them.
//
// Delivery: Ask, Request and Notify are tried once. Enqueue, Append and Report
// are on disk when they return nil, and harmless when repeated. Emit keeps the
// order per command and may repeat a chunk.
//
// Errors: schema.Invalid for an id or verb that may not stand in a subject,
// Unavailable when nobody is connected to answer, Expired when no answer came in
// time, TooLarge beyond 1 MiB. Where a function knows more, it says so; anything
// else that goes wrong carries no code, and its text is for the log.
package bus
