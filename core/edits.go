package core

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"berth/bus"
	"berth/core/store"
	"berth/schema"
)

// Of edits, the newest are kept, and of the texts in each so many bytes.
const (
	keptEdits = 5000
	keptText  = 64 << 10
)

// editTopic is what changes announces them as.
const editTopic = "edit"

// edits are the changes of what is declared, as records beside the runs.
type edits struct {
	docs    *store.Bucket[schema.Edit]
	changes *changes
}

func (c *core) openEdits(ctx context.Context) error {
	docs, err := store.Open[schema.Edit](ctx, c.conn, bus.BucketEdits, store.Options{History: 1, Log: c.cfg.Log})
	c.edits = edits{docs, c.changes}
	return err
}

// Record keeps an edit under an id that sorts by time, and forgets the oldest.
func (e edits) Record(ctx context.Context, x schema.Edit) (schema.Edit, error) {
	x.ID = fmt.Sprintf("%013x%s", time.Now().UnixMicro(), schema.NewID()[:11])
	x.Before, x.After = cutText(x.Before), cutText(x.After)
	if _, err := e.docs.Create(ctx, x.ID, x); err != nil {
		return x, schema.Wrap(schema.CodeOf(err), err, "record %s", x.Operation)
	}
	e.changes.announce(schema.Change{Topic: editTopic, ID: x.ID})
	if over := e.docs.Len() - keptEdits; over > 0 {
		for _, d := range e.docs.List("")[:over] {
			if err := e.docs.Delete(ctx, d.Key, 0); err != nil && schema.CodeOf(err) != schema.NotFound {
				return x, schema.Wrap(schema.CodeOf(err), err, "forget an old record")
			}
		}
	}
	return x, nil
}

func cutText(s string) string {
	if len(s) <= keptText {
		return s
	}
	return s[:keptText] + "\n# cut here: it is longer\n"
}

// Edits returns them, newest first.
func (e edits) Edits() []schema.Edit {
	docs := e.docs.List("")
	out := make([]schema.Edit, 0, len(docs))
	for _, d := range slices.Backward(docs) {
		out = append(out, d.Value)
	}
	return out
}

// Edit returns one by its id; NotFound.
func (e edits) Edit(id string) (schema.Edit, error) {
	if !schema.IsID(id) {
		return schema.Edit{}, schema.Errorf(schema.NotFound, "no update %q", id)
	}
	d, err := e.docs.Get(id)
	return d.Value, err
}

// Watch yields what is recorded from now on until ctx ends.
func (e edits) Watch(ctx context.Context) iter.Seq[schema.Change] {
	all := e.changes.watch(ctx)
	return func(yield func(schema.Change) bool) {
		for ch := range all {
			if ch.Topic == editTopic && !yield(ch) {
				return
			}
		}
	}
}
