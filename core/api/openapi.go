package api

import (
	"net/http"
	"reflect"
	"strings"

	"berth/core/access"
)

// document is the OpenAPI 3.1 document of the table, in the path form.
func (a *API) document() map[string]any {
	s := newShapes()
	failure := s.of(reflect.TypeFor[problem]())
	paths := map[string]any{
		"/user":    map[string]any{"get": plainGet("user", "Say who is calling.", jsonContent(s.of(reflect.TypeFor[user]()), nil), false)},
		"/version": map[string]any{"get": plainGet("version", "Say which version this is, as text.", map[string]any{"text/plain": map[string]any{"schema": typeShape("string")}}, true)},
	}
	for i := range a.table.rows {
		r := &a.table.rows[i]
		paths["/"+string(r.Group)+"/"+r.Name] = map[string]any{"post": operationOf(r, s)}
	}
	var tags []any
	for _, g := range groups() {
		tags = append(tags, map[string]any{"name": string(g), "description": g.describe()})
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Berth", "version": a.deps.Version,
			"description": "Every request is also served in the body form: POST /{group} with {\"type\": name, \"params\": {…}}. Where a resource is named, its name and its id are both taken.",
		},
		"servers":  []any{map[string]any{"url": "/"}},
		"tags":     tags,
		"paths":    paths,
		"security": []any{map[string]any{"key": []string{}, "secret": []string{}}, map[string]any{"bearer": []string{}}, map[string]any{"token": []string{}}},
		"components": map[string]any{
			"schemas":   s.components,
			"responses": failures(failure),
			"securitySchemes": map[string]any{
				"key":    map[string]any{"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key, with its secret."},
				"secret": map[string]any{"type": "apiKey", "in": "header", "name": "x-api-secret"},
				"bearer": map[string]any{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
				"token":  map[string]any{"type": "apiKey", "in": "header", "name": "authorization", "description": "The token of LoginLocalUser as it is."},
			},
		},
	}
}

// describe says what belongs to a group.
func (g Group) describe() string {
	switch g {
	case GroupRead:
		return "Requests that change nothing."
	case GroupWrite:
		return "Requests that change what is declared."
	case GroupExecute:
		return "Requests that make something happen; most answer the Update of the run they started."
	case GroupLogin:
		return "Requests of those who are not signed in yet."
	default:
		return "One's own account."
	}
}

// operationOf is a row as an operation.
func operationOf(r *Row, s *shapes) map[string]any {
	op := map[string]any{
		"operationId": strings.ReplaceAll(string(r.Group), "/", "_") + "_" + r.Name, "summary": r.Doc, "tags": []string{string(r.Group)},
		"description": describeRow(r),
		"requestBody": map[string]any{"required": true, "content": jsonContent(s.paramShapes(r.Params), r.Example)},
	}
	responses := map[string]any{"200": map[string]any{"description": "The answer.", "content": jsonContent(r.Result(s), nil)}}
	for status, name := range failureNames() {
		if r.Needs == access.Public && (name == "Denied" || name == "Unauthenticated" && r.Group != GroupLogin) {
			continue
		}
		responses[status] = map[string]any{"$ref": "#/components/responses/" + name}
	}
	op["responses"] = responses
	if r.Needs == access.Public {
		op["security"] = []any{}
	}
	return op
}

// describeRow says what a request needs, and how else it is called.
func describeRow(r *Row) string {
	text := "Needs " + needsText(r) + "."
	if len(r.Aliases) > 0 {
		text += " Also known as " + strings.Join(r.Aliases, ", ") + "."
	}
	if r.Own {
		text += " Berth's own."
	}
	return text
}

// needsText is what a request needs, in words.
func needsText(r *Row) string {
	switch r.Needs {
	case access.Public:
		return "nobody to be signed in"
	case access.AnyUser:
		return "any user"
	case access.IsAdmin:
		return "an administrator"
	default: // a level on a resource
	}
	text := string(r.Needs)
	if r.Also != "" {
		text += " and " + string(r.Also)
	}
	if r.Kind != "" {
		text += " on the " + strings.ReplaceAll(r.Kind, "_", " ")
	}
	return text
}

// failureNames are the components of failures by status.
func failureNames() map[string]string {
	return map[string]string{
		"400": "BadRequest", "401": "Unauthenticated", "403": "Denied", "404": "NotFound", "409": "Conflict", "413": "TooLarge",
		"415": "MediaType", "422": "Invalid", "429": "TooMany", "default": "Failed",
	}
}

func failures(shape any) map[string]any {
	out := map[string]any{}
	for name, text := range map[string]string{
		"BadRequest": "The body is not JSON.", "Unauthenticated": "The credentials are missing or wrong.", "Denied": "Who asks may not.",
		"NotFound": "There is no such request or resource; the nearest name is suggested.", "Conflict": "The name is in use, or others refer to it.",
		"TooLarge": "The body or the answer is too large.", "MediaType": "The content-type is not application/json.",
		"Invalid": "A parameter is missing or wrong.", "TooMany": "Too many failed attempts from this address.", "Failed": "Something else went wrong.",
	} {
		out[name] = map[string]any{"description": text, "content": jsonContent(shape, nil)}
	}
	return out
}

// plainGet is one of the few things that are not requests of the table.
func plainGet(id, doc string, content map[string]any, public bool) map[string]any {
	op := map[string]any{
		"operationId": id, "summary": doc,
		"responses": map[string]any{
			"200":     map[string]any{"description": "The answer.", "content": content},
			"default": map[string]any{"$ref": "#/components/responses/Failed"},
		},
	}
	if public {
		op["security"] = []any{}
	}
	return op
}

func jsonContent(shape, example any) map[string]any {
	c := map[string]any{"schema": shape}
	if example != nil {
		c["example"] = example
	}
	return map[string]any{"application/json": c}
}

func (a *API) openAPI(w http.ResponseWriter, r *http.Request) { a.answer(w, r, a.document()) }
