package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

// The types of records.
const (
	typeStart    = "start"
	typeDone     = "done"
	typeReported = "reported"
)

// record is one transition of one command.
type record struct {
	Type   string          `json:"t"`
	ID     string          `json:"id"`
	At     int64           `json:"at"` // unix ms
	Fence  uint64          `json:"fence,omitempty"`
	Meta   json.RawMessage `json:"meta,omitempty"`
	Result []byte          `json:"result,omitempty"`
}

// Why a line is not what was written.
var (
	errCut     = errors.New("it is cut short")
	errBadLine = errors.New("its checksum is wrong")
)

// encode makes the line of some records: checksum, length, records.
func encode(records []record) ([]byte, error) {
	body, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	line := make([]byte, 0, len(body)+20)
	line = fmt.Appendf(line, "%08x %d ", checksum(body), len(body))
	line = append(line, body...)
	return append(line, '\n'), nil
}

// decode reads a line without its end. errCut if a write that was interrupted
// can have left it so, errBadLine if it is damaged for another reason.
func decode(line []byte) ([]record, error) {
	fields := bytes.SplitN(line, []byte(" "), 3)
	if len(fields) < 3 {
		return nil, errCut
	}
	body := fields[2]
	if string(fields[0]) == fmt.Sprintf("%08x", checksum(body)) && string(fields[1]) == strconv.Itoa(len(body)) {
		var records []record
		err := json.Unmarshal(body, &records)
		return records, err
	}
	if n, err := strconv.Atoi(string(fields[1])); err == nil && len(bytes.TrimRight(body, "\x00")) > n {
		return nil, errBadLine // the next line has run into it
	}
	return nil, errCut
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// apply brings a record into the entries; an error means that the record cannot
// follow what came before.
func (j *Journal) apply(r record) error {
	at := time.UnixMilli(r.At)
	e := j.entries[r.ID]
	switch {
	case r.Type == typeStart && e == nil:
		j.entries[r.ID] = &Entry{ID: r.ID, Fence: r.Fence, Meta: r.Meta, Started: at}
	case r.Type == typeDone && e != nil && e.Ended.IsZero():
		e.Ended, e.Result = at, r.Result
	case r.Type == typeReported && e != nil && !e.Ended.IsZero():
		e.reported, e.Meta, e.Result = at, nil, nil
	default:
		return fmt.Errorf("a record %q of command %s does not fit what came before", r.Type, r.ID)
	}
	return nil
}

// records are what the entry is written as when the journal is compacted.
func (e *Entry) records() []record {
	out := []record{{Type: typeStart, ID: e.ID, At: e.Started.UnixMilli(), Fence: e.Fence, Meta: e.Meta}}
	if !e.Ended.IsZero() {
		out = append(out, record{Type: typeDone, ID: e.ID, At: e.Ended.UnixMilli(), Result: e.Result})
	}
	if !e.reported.IsZero() {
		out = append(out, record{Type: typeReported, ID: e.ID, At: e.reported.UnixMilli()})
	}
	return out
}
