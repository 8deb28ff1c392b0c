package api

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"berth/schema"
)

// The pages under /docs are plain HTML: no script, no style from elsewhere.
const docsHead = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title><style>
:root{color-scheme:light dark;--fg:light-dark(#17202a,#e6e9ee);--dim:light-dark(#5b6773,#98a2ad);--bg:light-dark(#fbfbfc,#12161b);--card:light-dark(#fff,#1a2027);--line:light-dark(#e1e5ea,#2a323b);--acc:light-dark(#0b6e99,#5cc3ee)}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);margin:0 auto;max-width:62rem;padding:2rem 1.2rem}
a{color:var(--acc);text-decoration:none}a:hover{text-decoration:underline}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--line);border-radius:8px}
td,th{text-align:left;vertical-align:top;padding:.4rem .8rem;border-top:1px solid var(--line)}tr:first-child>*{border-top:0}
th{font-weight:600;color:var(--dim);font-size:13px}.dim{color:var(--dim)}.tag{font-size:12px;border:1px solid var(--line);border-radius:99px;padding:0 .5rem}
</style></head><body>`

const docsIndexText = docsHead + `<h1>{{.Title}}</h1>
<p class="dim">Version {{.Version}} · <a href="/docs/openapi.json">OpenAPI 3.1</a> · <a href="/client/lib.d.ts">TypeScript client</a> · <a href="/docs/schema.json">schema of files</a></p>
<p>Post JSON to <code>/{group}/{Name}</code> with the headers <code>x-api-key</code> and <code>x-api-secret</code>; the body is the parameters, <code>{}</code> when there are none.
The form <code>POST /{group}</code> with <code>{"type": Name, "params": {…}}</code> is the same.</p>
<form action="/docs"><input name="q" type="search" value="{{.Query}}" placeholder="Search names and words" aria-label="Search"> <button>Search</button>{{if .Query}} <a href="/docs">All</a>{{end}}</form>
<p>Go to {{range .Groups}}<a href="#{{.ID}}">/{{.Group}}</a> · {{end}}<a href="#kinds">settings of resources</a></p>
{{range .Groups}}<h2 id="{{.ID}}">/{{.Group}}</h2><p class="dim">{{.Doc}}</p><table>{{range .Rows}}<tr id="{{.Name}}"><td><a href="/docs/{{.Group}}/{{.Name}}"><code>{{.Name}}</code></a></td><td>{{.Doc}}</td><td class="dim">{{.Needs}}</td></tr>{{end}}</table>{{else}}<p>No request has these words.</p>{{end}}
<h2 id="kinds">Settings of resources</h2><p>{{range .Kinds}}<a href="/docs/kinds/{{.}}"><code>{{.}}</code></a> {{end}}</p>
{{with .Document}}<script id="api-reference" type="application/json">{{.}}</script>{{end}}</body></html>`

const docsKindText = docsHead + `<p><a href="/docs">All requests</a></p><h1><code>{{.Title}}</code></h1>
<p>Settings, as they stand in <code>config</code> of the API and of <code>[[{{.Title}}]]</code> in TOML.</p>
{{define "fields"}}<table><tr><th>Name</th><th>Type</th><th>Default</th><th>Meaning</th></tr>{{range .}}<tr id="{{.Name}}"><td><a href="#{{.Name}}"><code>{{.Name}}</code></a>{{range .Aliases}}<br><span class="dim">{{.}}</span>{{end}}{{if .Required}}<br><span class="dim">required</span>{{end}}</td>
<td class="dim">{{.Type}}{{range .Enum}}<br><code>{{.}}</code>{{end}}{{with .Ref}}<br>a {{.}}{{end}}</td><td class="dim">{{with .Default}}<code>{{printf "%.60v" .}}</code>{{end}}</td>
<td>{{.Doc}}{{if .Own}} <span class="tag">Berth only</span>{{end}}{{with .Fields}}{{template "fields" .}}{{end}}{{range $type, $fields := .Variants}}<p><code>{{$type}}</code></p>{{template "fields" $fields}}{{end}}</td></tr>{{end}}</table>{{end}}
{{template "fields" .Fields}}</body></html>`

const docsRequestText = docsHead + `<p><a href="/docs">All requests</a></p><h1><code>{{.Row.Name}}</code></h1><p>{{.Row.Doc}}</p>
<p class="dim">Needs {{.Needs}}{{if .Row.Own}} · <span class="tag">Berth only</span>{{end}}{{if .Row.Aliases}} · also known as {{range .Row.Aliases}}<code>{{.}}</code> {{end}}{{end}}</p>
<h2>Parameters</h2>{{if .Row.Params}}<table><tr><th>Name</th><th>Type</th><th>Meaning</th></tr>
{{range .Row.Params}}<tr><td><code>{{.Name}}</code>{{if not .Required}} <span class="dim">optional</span>{{end}}</td><td class="dim">{{.Type}}</td><td>{{.Doc}}{{range .Enum}} <code>{{.}}</code>{{end}}{{with .Aliases}} <span class="dim">Also taken: {{range .}}<code>{{.}}</code> {{end}}</span>{{end}}</td></tr>{{end}}</table>{{else}}<p class="dim">None.</p>{{end}}
<h2>Example</h2><pre>{{.Curl}}</pre><h2>Answer</h2><pre>{{.Answer}}</pre></body></html>`

type docsGroup struct {
	Group   Group
	ID, Doc string
	Rows    []Row
}

// docsGroups are the rows that have all the words of a query, by group.
func (a *API) docsGroups(query string) []docsGroup {
	words := strings.Fields(strings.ToLower(query))
	var list []docsGroup
	for _, g := range groups() {
		x := docsGroup{Group: g, ID: strings.ReplaceAll(string(g), "/", "-"), Doc: g.describe()}
		for _, row := range a.table.rows {
			text := strings.ToLower(strings.Join(append([]string{row.Name, row.Doc, string(row.Group)}, row.Aliases...), " "))
			if row.Group == g && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
				x.Rows = append(x.Rows, row)
			}
		}
		if len(x.Rows) > 0 {
			list = append(list, x)
		}
	}
	return list
}

// docsIndex lists the requests. The whole document stands in the page as data, for
// programs that look for it there.
func (a *API) docsIndex(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query().Get("q")
	data := map[string]any{"Title": "Berth API", "Version": a.deps.Version, "Query": query, "Groups": a.docsGroups(query), "Document": nil}
	var kinds []string
	for _, k := range a.deps.Kinds.Kinds() {
		kinds = append(kinds, k.Name())
	}
	data["Kinds"] = kinds
	if query == "" {
		data["Document"] = a.document()
	}
	a.page(w, r, docsIndexText, data)
}

// docsKind shows the settings of a kind.
func (a *API) docsKind(w http.ResponseWriter, r *http.Request) {
	k, err := a.deps.Kinds.Kind(r.PathValue("name"))
	if err != nil {
		a.fail(w, r, schema.Errorf(schema.NotFound, "there is no kind %q: they are listed at /docs", cut(r.PathValue("name"), 80)))
		return
	}
	a.page(w, r, docsKindText, map[string]any{"Title": k.Name(), "Fields": k.Fields()})
}

func (a *API) docsRequest(w http.ResponseWriter, r *http.Request) {
	g := Group(r.PathValue("group"))
	if strings.HasPrefix(r.URL.Path, "/docs/auth/") {
		g = "auth/" + g
	}
	found, err := a.table.find(g, r.PathValue("name"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	s := newShapes()
	answer := inline(found.Result(s), s, 0)
	shape, err := indented(answer)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	example, err := json.Marshal(found.Example)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	curl := "curl -X POST $BERTH_HOST/" + string(g) + "/" + found.Name + " \\\n  -H 'content-type: application/json' \\\n" +
		"  -H \"x-api-key: $BERTH_KEY\" -H \"x-api-secret: $BERTH_SECRET\" \\\n  -d '" + string(example) + "'"
	a.page(w, r, docsRequestText, map[string]any{"Title": found.Name, "Row": *found, "Needs": needsText(found), "Curl": curl, "Answer": shape})
}

// inline turns a schema into something to read: members with their types.
func inline(shape any, s *shapes, depth int) any {
	m, _ := shape.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		if depth > 4 {
			return "…"
		}
		return inline(s.components[ref[strings.LastIndex(ref, "/")+1:]], s, depth+1)
	}
	switch m["type"] {
	case "object":
		props, _ := m["properties"].(map[string]any)
		out := map[string]any{}
		for k, v := range props {
			out[k] = inline(v, s, depth+1)
		}
		return out
	case "array":
		return []any{inline(m["items"], s, depth+1)}
	case nil:
		return inlineForms(m, s, depth)
	}
	return m["type"]
}

// inlineForms is what may be one thing or another, or anything.
func inlineForms(m map[string]any, s *shapes, depth int) any {
	for _, key := range []string{"anyOf", "oneOf"} {
		if forms, ok := m[key].([]any); ok && len(forms) > 0 {
			return inline(forms[0], s, depth+1)
		}
	}
	if c, ok := m["const"]; ok {
		return c
	}
	return "any"
}

func indented(v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return string(b), err
}

func (a *API) page(w http.ResponseWriter, r *http.Request, text string, data any) {
	t, err := template.New("docs").Parse(text)
	var b bytes.Buffer
	if err == nil {
		err = t.Execute(&b, data)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	_, _ = w.Write(b.Bytes())
}
