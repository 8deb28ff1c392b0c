package resource

import "context"

// Doc is a stored document with its revision.
type Doc[T any] struct {
	Key   string
	Rev   uint64
	Value T
}

// Bucket is where the resources of a kind are stored, by id. Reads come from
// memory and see what the same process wrote before. Writes compare the revision;
// a Conflict says that somebody else was first.
type Bucket[T any] interface {
	Get(key string) (Doc[T], bool)
	List() []Doc[T]
	Create(ctx context.Context, key string, v T) (rev uint64, err error)
	Update(ctx context.Context, key string, v T, rev uint64) (uint64, error)
	Delete(ctx context.Context, key string, rev uint64) error
}
