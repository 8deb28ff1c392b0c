package resource

import (
	"context"

	"berth/schema"
)

// Vet sets what has to agree to settings that somebody saves by Create or Update,
// after they were found to be well formed and before anything is stored. was is nil
// for a resource that is created. It may take its time: nothing is held meanwhile.
// Call it before the kind is used.
func (k *Kind[C]) Vet(agree func(ctx context.Context, was *C, now C) error) { k.vet = agree }

// Doubt sets what plans warn of in settings that are well formed and may still be a
// mistake, as only core can tell. It must not block. Call it before the kind is used.
func (k *Kind[C]) Doubt(of func(now C) []schema.KeyError) { k.doubt = of }

// vetted asks whether what build makes may be saved.
func (k *Kind[C]) vetted(ctx context.Context, key string, build func() (schema.Resource[C], error)) error {
	if k.vet == nil {
		return nil
	}
	was, now, err := k.before(ctx, key, build)
	if err != nil {
		return err
	}
	return k.vet(ctx, was, now)
}

func (k *Kind[C]) before(ctx context.Context, key string, build func() (schema.Resource[C], error)) (was *C, now C, err error) {
	k.reg.mu.Lock()
	defer k.reg.mu.Unlock()
	if key != "" {
		have, err := k.Get(ctx, key)
		if err != nil {
			return nil, now, err
		}
		was = &have.Config
	}
	r, err := build()
	if err == nil {
		err = k.admit(&r)
	}
	return was, r.Config, err
}
