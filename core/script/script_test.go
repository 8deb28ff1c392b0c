package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// answers are given requests as a test wishes.
type answers func(ctx context.Context, group, request string, params json.RawMessage) (json.RawMessage, error)

func (f answers) Call(ctx context.Context, group, request string, params json.RawMessage) (json.RawMessage, error) {
	return f(ctx, group, request, params)
}

func none(_ context.Context, group, request string, _ json.RawMessage) (json.RawMessage, error) {
	return nil, schema.Errorf(schema.NotFound, "unknown %s request %q", group, request)
}

func runner() *Runner { return NewRunner(slog.New(slog.DiscardHandler)) }

// run runs a script and returns its output; lines of console.error begin with "! ".
func run(t *testing.T, source string, req Request) (string, error) {
	t.Helper()
	return runIn(t.Context(), runner(), source, req)
}

func runIn(ctx context.Context, r *Runner, source string, req Request) (string, error) {
	p, err := Compile(source)
	if err != nil {
		return "", err
	}
	if req.Caller == nil {
		req.Caller = answers(none)
	}
	var mu sync.Mutex
	var b strings.Builder
	req.Out = func(line string, errs bool) {
		mu.Lock()
		defer mu.Unlock()
		if errs {
			b.WriteString("! ")
		}
		b.WriteString(line + "\n")
	}
	err = r.Run(ctx, p, req)
	mu.Lock()
	defer mu.Unlock()
	return b.String(), err
}

func TestConsoleShowsValuesAsDenoDoes(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`console.log("text", 1, -0, 10n, true, null, undefined)`, "text 1 -0 10n true null undefined\n"},
		{`console.log({ a: 1, "b-c": "x", d: [1, "two"], e: {} })`, `{ a: 1, "b-c": "x", d: [ 1, "two" ], e: {} }` + "\n"},
		{`console.log([])`, "[]\n"},
		{`console.log([,1,,,2])`, "[ <1 empty item>, 1, <2 empty items>, 2 ]\n"},
		{`console.log({a:{b:{c:{d:{e:{f:1}}}}}})`, "{ a: { b: { c: { d: { e: [Object] } } } } }\n"},
		{`const o: any = { n: 1 }; o.me = o; console.log(o)`, "<ref *1> { n: 1, me: [Circular *1] }\n"},
		{`console.log(new Map([["a", 1]]), new Set([1, 2]))`, `Map(1) { "a" => 1 } Set(2) { 1, 2 }` + "\n"},
		{`class Point { x = 1; #y = 2 }; console.log(new Point(), Point, () => 1, function f() {})`, "Point { x: 1 } [class Point] [Function (anonymous)] [Function: f]\n"},
		{`console.log(new Date(0), /a+/g, Symbol("s"))`, "1970-01-01T00:00:00.000Z /a+/g Symbol(s)\n"},
		{`console.log("%s is %d of %i, %o %%", "x", 1.5, 2.7, {a: 1}, "rest")`, "x is 1.5 of 2, { a: 1 } % rest\n"},
		{`console.log("a\nb")`, "a\nb\n"},
		{`console.error("bad"); console.warn("so so"); console.info("i"); console.debug("d")`, "! bad\n! so so\ni\nd\n"},
		{`console.group("g"); console.log("in"); console.groupEnd(); console.log("out")`, "g\n    in\nout\n"},
		{`console.log(new Uint8Array([1,2]), { get x() { throw 1 } })`, "Uint8Array(2) [ 1, 2 ] { x: [Getter] }\n"},
		{`console.log(Object.create(null), ["it's", 'say "hi"'])`, "[Object: null prototype] {} [ \"it's\", 'say \"hi\"' ]\n"},
		{`console.table([{ a: 1, b: "x" }, { a: 2 }])`, "┌───────┬───┬─────┐\n│ (idx) │ a │ b   │\n├───────┼───┼─────┤\n│ 0     │ 1 │ \"x\" │\n│ 1     │ 2 │     │\n└───────┴───┴─────┘\n"},
		{`console.count(); console.count(); console.assert(false, "no"); console.dir({a: 1})`, "default: 1\ndefault: 2\n! Assertion failed: no\n{ a: 1 }\n"},
		{`console.log(Array.from({length: 101}, (_, i) => i).length, "x".repeat(3))`, "101 xxx\n"},
	} {
		got, err := run(t, c.source, Request{})
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.source, diff)
		}
	}
}

