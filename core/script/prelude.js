// What every interpreter holds before the script. It keeps the builtins it needs
// for itself: a script that changes them changes only itself.
(function (native, argsText, typesText, maxText) {
  "use strict";
  const O = Object, A = Array, J = { parse: JSON.parse, stringify: JSON.stringify };
  const { keys, getOwnPropertyNames, getOwnPropertyDescriptor, getPrototypeOf, defineProperty } = O;
  const { ownKeys, apply, construct } = Reflect;
  const Err = Error, TypeErr = TypeError, RangeErr = RangeError, SyntaxErr = SyntaxError;
  const Prom = Promise, M = Map, S = Set, D = Date, Str = String, Num = Number, Rx = RegExp, Sym = Symbol, F = Function;
  const isArray = A.isArray, isInt = Num.isInteger;
  const tag = O.prototype.toString;
  const own = (o, k) => apply(O.prototype.hasOwnProperty, o, [k]);
  const text = (v) => (typeof v === "symbol" ? apply(Sym.prototype.toString, v, []) : `${v}`);
  const hidden = (o, k, value) => defineProperty(o, k, { value, writable: true, enumerable: false, configurable: true });
  const global = globalThis;

  for (const k of ["dispose", "asyncDispose"]) {
    if (!Sym[k]) defineProperty(Sym, k, { value: Sym(`Symbol.${k}`) });
  }

  // ---- showing values ------------------------------------------------------

  const width = 80, depthOf = 4, items = 100, longText = 10000;

  const quote = (s) => {
    const cut = s.length > longText ? s.slice(0, longText) : s;
    const more = s.length > longText ? `... ${s.length - longText} more characters` : "";
    const q = !cut.includes('"') ? '"' : !cut.includes("'") ? "'" : !cut.includes("`") && !cut.includes("\n") ? "`" : '"';
    let out = "";
    for (const c of cut) {
      if (c === q || c === "\\") out += "\\" + c;
      else if (c === "\n") out += "\\n";
      else if (c === "\r") out += "\\r";
      else if (c === "\t") out += "\\t";
      else if (c < " ") out += "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0");
      else out += c;
    }
    return q + out + q + more;
  };

  const nameOfKey = (k) => (typeof k === "symbol" ? `[${text(k)}]` : /^[A-Za-z_$][\w$]*$/.test(k) ? k : quote(k));

  const className = (v) => {
    for (let p = getPrototypeOf(v); p; p = getPrototypeOf(p)) {
      const d = getOwnPropertyDescriptor(p, "constructor");
      if (d && typeof d.value === "function" && d.value.name) return d.value.name;
    }
    return null;
  };

  const errorText = (e, ctx, level) => {
    const data = (k) => { const d = getOwnPropertyDescriptor(e, k); return d && "value" in d ? d.value : undefined; };
    let out = data("stack");
    if (typeof out !== "string" || out === "") out = `${e.name}: ${e.message}`;
    out = out.split("\n").filter((l, i) => i === 0 || !/\((berth|native)\b|\bnative\)?$/.test(l))
      .map((l) => l.replace(/^\tat /, "    at ").replace(/\(\d+\)(\)?)$/, "$1")).join("\n").trimEnd();
    const extra = keys(e).filter((k) => k !== "stack" && k !== "message" && k !== "name" && k !== "cause");
    if (extra.length > 0 && level < ctx.depth) {
      out += " " + group("{", "}", extra.map((k) => `${nameOfKey(k)}: ${property(e, k, ctx, level + 1)}`), level);
    }
    if (data("cause") !== undefined) out += "\nCaused by " + show(data("cause"), ctx, level + 1);
    return out;
  };

  const property = (o, k, ctx, level) => {
    const d = getOwnPropertyDescriptor(o, k);
    if (!d) return "undefined";
    if (d.get) return d.set ? "[Getter/Setter]" : "[Getter]";
    if (d.set) return "[Setter]";
    return show(d.value, ctx, level);
  };

  const group = (open, close, parts, level) => {
    if (parts.length === 0) return open.trimStart() + close;
    let total = open.length + close.length + level * 2;
    let broken = false;
    for (const p of parts) {
      total += p.length + 2;
      broken = broken || p.includes("\n");
    }
    if (!broken && total <= width - 4) return `${open} ${parts.join(", ")} ${close}`;
    const pad = "  ".repeat(level + 1);
    if (open.endsWith("[") && parts.length > 6 && parts.every((p) => p.length <= 12 && !p.includes("\n"))) {
      const w = parts.reduce((a, p) => (p.length > a ? p.length : a), 0) + 2;
      const per = Math.max(1, Math.min(16, Math.floor(72 / w)));
      const lines = [];
      for (let i = 0; i < parts.length; i += per) {
        lines.push(pad + parts.slice(i, i + per).map((p, j) => (i + j + 1 < parts.length ? p + "," : p).padEnd(w)).join("").trimEnd());
      }
      return `${open}\n${lines.join("\n")}\n${"  ".repeat(level)}${close}`;
    }
    return `${open}\n${parts.map((p) => pad + p).join(",\n")}\n${"  ".repeat(level)}${close}`;
  };

  const show = (v, ctx, level) => {
    switch (typeof v) {
      case "string": return quote(v);
      case "number": return v === 0 && 1 / v < 0 ? "-0" : `${v}`;
      case "bigint": return `${v}n`;
      case "symbol": return text(v);
      case "undefined": case "boolean": return `${v}`;
      case "function": {
        const d = getOwnPropertyDescriptor(v, "name");
        const n = d && typeof d.value === "string" ? d.value : "";
        const kind = apply(F.prototype.toString, v, []).startsWith("class") ? "class" : tag.call(v).slice(8, -1);
        return kind === "class" ? `[class ${n || "(anonymous)"}]` : `[${kind}${n ? ": " + n : " (anonymous)"}]`;
      }
    }
    if (v === null) return "null";
    if (ctx.seen.includes(v)) {
      if (!ctx.circular.includes(v)) ctx.circular.push(v);
      return `[Circular *${ctx.circular.indexOf(v) + 1}]`;
    }
    ctx.seen.push(v);
    let out;
    try {
      out = object(v, ctx, level);
    } catch (e) {
      out = `[${className(v) || "Object"}: cannot be shown]`;
    }
    ctx.seen.pop();
    const ref = ctx.circular.indexOf(v);
    return ref >= 0 ? `<ref *${ref + 1}> ${out}` : out;
  };

  const object = (v, ctx, level) => {
    const kind = tag.call(v).slice(8, -1);
    if (v instanceof Err || kind === "Error") return errorText(v, ctx, level);
    if (v instanceof D) return Num.isNaN(+v) ? "Invalid Date" : v.toISOString();
    if (v instanceof Rx) return `${v}`;
    if (v instanceof Num || v instanceof Str || v instanceof Boolean) return `[${kind}: ${show(v.valueOf(), ctx, level)}]`;
    const cls = className(v);
    if (level > ctx.depth) return isArray(v) ? "[Array]" : `[${cls || "Object: null prototype"}]`;
    const named = (skip) => ownKeys(v).filter((k) => {
      const d = getOwnPropertyDescriptor(v, k);
      return d && d.enumerable && !(skip && skip(k));
    });
    const props = (list) => list.map((k) => `${nameOfKey(k)}: ${property(v, k, ctx, level + 1)}`);
    const more = (n) => (n > 0 ? [`... ${n} more item${n > 1 ? "s" : ""}`] : []);
    if (isArray(v)) {
      const parts = [];
      let at = 0;
      while (at < v.length && parts.length < items) {
        if (own(v, at)) { parts.push(property(v, at, ctx, level + 1)); at++; continue; }
        const from = at;
        if (v.length - at > 100000) at = v.length;
        while (at < v.length && !own(v, at)) at++;
        parts.push(`<${at - from} empty item${at - from > 1 ? "s" : ""}>`);
      }
      const rest = named((k) => typeof k === "string" && /^\d+$/.test(k));
      return group((cls && cls !== "Array" ? `${cls}(${v.length}) ` : "") + "[", "]", [...parts, ...more(v.length - at), ...props(rest)], level);
    }
    if (v instanceof M || v instanceof S) {
      const parts = [];
      const isMap = v instanceof M;
      apply((isMap ? M : S).prototype.forEach, v, [(value, key) => {
        if (parts.length < items) parts.push(isMap ? `${show(key, ctx, level + 1)} => ${show(value, ctx, level + 1)}` : show(value, ctx, level + 1));
      }]);
      return group(`${cls}(${v.size}) {`, "}", [...parts, ...more(v.size - parts.length), ...props(named())], level);
    }
    if (ArrayBuffer.isView(v) && kind !== "DataView") {
      const parts = [];
      for (let i = 0; i < v.length && i < items; i++) parts.push(`${v[i]}`);
      return group(`${cls}(${v.length}) [`, "]", [...parts, ...more(v.length - parts.length)], level);
    }
    if (v instanceof ArrayBuffer) return `ArrayBuffer { byteLength: ${v.byteLength} }`;
    if (v instanceof Prom) return "Promise { … }";
    if (v instanceof WeakMap || v instanceof WeakSet) return `${cls} { <items unknown> }`;
    const list = named();
    const parts = props(list.slice(0, items));
    const prefix = cls === null ? "[Object: null prototype] " : cls !== "Object" ? cls + " " : kind !== "Object" ? `Object [${kind}] ` : "";
    return group(prefix + "{", "}", [...parts, ...more(list.length - parts.length)], level);
  };

  const inspect = (v, depth = depthOf) => show(v, { seen: [], circular: [], depth }, 0);

  const format = (args) => {
    if (args.length === 0) return "";
    let out = [], at = 0;
    if (typeof args[0] === "string") {
      at = 1;
      out.push(args.length === 1 ? args[0] : args[0].replace(/%([sdifjoOc%])/g, (all, how) => {
        if (how === "%") return "%";
        if (at >= args.length) return all;
        const v = args[at++];
        switch (how) {
          case "s": return typeof v === "string" ? v : typeof v === "object" && v !== null ? inspect(v, 0) : text(v);
          case "d": case "i": return typeof v === "bigint" ? `${v}n` : typeof v === "symbol" ? "NaN" : how === "i" ? `${Num.parseInt(v)}` : `${Num(v)}`;
          case "f": return typeof v === "symbol" ? "NaN" : `${Num.parseFloat(v)}`;
          case "j": return J.stringify(v);
          case "c": return "";
        }
        return inspect(v);
      }));
    }
    for (; at < args.length; at++) out.push(typeof args[at] === "string" ? args[at] : inspect(args[at]));
    return out.join(" ");
  };

  // ---- console -------------------------------------------------------------

  let indent = "";
  const counts = new M(), watches = new M();
  const print = (line, errs) => native.write(indent === "" ? line : line.split("\n").map((l) => indent + l).join("\n"), errs);
  const out = (...args) => print(format(args), false);
  const err = (...args) => print(format(args), true);
  const fixed = (ms) => `${Math.round(ms * 1000) / 1000}ms`;

  const table = (data, columns) => {
    if (typeof data !== "object" || data === null) return out(data);
    const rows = [], cols = [];
    let values = false;
    const entries = data instanceof M || data instanceof S ? [...data].map((v, i) => [i, v])
      : isArray(data) ? data.map((v, i) => [i, v]) : keys(data).map((k) => [k, data[k]]);
    for (const [k, v] of entries.slice(0, 1000)) {
      const row = { k: `${k}`, cells: new M(), v: undefined };
      if (typeof v === "object" && v !== null) {
        for (const c of isArray(v) ? v.map((_, i) => `${i}`) : keys(v)) {
          if (columns && !columns.includes(c)) continue;
          if (!cols.includes(c)) cols.push(c);
          row.cells.set(c, inspect(v[c], 0));
        }
      } else { row.v = inspect(v, 0); values = true; }
      rows.push(row);
    }
    const header = [data instanceof M || data instanceof S ? "(iter idx)" : "(idx)", ...(columns || cols), ...(values ? ["Values"] : [])];
    const body = rows.map((r) => [r.k, ...(columns || cols).map((c) => r.cells.get(c) ?? ""), ...(values ? [r.v ?? ""] : [])]);
    const wide = header.map((h, i) => body.reduce((w, r) => Math.max(w, r[i].length), h.length));
    const rule = (l, m, r) => l + wide.map((w) => "─".repeat(w + 2)).join(m) + r;
    const line = (r) => "│" + r.map((c, i) => ` ${c.padEnd(wide[i])} `).join("│") + "│";
    out([rule("┌", "┬", "┐"), line(header), rule("├", "┼", "┤"), ...body.map(line), rule("└", "┴", "┘")].join("\n"));
  };

  const elapsed = (name) => (watches.has(name) ? `${name}: ${fixed(native.now() - watches.get(name))}` : `Timer '${name}' does not exist`);
  const group_ = (...args) => { if (args.length > 0) out(...args); indent += "    "; };
  hidden(global, "console", {
    log: out, info: out, debug: out, warn: err, error: err, table,
    dir: (v) => out(inspect(v)), dirxml: out,
    trace: (...args) => {
      const stack = new Err("").stack.split("\n").slice(2).filter((l) => l.includes("action.ts")).map((l) => l.replace(/^\tat /, "    at ").replace(/\(\d+\)(\)?)$/, "$1"));
      err(["Trace" + (args.length ? ": " + format(args) : ""), ...stack].join("\n"));
    },
    assert: (ok, ...args) => { if (!ok) err("Assertion failed" + (args.length ? ": " + format(args) : "")); },
    group: group_, groupCollapsed: group_, groupEnd: () => { indent = indent.slice(4); },
    count: (name = "default") => { counts.set(name, (counts.get(name) ?? 0) + 1); out(`${name}: ${counts.get(name)}`); },
    countReset: (name = "default") => { counts.delete(name); },
    time: (name = "default") => { watches.set(name, native.now()); },
    timeLog: (name = "default", ...args) => out(elapsed(name), ...args),
    timeEnd: (name = "default") => { out(elapsed(name)); watches.delete(name); },
    clear: () => {},
  });

  // ---- timers --------------------------------------------------------------

  const timer = (repeat) => (fn, ms, ...args) => {
    if (typeof fn !== "function") throw new TypeErr("the first argument of a timer is a function");
    return native.setTimer(fn, Num(ms), repeat, args);
  };
  const clear = (id) => { if (isInt(id)) native.clearTimer(id); };
  hidden(global, "setTimeout", timer(false));
  hidden(global, "setInterval", timer(true));
  hidden(global, "clearTimeout", clear);
  hidden(global, "clearInterval", clear);
  hidden(global, "queueMicrotask", (fn) => { Prom.resolve().then(fn).catch((e) => { native.setTimer(() => { throw e; }, 0, false, []); }); });
  hidden(global, "sleep", (ms) => new Prom((done) => native.setTimer(done, Num(ms), false, [])));
  hidden(global, "performance", { now: native.now, timeOrigin: D.now() - native.now() });

  // ---- what is not here ----------------------------------------------------

  const reasons = {
    network: "actions have no network, only the API of Berth: use komodo.read, komodo.write and komodo.execute; what must reach other hosts belongs into a container or a repo's on_pull command",
    files: "actions have no file system, no environment and no other programs: pass values by the action's arguments (ARGS) or variables ([[NAME]]); what needs a program belongs into a container or a repo's on_pull command",
    modules: "actions load no modules: komodo, ARGS, YAML, TOML and console are there without; paste what else is needed into the script",
    code: "code cannot be made from text in an action: write it into the script",
  };
  class Absent extends Err {}
  hidden(Absent.prototype, "name", "NotAvailable");
  const absent = (name, reason) => {
    const refuse = (...path) => { throw new Absent(`${path.filter((p) => typeof p === "string" && p !== "").join(".")} is not available: ${reasons[reason]}`); };
    const stub = new Proxy(function () {}, {
      get: (_, k) => (k === Sym.toPrimitive || k === Sym.toStringTag ? undefined : refuse(name, k)),
      set: (_, k) => refuse(name, k), has: (_, k) => refuse(name, k), apply: () => refuse(name), construct: () => refuse(name),
      ownKeys: () => refuse(name), getOwnPropertyDescriptor: (_, k) => refuse(name, k), getPrototypeOf: () => F.prototype,
    });
    defineProperty(global, name, { value: stub, writable: true, enumerable: false, configurable: true });
  };
  for (const n of ["fetch", "WebSocket", "EventSource", "XMLHttpRequest", "Request", "Response", "Headers"]) absent(n, "network");
  for (const n of ["Deno", "process", "Bun", "localStorage", "sessionStorage", "Worker"]) absent(n, "files");
  for (const n of ["require", "module", "importScripts"]) absent(n, "modules");
  absent("eval", "code");
  const noFunction = function Function() { throw new Absent(`Function is not available: ${reasons.code}`); };
  noFunction.prototype = F.prototype;
  hidden(global, "Function", noFunction);
  for (const f of [function () {}, async function () {}, function* () {}]) hidden(getPrototypeOf(f), "constructor", noFunction);

  // ---- bounds of what builtins make ---------------------------------------

  const tooLarge = (n) => { if (n > maxText) throw new RangeErr(`a text or buffer of ${n} is larger than the ${maxText >> 20} Mi that an action may make at once`); };
  const guard = (proto, name, size) => {
    const was = proto[name];
    hidden(proto, name, { [name](...args) { tooLarge(size(this, args)); return apply(was, this, args); } }[name]);
  };
  // What goes through elements does not notice that the script is to end.
  const many = 1 << 22, sorted = 1 << 18;
  const tooMany = (n, most = many) => {
    if (n > most) throw new RangeErr(`${n} elements are more than the ${most} that one function of an action may go through; use a loop, or work on less at a time`);
  };
  const sizeOf = (v) => (typeof v === "string" ? v.length : 0);
  const lengthOf = (a) => (a == null ? 0 : Num(a.length));
  guard(Str.prototype, "repeat", (s, [n]) => `${s}`.length * Num(n));
  guard(Str.prototype, "padStart", (_, [n]) => Num(n));
  guard(Str.prototype, "padEnd", (_, [n]) => Num(n));
  guard(Str.prototype, "concat", (s, args) => args.reduce((n, v) => n + sizeOf(v), `${s}`.length));
  const hot = ["constructor", "push", "pop", "at", "keys", "entries"]; // they go through nothing
  for (const n of getOwnPropertyNames(A.prototype)) {
    if (typeof A.prototype[n] === "function" && !hot.includes(n)) {
      guard(A.prototype, n, (a, args) => {
        tooMany(lengthOf(a), (n === "sort" || n === "toSorted") && args[0] === undefined ? sorted : many);
        if (n === "concat") tooMany(args.reduce((sum, v) => sum + (isArray(v) ? v.length : 1), lengthOf(a)));
        return 0;
      });
    }
  }
  const join = A.prototype.join;
  hidden(A.prototype, "join", { join(separator) {
    const n = lengthOf(this);
    tooMany(n);
    let size = sizeOf(separator) * n;
    for (let i = 0; i < n; i++) size += sizeOf(this[i]);
    tooLarge(size);
    return apply(join, this, [separator]);
  } }.join);
  hidden(A.prototype, Sym.iterator, A.prototype.values);
  const letters = Str.prototype[Sym.iterator];
  hidden(Str.prototype, Sym.iterator, { [Sym.iterator]() { tooMany(`${this}`.length); return apply(letters, this, []); } }[Sym.iterator]);
  const from = A.from;
  hidden(A, "from", function (list, ...rest) {
    if (list != null && typeof list === "object" && typeof list.length === "number") tooMany(list.length);
    return apply(from, this, [list, ...rest]);
  });
  for (const n of ["replace", "replaceAll"]) {
    guard(Str.prototype, n, (s, [what, by]) => {
      if (typeof by !== "string" || n === "replace" && typeof what === "string") return 0;
      const text = `${s}`;
      const each = by.length + (/\$[`'&]/.test(by) ? text.length * (by.split("$").length - 1) : 0);
      const most = (typeof what === "string" ? text.length / (what.length || 1) : text.length) * each;
      return most > 2 ** 30 ? most : 0; // what could be, not what is: a generous bound
    });
  }
  const split = Str.prototype.split;
  hidden(Str.prototype, "split", { split(by, most) {
    if (by === "") tooMany(`${this}`.length);
    return apply(split, this, [by, most]);
  } }.split);

  // A regular expression that goes back and forth without an end is given up after
  // native.patience; that then nothing matched must not be taken for an answer.
  for (const k of ["test", Sym.match, Sym.replace, Sym.search, Sym.split]) {
    const was = Rx.prototype[k];
    hidden(Rx.prototype, k, { [k](...args) {
      const began = native.now();
      const out = apply(was, this, args);
      if (native.now() - began >= native.patience) {
        throw new RangeErr(`the regular expression ${this} took longer than ${native.patience / 1000} s: write it so that it does not try the same text in many ways`);
      }
      return out;
    } }[k]);
  }
  const bounded = (name, size) => {
    const was = global[name];
    if (!was) return;
    const now = { [name]: function (...args) {
      if (!new.target) throw new TypeErr(`${name} needs new`);
      tooLarge(typeof args[0] === "object" || args[0] === undefined ? 0 : Num(args[0]) * size);
      return construct(was, args, new.target === now ? was : new.target);
    } }[name];
    for (const k of ownKeys(was)) {
      const d = getOwnPropertyDescriptor(was, k);
      if (k !== "prototype" && k !== "length" && k !== "name") defineProperty(now, k, d);
    }
    O.setPrototypeOf(now, getPrototypeOf(was));
    now.prototype = was.prototype;
    hidden(was.prototype, "constructor", now);
    hidden(global, name, now);
  };
  bounded("ArrayBuffer", 1);
  for (const n of ["Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "Float32", "Float64", "BigInt64", "BigUint64"]) bounded(n + "Array", 8);
  hidden(JSON, "parse", function parse(s, reviver) {
    if (native.depth(`${s}`) > 2000) throw new SyntaxErr("JSON is nested deeper than 2000 levels");
    return apply(J.parse, JSON, [s, reviver]);
  });

  // JSON.stringify writes a value as often as it is referred to, and cannot be
  // stopped: what it would write is counted first, by code that can.
  const stringify = J.stringify;
  J.stringify = (v, ...rest) => {
    let values = 0, size = 0;
    const most = 1 << 20;
    const count = (v, level) => {
      values++;
      size += sizeOf(v);
      if (values > most) tooMany(values, most);
      if (size > maxText) tooLarge(size);
      if (v === null || typeof v !== "object" || level > 500) return; // what is circular is told by stringify
      const all = isArray(v) ? v : O.values(v);
      for (let i = 0; i < all.length; i++) count(all[i], level + 1);
    };
    count(v, 0);
    return apply(stringify, JSON, [v, ...rest]);
  };
  hidden(JSON, "stringify", { stringify(v, replacer, space) { return J.stringify(v, replacer, space); } }.stringify);

  // ---- formats -------------------------------------------------------------

  const convert = (f) => (v) => {
    try { return f(v); } catch (e) { throw new SyntaxErr(`${e.message ?? e}`.replace(/^GoError: /, "")); }
  };
  const parser = (f) => { const g = convert(f); return (s) => J.parse(g(`${s}`)); };
  const writer = (f) => { const g = convert(f); return (v) => g(J.stringify(v ?? null)); };
  hidden(global, "YAML", { parse: parser(native.parseYAML), stringify: writer(native.writeYAML) });
  hidden(global, "TOML", { parse: parser(native.parseTOML), stringify: writer(native.writeTOML) });
  hidden(global, "structuredClone", (v) => J.parse(J.stringify(v)));

  // ---- the client ----------------------------------------------------------

  const Types = J.parse(typesText);
  for (const k of keys(Types)) O.freeze(Types[k]);
  hidden(global, "Types", O.freeze(Types));

  class CancelToken {
    constructor() { this.cancelled = false; }
    cancel() { this.cancelled = true; }
  }
  hidden(global, "CancelToken", CancelToken);

  const request = async (group, type, params) => {
    if (typeof type !== "string") throw new TypeErr("the first argument is the name of a request, as a text");
    const fault = new Err(""); // knows the line that asks
    let answer;
    try {
      answer = await native.call(group, type, J.stringify(params ?? {}));
    } catch (e) {
      defineProperty(fault, "message", { value: `${type}: ${e.error}`, configurable: true, writable: true });
      hidden(fault, "stack", `Error: ${type}: ${e.error}\n${fault.stack.split("\n").slice(1).join("\n")}`);
      fault.status = e.status;
      fault.result = { error: e.error, trace: [] };
      throw fault;
    }
    return J.parse(answer);
  };
  const read = (type, params) => request("read", type, params);
  const poll = async (id) => {
    for (let wait = 50; ; wait = Math.min(1000, wait * 2)) {
      const update = await read("GetUpdate", { id });
      if (update.status === "Complete") return update;
      await new Prom((done) => native.setTimer(done, wait, false, []));
    }
  };
  const idOf = (u) => u?._id?.$oid;
  const without = (name) => () => { throw new Absent(`komodo.${name} is not available in an action: terminals and sockets are not part of its sandbox`); };
  const komodo = {
    read,
    write: (type, params) => request("write", type, params),
    execute: (type, params) => request("execute", type, params),
    execute_and_poll: async (type, params) => {
      const res = await request("execute", type, params);
      if (isArray(res)) return Prom.all(res.map((item) => (item.status === "Err" ? item : poll(idOf(item.data)))));
      return res.status === "Complete" || !idOf(res) ? res : poll(idOf(res));
    },
    poll_update_until_complete: poll,
    core_version: async () => (await read("GetVersion", {})).version,
    getUser: () => request("user", "GetUser", {}),
    auth: {
      login: () => { throw new Absent("komodo.auth.login is not available in an action: it is signed in already"); },
      manage: (type, params) => request("auth/manage", type, params),
      externalLogin: () => { throw new Absent("komodo.auth.externalLogin is not available in an action: it is signed in already"); },
    },
  };
  for (const n of ["get_update_websocket", "subscribe_to_update_websocket", "connect_terminal", "execute_terminal", "execute_terminal_stream",
    "execute_server_terminal", "execute_container_terminal", "execute_stack_service_terminal", "execute_deployment_terminal",
    "execute_container_exec", "execute_deployment_exec", "execute_stack_exec"]) komodo[n] = without(n);
  hidden(global, "komodo", komodo);
  hidden(global, "KomodoClient", () => komodo); // whatever the address and the key: there is one
  defineProperty(global, "ARGS", { value: J.parse(argsText), writable: true, enumerable: true, configurable: true });
})
