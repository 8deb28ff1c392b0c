package api

import "testing"

func TestAFeedSaysThatItsReaderIsLate(t *testing.T) {
	const size = 3
	for n, isLate := range map[int]bool{size: false, size + 2: true} {
		over := make(chan struct{})
		ch, late := feed(t.Context(), func(yield func(int) bool) {
			defer close(over)
			for i := range n {
				if !yield(i) {
					return
				}
			}
		}, size)
		<-over
		got := 0
		for range ch {
			got++
		}
		if got != size || late() != isLate {
			t.Errorf("%d values for a reader who comes late: %d read, late %v", n, got, late())
		}
	}
}
