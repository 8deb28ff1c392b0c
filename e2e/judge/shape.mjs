// Compares values with the types that the published client declares for them.
import ts from "typescript";
import path from "node:path";
import { fileURLToPath } from "node:url";

const dist = path.dirname(fileURLToPath(import.meta.resolve("komodo_client")));
const file = path.join(dist, "responses.d.ts");
const program = ts.createProgram([file], { strict: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext });
const checker = program.getTypeChecker();
const source = program.getSourceFile(file);
const groups = new Map(checker.getExportsOfModule(checker.getSymbolAtLocation(source)).map((s) => [s.name, checker.getDeclaredTypeOfSymbol(s)]));

const levels = ["None", "Read", "Execute", "Write"];
const tables = { read: "ReadResponses", write: "WriteResponses", execute: "ExecuteResponses" };

/** names lists the requests that the client knows of a group. */
export function names(group) {
  return checker.getPropertiesOfType(groups.get(tables[group])).map((p) => p.name);
}

/** differences lists where the answer to a request is not what the client declares. */
export function differences(group, name, value) {
  const all = groups.get(tables[group]);
  const member = all && checker.getPropertyOfType(all, name);
  if (!member) return [`the client knows no ${group} request ${name}`];
  const out = [];
  compare(checker.getTypeOfSymbol(member), value, "", out);
  return out;
}

function word(v) {
  if (v === null) return "null";
  return Array.isArray(v) ? "a list" : typeof v === "object" ? "an object" : JSON.stringify(v).slice(0, 60);
}

// compare walks a type and a value together. Members that the client does not
// declare are fine: it ignores them.
function compare(type, value, at, out) {
  // A permission without specifics is a bare word on the wire, whatever is declared.
  if (type.symbol?.name === "PermissionLevelAndSpecifics" && levels.includes(value)) return;
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return;
  if (type.isUnion()) return union(type, value, at, out);
  if (type.isIntersection()) return type.types.forEach((t) => compare(t, value, at, out));
  const wrong = (want) => out.push(`${at || "the answer"}: want ${want}, have ${word(value)}`);
  if (type.flags & (ts.TypeFlags.StringLiteral | ts.TypeFlags.NumberLiteral)) return type.value === value || wrong(JSON.stringify(type.value));
  if (type.flags & ts.TypeFlags.BooleanLiteral) return checker.typeToString(type) === String(value) || wrong(checker.typeToString(type));
  if (type.flags & ts.TypeFlags.String) return typeof value === "string" || wrong("text");
  if (type.flags & ts.TypeFlags.Number) return typeof value === "number" || wrong("a number");
  if (type.flags & ts.TypeFlags.Boolean) return typeof value === "boolean" || wrong("true or false");
  if (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)) return; // what the client takes for nothing it never looks at
  if (type.flags & ts.TypeFlags.Null) return value === null || wrong("null");
  if (checker.isArrayType(type)) {
    if (!Array.isArray(value)) return wrong("a list");
    const [item] = checker.getTypeArguments(type);
    return value.forEach((v, i) => compare(item, v, `${at}[${i}]`, out));
  }
  if (checker.isTupleType(type)) {
    if (!Array.isArray(value)) return wrong("a list");
    return checker.getTypeArguments(type).forEach((t, i) => compare(t, value[i], `${at}[${i}]`, out));
  }
  object(type, value, at, out, wrong);
}

function object(type, value, at, out, wrong) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return wrong(checker.typeToString(type).slice(0, 60));
  const index = type.getStringIndexType();
  if (index) for (const [k, v] of Object.entries(value)) compare(index, v, `${at}.${k}`, out);
  for (const p of checker.getPropertiesOfType(type)) {
    const here = at ? `${at}.${p.name}` : p.name;
    if (!(p.name in value)) {
      if (!(p.flags & ts.SymbolFlags.Optional)) out.push(`${here}: missing`);
      continue;
    }
    // An optional member may be null: the client's own server writes it so.
    if (p.flags & ts.SymbolFlags.Optional && value[p.name] === null) continue;
    compare(checker.getTypeOfSymbol(p), value[p.name], here, out);
  }
}

// tagged reports whether the members of a type that are one fixed text are so.
function tagged(type, value) {
  if (value === null || typeof value !== "object") return false;
  const tags = checker.getPropertiesOfType(type).map((p) => [p.name, checker.getTypeOfSymbol(p)]).filter(([, t]) => t.flags & ts.TypeFlags.StringLiteral);
  return tags.length > 0 && tags.every(([name, t]) => value[name] === t.value);
}

// union takes the member that fits; when none does, the one that fits best says why.
function union(type, value, at, out) {
  let best;
  const meant = type.types.filter((t) => tagged(t, value));
  for (const t of meant.length > 0 ? meant : type.types) {
    const found = [];
    compare(t, value, at, found);
    if (found.length === 0) return;
    if (!best || found.length < best.length) best = found;
  }
  const simple = type.types.every((t) => t.flags & (ts.TypeFlags.Literal | ts.TypeFlags.EnumLiteral | ts.TypeFlags.Undefined | ts.TypeFlags.Null));
  if (simple) out.push(`${at || "the answer"}: ${word(value)} is none of ${checker.typeToString(type)}`);
  else out.push(...best);
}
