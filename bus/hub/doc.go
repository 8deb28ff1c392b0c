// Package hub is the NATS server inside core: accounts, who may connect and to
// what, TLS, limits, the websocket door on core's HTTP port, and presence.
//
// Start brings up the server without any door: only core itself can connect, and
// prepares streams and buckets. Open then lets everybody else in. One function,
// a Decide, says who a login is and what it may do. Here it stands behind the
// server's custom client authentication; for an external cluster the same
// function is to stand behind an auth callout: it sees nothing of the embedded
// server.
//
// A Hub is safe for concurrent use. Decide is called concurrently, one call per
// login.
//
// Errors of Start, Open and Dial say what could not be brought up; they are for
// whoever starts core.
package hub
