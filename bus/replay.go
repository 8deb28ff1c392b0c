package bus

import (
	"context"
	"strings"
)

// Changed returns the runs that have events after the sequence, and the sequence
// of the newest event of the log: what a core that was away must look at.
func (c *Conn) Changed(ctx context.Context, after uint64) (runs []string, last uint64, err error) {
	seen := map[string]bool{}
	last = after
	err = c.read(ctx, StreamRuns, subjRunsAll, after+1, func(m stored) error {
		last = m.seq
		if id := strings.TrimPrefix(m.subject, "run."); !seen[id] {
			seen[id] = true
			runs = append(runs, id)
		}
		return nil
	})
	return runs, last, err
}
