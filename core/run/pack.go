package run

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"

	"berth/schema"
)

// Sizes of a plan in bytes. A large one is deflated: it is one message of the log.
const (
	plainPlan  = 64 << 10
	packedPlan = 700 << 10 // deflated; base64 makes a third more of it
	unpackMost = 64 << 20
)

// packed is a plan that is stored deflated.
type packed struct {
	Packed []byte `json:"packed"`
}

// packPlan makes a plan small enough for the log. TooLarge when that cannot be.
func packPlan(value json.RawMessage) (json.RawMessage, error) {
	if len(value) <= plainPlan {
		return value, nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err == nil {
		_, err = w.Write(value)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	if b.Len() > packedPlan || len(value) > unpackMost {
		return nil, schema.Errorf(schema.TooLarge, "what is to be done is too much for one run (%d KiB, deflated %d): do it in parts, by narrowing what the run is asked for", len(value)>>10, b.Len()>>10)
	}
	return json.Marshal(packed{b.Bytes()})
}

// unpackPlan is the plan as it was before packPlan.
func unpackPlan(value json.RawMessage) (json.RawMessage, error) {
	if !bytes.HasPrefix(value, []byte(`{"packed":"`)) {
		return value, nil
	}
	var p packed
	if err := json.Unmarshal(value, &p); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(p.Packed)), unpackMost))
}
