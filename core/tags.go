package core

import (
	"context"

	"berth/bus"
	"berth/core/store"
	"berth/schema"
)

// tags are what is known of tags beside the names that resources carry.
type tags struct{ docs *store.Bucket[schema.Tag] }

func (c *core) openTags(ctx context.Context) error {
	var err error
	c.tags.docs, err = store.Open[schema.Tag](ctx, c.conn, bus.BucketTags, store.Options{History: 1, Log: c.cfg.Log})
	return err
}

// Changes returns another number after every change.
func (t tags) Changes() uint64 { return t.docs.Changes() }

// All returns the tags that have a document.
func (t tags) All() []schema.Tag {
	docs := t.docs.List("")
	out := make([]schema.Tag, len(docs))
	for i, d := range docs {
		out[i] = d.Value
	}
	return out
}

// Save creates a tag's document, or replaces it.
func (t tags) Save(ctx context.Context, tag schema.Tag) error {
	_, err := t.docs.Put(ctx, tag.ID, tag)
	return schema.Wrap(schema.CodeOf(err), err, "save tag %q", tag.Name)
}

// Remove forgets a tag's document.
func (t tags) Remove(ctx context.Context, id string) error {
	err := t.docs.Delete(ctx, id, 0)
	if schema.CodeOf(err) == schema.NotFound {
		return nil // a tag that a file brought has none
	}
	return err
}
