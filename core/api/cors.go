package api

import (
	"net/http"
	"slices"
)

// CORS is which pages of other origins a browser lets call core. None is allowed
// without it.
type CORS struct {
	Origins     []string // as https://example.com; * is any
	Credentials bool     // cookies may be sent along, by the origins that are named
}

// allow writes what a browser asks to know. A request before the request is
// answered here, with the methods and headers it asks for; then it returns true.
func (c CORS) allow(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if len(c.Origins) == 0 || origin == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	anybody := slices.Contains(c.Origins, "*")
	if !anybody && !slices.Contains(c.Origins, origin) {
		return false
	}
	if anybody { // and nobody's cookies: browsers refuse the two together
		origin = "*"
	} else if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Origin", origin)
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", method)
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusOK)
	return true
}