func TestLanguage(t *testing.T) {
	for name, source := range map[string]string{
		"types":             `interface A { n: number }; enum E { X = 3 }; const a = { n: 1 } satisfies A; if ((a as A).n + E.X !== 4) throw 1`,
		"top level await":   `const v = await Promise.resolve(1); if (v !== 1) throw 1`,
		"sleep":             `await new Promise((r) => setTimeout(r, 5)); await sleep(1)`,
		"interval":          `let n = 0; await new Promise<void>((r) => { const i = setInterval(() => { if (++n === 3) { clearInterval(i); r() } }, 1) })`,
		"for await":         `async function* g() { yield 1; yield 2 }; let n = 0; for await (const v of g()) n += v; if (n !== 3) throw n`,
		"modern":            `const o: any = { a: null }; o.a ??= 2; o.b ||= 3; if (o.a + o?.b + (o.x?.y ?? 1) !== 6) throw 1`,
		"class":             `class A { static n = 1; #p = 2; get p() { return this.#p } static { A.n = 5 } }; if (new A().p + A.n !== 7) throw 1`,
		"spread":            `const [a, ...b] = [1, 2, 3]; const { x, ...y } = { x: 1, z: 2 }; if (b.length + y.z !== 4) throw 1`,
		"all settled":       `const r = await Promise.allSettled([Promise.reject(1), 2]); if (r[0].status !== "rejected") throw 1`,
		"labels":            `outer: for (;;) { for (;;) break outer }`,
		"using":             `let d = 0; { using x = { [Symbol.dispose]() { d = 1 } } } if (d !== 1) throw d`,
		"exports":           `export const a = 1; export default function f() {}`,
		"client import":     `import { KomodoClient, Types } from "npm:komodo_client@2"; const k = KomodoClient("http://x", { type: "jwt", params: { jwt: "" } }); if (k !== komodo || Types.UpdateStatus.Complete !== "Complete") throw 1`,
		"type import":       `import type { Foo } from "https://example.com/x.ts"; import { Bar } from "other"; let f: Foo | Bar | undefined; void f`,
		"yaml import":       `import * as YAML2 from "jsr:@std/yaml"; if ((YAML2.parse("a: [1]") as any).a[0] !== 1) throw 1`,
		"formats":           `if (YAML.parse("a: 1").a + TOML.parse("b = 2").b !== 3 || TOML.stringify({ c: 1 }).trim() !== "c = 1") throw 1`,
		"handled rejection": `const p = Promise.reject(new Error("x")); await 0; try { await p } catch {}`,
		"generator":         `function* g() { yield* [1, 2] } if ([...g()].length !== 2) throw 1`,
		"regexp":            `if ("2024-01".match(/(?<y>\d+)-(\d+)/)!.groups!.y !== "2024") throw 1; if (!/(?<=a)b/.test("ab")) throw 2`,
		"bigint":            `if (2n ** 64n !== 18446744073709551616n) throw 1`,
		"clone":             `const a = structuredClone({ b: [1] }); if (a.b[0] !== 1) throw 1`,
		"strings":           `if ("abc".at(-1) !== "c" || "a-b".replaceAll("-", "+") !== "a+b") throw 1`,
		"subclassed buffer": `class B extends Uint8Array {}; const b = new B(3); if (!(b instanceof B) || b.length !== 3) throw 1`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, source, Request{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"syntax", "const a = 1;\nconst b = ;\n", `line 2:11: Unexpected ";"`},
		{"throw", "interface X {\n  a: number\n}\nfunction f() {\n  throw new Error(\"boom\");\n}\nf();", "line 5: Error: boom"},
		{"after await", "await sleep(1);\n\nawait sleep(1);\nnull!.x;", "line 4: TypeError: Cannot read property 'x' of"},
		{"reference", "\nfoo();", "line 2: ReferenceError: foo is not defined"},
		{"rejection", "\n\nPromise.reject(new Error(\"lost\"));\nawait sleep(1000);", "line 3: Error: lost"},
		{"timer", "setTimeout(() => {\n  throw new TypeError(\"late\");\n}, 1);", "line 2: TypeError: late"},
		{"value", `throw { status: 1 }`, `the script has thrown {"status":1}`},
		{"recursion", "\nfunction f() { f() }\nf()", "too many calls within calls"},
		{"recursion in a builtin", "\nfunction f() { [1].map(f) }\nf()", "too many calls within calls"},
		{"never", "await new Promise(() => {})", "awaits something that never comes"},
		{"import", "\nimport x from \"https://deno.land/x.ts\";\nconsole.log(x)", `line 2:15: import of "https://deno.land/x.ts": actions have no network`},
		{"dynamic import", "const m = \"x\";\nawait import(m)", "actions load no modules"},
		{"file import", `import x from "/etc/passwd"; console.log(x)`, "nothing can be imported"},
		{"fetch", "\nawait fetch(\"http://x\")", "line 2: NotAvailable: fetch is not available: actions have no network"},
		{"deno", "console.log(1);\nDeno.env.get(\"HOME\")", "line 2: NotAvailable: Deno.env is not available: actions have no file system"},
		{"process", `process.env.HOME`, "process.env is not available"},
		{"require", `const r = require; r("fs")`, "require is not available"},
		{"require of a text", `require("fs")`, `import of "fs"`},
		{"eval", `(0, eval)("1")`, "eval is not available"},
		{"function", `new Function("return 1")()`, "Function is not available"},
		{"hidden function", `(() => {}).constructor("return 1")`, "Function is not available"},
		{"request", "\n\nawait komodo.read(\"GetX\", {})", `line 3: Error: GetX: unknown read request "GetX"`},
		{"terminal", `await komodo.execute_terminal({} as any)`, "execute_terminal is not available in an action"},
		{"long text", `"x".repeat(1e9)`, "larger than the 64 Mi"},
		{"buffer", `new ArrayBuffer(1e12)`, "larger than the 64 Mi"},
		{"array", `new Float64Array(1e10)`, "larger than the 64 Mi"},
		{"buffer by its prototype", `new (new ArrayBuffer(1).constructor as any)(1e12)`, "larger than the 64 Mi"},
		{"deep json", `JSON.parse("[".repeat(1e6))`, "nested deeper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := run(t, c.source, Request{})
			if err == nil || !strings.Contains(schema.SafeText(err), c.want) {
				t.Errorf("have %v, want %q", err, c.want)
			}
		})
	}
}

