// Drives the published client through every request against a live core, and prints
// one JSON line a call: {group, name, status, problems, took}.
//
//   node judge.mjs URL USERNAME PASSWORD
import { WebSocket } from "ws";
import { names, differences } from "./shape.mjs";
import { cases, aliases } from "./cases.mjs";

// The client is written for browsers.
const stored = new Map();
globalThis.localStorage = { getItem: (k) => stored.get(k) ?? null, setItem: (k, v) => stored.set(k, v), removeItem: (k) => stored.delete(k) };
let refused = "";
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.on("error", (e) => (refused = String(e))); // unheard, it ends the process
  }
};
const { KomodoClient } = await import("komodo_client");

const [url, username, password] = process.argv.slice(2);
const guest = KomodoClient(url, { type: "jwt", params: { jwt: "" } });
const login = await guest.auth.login("LoginLocalUser", { username, password });
if (login.type !== "Jwt") throw new Error(`signing in was answered ${JSON.stringify(login)}`);
const client = KomodoClient(url, { type: "jwt", params: { jwt: login.data.jwt } });

const answers = new Map();
const got = (name, key) => {
  const v = answers.get(key === undefined ? name : `${name} ${key}`) ?? answers.get(name);
  if (v === undefined) throw new Error(`${name} has not been answered yet`);
  return v;
};
const line = (o) => process.stdout.write(JSON.stringify(o) + "\n");

async function once([group, name, params, want]) {
  const problems = [];
  const began = Date.now();
  let status = 200;
  try {
    const p = typeof params === "function" ? params(got) : params;
    const value = await client[group](name, p);
    answers.set(name, value);
    const first = Object.values(p)[0];
    if (typeof first === "string") answers.set(`${name} ${first}`, value);
    problems.push(...differences(group, name, value));
    if (group === "execute") problems.push(...(await ended(value, want !== "fails")));
  } catch (e) {
    if (e instanceof Error) problems.push(e.stack);
    status = e.status ?? 0;
    if (e.result && (typeof e.result.error !== "string" || !Array.isArray(e.result.trace))) problems.push(`the error's body is ${JSON.stringify(e.result)}`);
    if (!wanted(want).includes(status)) problems.push(`${status}: ${JSON.stringify(e.result ?? String(e))}`);
    status ||= 1;
  }
  if (!wanted(want).includes(status)) problems.push(`answered ${status}, want ${wanted(want)}`);
  line({ group, name, status, problems, took: Date.now() - began });
}

const wanted = (want) => (want === undefined || want === "fails" ? [200] : [want].flat());

// ended follows what an execution started to its end, as the client does.
async function ended(value, good) {
  const out = [];
  for (const u of Array.isArray(value) ? value : [value]) {
    const update = u.status === "Ok" ? u.data : u;
    if (update.status === "Err" || !update._id) {
      out.push(`no update: ${JSON.stringify(update)}`);
      continue;
    }
    const end = await client.poll_update_until_complete(update._id.$oid);
    out.push(...differences("read", "GetUpdate", end).map((d) => `at its end: ${d}`));
    if (!good && end.success) out.push("it did not fail");
    if (good && !end.success) out.push(`it failed: ${end.logs.map((l) => `${l.stage}: ${l.stderr}`).join("; ")}`);
  }
  return out;
}

// The client's own calls beside the table.
async function apart(name, fn) {
  const problems = [];
  try {
    problems.push(...((await fn()) ?? []));
  } catch (e) {
    problems.push(String(e.stack ?? JSON.stringify(e)));
  }
  line({ group: "client", name, status: 200, problems });
}

const live = [];
const seen = (u) => live.push(u);
let signedIn = false;
const socket = client.get_update_websocket({ on_update: seen, on_login: () => (signedIn = true) });

for (const c of cases) await once(c);
for (const [group, name, params] of aliases) {
  await apart(`the old name ${name}`, async () => {
    const r = await fetch(`${url}/${group}`, { method: "POST", headers: { authorization: login.data.jwt, "content-type": "application/json" }, body: JSON.stringify({ type: name, params }) });
    return r.status === 200 ? [] : [`answered ${r.status}: ${await r.text()}`];
  });
}
await apart("getUser", async () => ((await client.getUser()).username === username ? [] : ["it is somebody else"]));
await apart("core_version", async () => (typeof (await client.core_version()) === "string" ? [] : ["no text"]));
await apart("GetLoginOptions", async () => ((await client.auth.login("GetLoginOptions", {})).local === true ? [] : ["one cannot sign in"]));
await apart("API keys", async () => {
  const { key, secret } = await client.auth.manage("CreateApiKey", { name: "judge", expires: 0 });
  const other = KomodoClient(url, { type: "api-key", params: { key, secret } });
  const who = await other.getUser();
  await client.auth.manage("DeleteApiKey", { key });
  const after = await other.getUser().then(() => 200, (e) => e.status);
  return [who.username === username ? "" : "the key is somebody else's", after === 401 ? "" : `a deleted key is answered ${after}`].filter(Boolean);
});
await apart("live updates", async () => {
  const out = signedIn ? [] : [`nobody was let in: ${refused}`];
  if (!live.some((u) => u.operation === "DeployStack" && u.status === "InProgress") || !live.some((u) => u.operation === "DeployStack" && u.status === "Complete")) out.push("no start and end of DeployStack");
  if (!live.some((u) => u.operation === "CreateStack")) out.push("no CreateStack");
  return out;
});
socket.close();

const called = new Set(cases.map(([group, name]) => `${group} ${name}`));
for (const group of ["read", "write", "execute"]) {
  for (const name of names(group)) if (!called.has(`${group} ${name}`)) line({ group, name, status: 0, problems: ["the judge has no case for it"] });
}
