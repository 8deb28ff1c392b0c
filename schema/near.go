package schema

import (
	"maps"
	"slices"
	"strings"
)

// Nearest returns the candidate that s was probably meant to be, or "" when none
// is near: at most a third of its letters may differ, or only in case.
func Nearest(s string, candidates []string) string {
	best, bestAt := "", len(s)/3+1
	if len(s) < 3 {
		bestAt = 1
	}
	for _, c := range candidates {
		d := distance(strings.ToLower(s), strings.ToLower(c))
		if d < bestAt || (d == bestAt && best == "" && d <= max(1, len(s)/3)) {
			best, bestAt = c, d
		}
	}
	return best
}

// meant returns `: did you mean X?` or nothing.
func meant(s string, candidates []string) string {
	if n := Nearest(s, candidates); n != "" {
		return ": did you mean " + n + "?"
	}
	return ""
}

// distance is how many letters must be added, dropped, changed or swapped with
// their neighbour to turn a into b.
func distance(a, b string) int {
	prev2, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