func TestRequestsGoThroughTheCaller(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	polls := 0
	call := answers(func(_ context.Context, group, request string, params json.RawMessage) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, group+" "+request+" "+string(params))
		switch request {
		case "ListStacks":
			return json.RawMessage(`[{"name":"web"}]`), nil
		case "DeployStack":
			return json.RawMessage(`{"_id":{"$oid":"1"},"status":"Queued"}`), nil
		case "GetUpdate":
			if polls++; polls < 3 {
				return json.RawMessage(`{"status":"InProgress"}`), nil
			}
			return json.RawMessage(`{"_id":{"$oid":"1"},"status":"Complete","success":true}`), nil
		}
		return nil, schema.Errorf(schema.Denied, "may not")
	})
	got, err := run(t, `
const stacks = await komodo.read("ListStacks", {});
const update = await komodo.execute_and_poll("DeployStack", { stack: stacks[0].name });
console.log(update.success, ARGS.a.b);
try { await komodo.write("DeleteStack", { id: "x" }) } catch (e) { console.log(e.status, e.result.error, e instanceof Error) }
`, Request{Caller: call, Args: json.RawMessage(`{"a":{"b":[1]}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if want := "true [ 1 ]\n403 may not true\n"; got != want {
		t.Errorf("have %q, want %q", got, want)
	}
	if want := []string{
		`read ListStacks {}`, `execute DeployStack {"stack":"web"}`, `read GetUpdate {"id":"1"}`, `read GetUpdate {"id":"1"}`,
		`read GetUpdate {"id":"1"}`, `write DeleteStack {"id":"x"}`,
	}; !cmp.Equal(asked, want) {
		t.Error(cmp.Diff(want, asked))
	}
}

func TestCancelEndsAtOnce(t *testing.T) {
	for name, source := range map[string]string{
		"loop":       `console.log("go"); while (true) {}`,
		"sleep":      `console.log("go"); await sleep(1e6)`,
		"caught":     `console.log("go"); for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }`,
		"request":    `console.log("go"); await komodo.read("Wait", {})`,
		"microtasks": `console.log("go"); const f = () => Promise.resolve().then(f); f()`,
		"getter":     `console.log("go"); console.log({ [Symbol.toStringTag]: "x", toString() { for (;;) {} } } + "")`,
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := schema.Errorf(schema.Canceled, "canceled by somebody")
			p, err := Compile(source)
			if err != nil {
				t.Fatal(err)
			}
			wait := answers(func(ctx context.Context, _, _ string, _ json.RawMessage) (json.RawMessage, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			began := time.Now()
			err = runner().Run(ctx, p, Request{Caller: wait, Out: func(string, bool) { began = time.Now(); cancel(cause) }})
			if !errors.Is(err, cause) {
				t.Errorf("have %v, want %v", err, cause)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("took %s", took)
			}
			for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			if n := runtime.NumGoroutine(); n > before {
				t.Errorf("%d goroutines are left behind", n-before)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	_, err := run(t, `while (true) {}`, Request{Limits: Limits{Time: 50 * time.Millisecond}})
	if schema.CodeOf(err) != schema.Expired || !strings.Contains(err.Error(), "50ms") {
		t.Errorf("time: %v", err)
	}
	for name, source := range map[string]string{
		"objects": `const all = []; for (;;) all.push({ a: [1, 2, 3] })`,
		"text":    `let s = "x"; for (;;) s += s + "y"`,
		"buffers": `const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1))`,
	} {
		_, err := run(t, source, Request{Limits: Limits{Memory: 64 << 20}})
		if schema.CodeOf(err) != schema.TooLarge || !strings.Contains(err.Error(), "64 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is garbage does not count.
	if _, err := run(t, `for (let i = 0; i < 200; i++) new Uint8Array(1 << 20)`, Request{Limits: Limits{Memory: 64 << 20}}); err != nil {
		t.Errorf("garbage: %v", err)
	}
}

// What a builtin would do for ever is refused, or given up, with a word: nothing is
// left behind that keeps later scripts from beginning.
func TestBuiltinsAreBounded(t *testing.T) {
	r := runner()
	for name, source := range map[string]string{
		"regexp test":       `/^(?=a)(a+)+$/.test("a".repeat(40) + "b")`,
		"regexp replace":    `("a".repeat(40) + "b").replace(/^(?=a)(a+)+$/, "")`,
		"sparse array":      `new Array(2 ** 32 - 1).forEach(() => {})`,
		"array-like":        `Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)`,
		"sparse sort":       `const a: any[] = []; a[2 ** 31] = 1; a.sort()`,
		"sort of texts":     `new Array(1 << 20).fill("x").sort()`,
		"spread":            `[...new Array(2 ** 32 - 1)]`,
		"for of":            `for (const x of new Array(2 ** 32 - 1)) {}`,
		"set":               `new Set(new Array(2 ** 32 - 1))`,
		"letters":           `[..."x".repeat(1 << 26)]`,
		"split":             `"x".repeat(1 << 26).split("")`,
		"join":              `new Array(1000).fill("x".repeat(1 << 26)).join("")`,
		"text concat":       `const s = "x".repeat(1 << 26); s.concat(s, s, s)`,
		"replaceAll":        `"x".repeat(1 << 20).replaceAll("x", "y".repeat(1 << 20))`,
		"replace by itself": `"x".repeat(1 << 20).replace(/x/g, "$'")`,
		"shared JSON":       `let a: any = [1]; for (let i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a)`,
		"shared clone":      `let a: any = [1]; for (let i = 0; i < 40; i++) a = [a, a]; structuredClone(a)`,
		"long JSON":         `JSON.stringify(new Array(1000).fill("x".repeat(1 << 26)))`,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(source)
			if err != nil {
				t.Fatal(err)
			}
			// The limit of time is not what ends it: how long it takes is the machine's.
			err = r.Run(t.Context(), p, Request{Caller: answers(none), Out: func(string, bool) {}, Limits: Limits{Time: 5 * time.Minute}})
			if schema.CodeOf(err) != schema.Failed || !strings.Contains(schema.SafeText(err), "RangeError") {
				t.Errorf("%v", err)
			}
			if n := r.stray.Load(); n > 0 {
				t.Errorf("%d interpreters are left behind", n)
			}
		})
	}
}

// What honest scripts do with the bounded builtins works as ever.
func TestBoundedBuiltinsWork(t *testing.T) {
	got, err := run(t, `
