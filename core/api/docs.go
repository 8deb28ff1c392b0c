package api

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
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
<p class="dim">Version {{.Version}} · <a href="/docs/openapi.json">OpenAPI 3.1</a></p>
<p>Post JSON to <code>/{group}/{Name}</code> with the headers <code>x-api-key</code> and <code>x-api-secret</code>; the body is the parameters, <code>{}</code> when there are none.
The form <code>POST /{group}</code> with <code>{"type": Name, "params": {…}}</code> is the same.</p>
{{range .Groups}}<h2>/{{.Group}}</h2><table>{{range .Rows}}<tr><td><a href="/docs/{{.Group}}/{{.Name}}"><code>{{.Name}}</code></a></td><td>{{.Doc}}</td><td class="dim">{{.Needs}}</td></tr>{{end}}</table>{{end}}</body></html>`

const docsRequestText = docsHead + `<p><a href="/docs">All requests</a></p><h1><code>{{.Row.Name}}</code></h1><p>{{.Row.Doc}}</p>
<p class="dim">Needs {{.Row.Needs}}{{if .Row.Own}} · <span class="tag">Berth only</span>{{end}}{{if .Row.Aliases}} · also known as {{range .Row.Aliases}}<code>{{.}}</code> {{end}}{{end}}</p>
<h2>Parameters</h2>{{if .Row.Params}}<table><tr><th>Name</th><th>Type</th><th>Meaning</th></tr>
{{range .Row.Params}}<tr><td><code>{{.Name}}</code>{{if not .Required}} <span class="dim">optional</span>{{end}}</td><td class="dim">{{.Type}}</td><td>{{.Doc}}</td></tr>{{end}}</table>{{else}}<p class="dim">None.</p>{{end}}
<h2>Example</h2><pre>{{.Curl}}</pre><h2>Answer</h2><pre>{{.Answer}}</pre></body></html>`

type docsGroup struct {
	Group Group
	Rows  []Row
}

func (a *API) docsIndex(w http.ResponseWriter, r *http.Request) {
	var list []docsGroup
	for _, g := range groups() {
		x := docsGroup{Group: g}
		for _, row := range a.table.rows {
			if row.Group == g {
				x.Rows = append(x.Rows, row)
			}
		}
		list = append(list, x)
	}
	a.page(w, r, docsIndexText, map[string]any{"Title": "Berth API", "Version": a.deps.Version, "Groups": list})
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
	a.page(w, r, docsRequestText, map[string]any{"Title": found.Name, "Row": *found, "Curl": curl, "Answer": shape})
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
		return "any"
	}
	return m["type"]
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
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	_, _ = w.Write(b.Bytes())
}
