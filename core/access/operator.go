package access

import "berth/schema"

// OperatorCaller is an operator of the bus as who is asking. He is no user: what
// he may do is a level on everything, none of it an administrator's.
func OperatorCaller(id, name string, may Level, peer string) Caller {
	return Caller{
		UserID: id, Username: name, Everywhere: may, Peer: peer, Via: "bus",
		Actor: schema.Actor{Kind: "operator", ID: id, Name: name},
	}
}