const a = [3, 1, 2];
console.log(a.toString(), [...a].sort().join(), a.sort((x, y) => y - x).join("-"), a.concat([4], 5).length, a.indexOf(1));
console.log("a,b".split(","), [..."äb"].length, "x-y-z".replaceAll("-", "+"), "x1y2".replace(/\d/g, "[$&]"), "ab".concat("c", "d"));
console.log(/(\w)(?=!)/.exec("a!")[1], "a!b!".match(/\w(?=!)/g).length, /x/.test("x"), "a1b".split(/\d/).join(), [..."a1b2".matchAll(/\d/g)].length);
console.log(JSON.stringify({ a: [1, { b: undefined }], d: new Date(0) }), JSON.stringify([1], null, 1), JSON.stringify(undefined));
const { x, ...rest } = { x: 1, y: 2 }; const [first, ...more] = a;
console.log(rest, first, more, Math.max(...a), Array.from("abc"), Array.from({ length: 2 }, (_, i) => i), new Map([[1, 2]]).get(1));
try { const c: any = {}; c.c = c; JSON.stringify(c); } catch (e) { console.log(e.name); }
`, Request{Caller: answers(none)})
	want := `3,1,2 1,2,3 3-2-1 5 2
[ "a", "b" ] 2 x+y+z x[1]y[2] abcd
a 2 true a,b 2
{"a":[1,{}],"d":"1970-01-01T00:00:00.000Z"} [
 1
] undefined
{ y: 2 } 3 [ 2, 1 ] 3 [ "a", "b", "c" ] [ 0, 1 ] 2
TypeError
`
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
}

func TestCallsAreBounded(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	call := answers(func(context.Context, string, string, json.RawMessage) (json.RawMessage, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		now--
		mu.Unlock()
		return json.RawMessage(`1`), nil
	})
	got, err := run(t, `const all = await Promise.all(Array.from({ length: 200 }, () => komodo.read("X", {}))); console.log(all.length)`,
		Request{Caller: call, Limits: Limits{Calls: 4}})
	if err != nil || got != "200\n" || most > 4 {
		t.Errorf("have %q, %d at once, %v", got, most, err)
	}
}

func TestScriptsDoNotSeeEachOther(t *testing.T) {
	r := runner()
	p, err := Compile(`const g = globalThis as any; if (g.mark || (Array.prototype as any).mark) throw new Error("seen"); g.mark = 1; (Array.prototype as any).mark = 1; console.log(ARGS.n)`)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			got := ""
			err := r.Run(t.Context(), p, Request{Caller: answers(none), Args: fmt.Appendf(nil, `{"n":%d}`, i), Out: func(l string, _ bool) { got += l }})
			if err != nil || got != fmt.Sprint(i) {
				t.Errorf("script %d: %q, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		format, text, want string
	}{
		{"key_value", "A = 1\n# no\nB: two # rest\n", `{"A":"1","B":"two"}`},
		{"", "", `{}`},
		{"toml", "a = 1\n[b]\nc = [true, 2024-01-02]\n", `{"a":1,"b":{"c":[true,"2024-01-02"]}}`},
		{"yaml", "a: 1\nb:\n  c: [x, null]\n1: z\n", `{"1":"z","a":1,"b":{"c":["x",null]}}`},
		{"yaml", "", `{}`},
		{"json", `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{"json", " \n", `{}`},
	} {
		got, err := Arguments(c.format, c.text)
		b, _ := json.Marshal(got)
		if err != nil || string(b) != c.want {
			t.Errorf("%s %q: %s, %v", c.format, c.text, b, err)
		}
	}
	for _, c := range []struct{ format, text, want string }{
		{"key_value", "A = 1\nnothing", "line 2"},
		{"toml", "a = \n", "line 1"},
		{"yaml", "a: 1\n b: 2\n", "line "},
		{"yaml", "- 1\n", "object at the root"},
		{"json", "[1]", "object at the root"},
		{"json", "{", "JSON"},
		{"xml", "", "arguments_format"},
	} {
		if _, err := Arguments(c.format, c.text); schema.CodeOf(err) != schema.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v", c.format, c.text, err)
		}
	}
}

func TestMergeKeepsBothSides(t *testing.T) {
	base := map[string]any{"a": 1.0, "l": []any{1.0}, "o": map[string]any{"x": 1.0, "y": 1.0}}
	over := map[string]any{"a": 2.0, "l": []any{2.0}, "o": map[string]any{"y": 2.0}, "n": nil}
	got := Merge(base, over)
	want := map[string]any{"a": 2.0, "l": []any{1.0, 2.0}, "o": map[string]any{"x": 1.0, "y": 2.0}, "n": nil}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if len(base["l"].([]any)) != 1 || base["o"].(map[string]any)["y"] != 1.0 {
		t.Error("the base was changed")
	}
}

func TestStarterRuns(t *testing.T) {
	got, err := run(t, Starter, Request{Caller: answers(func(context.Context, string, string, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`[{"name":"web","info":{"state":"running"}}]`), nil
	})})
	if err != nil || got != "web is running\n" {
		t.Errorf("have %q, %v", got, err)
	}
}
