package run

import "fmt"

// Load says what the engine keeps for runs in progress.
func (e *Engine) Load() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("%d live, %d queues, %d floors", len(e.table.live), len(e.queues), len(e.floors))
}

// Forget drops an ended run from memory, as those beyond Keep are.
func (e *Engine) Forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.table.remove(e.table.runs[id])
}
