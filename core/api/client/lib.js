// Berth's client of its own API, for browsers, Deno and Node. It speaks the table
// of requests by their names; what they take and answer is in responses.d.ts.
import { terminals } from "./terminal.js";

export * as Types from "./types.js";

const POLL_MS = 1000;
const RETRY_MS = 5000;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Ends a subscription: hand one in, and cancel it. */
export class CancelToken {
  cancelled = false;
  cancel() {
    this.cancelled = true;
  }
}

/** What a request is refused with: status is 1 when core was not reached. */
const refused = (status, error, trace, cause) => ({ status, result: { error, trace }, ...(cause === undefined ? {} : { error: cause }) });

class Client {
  #url;
  #login;

  constructor(url, login) {
    if (!["jwt", "api-key"].includes(login?.type) || !login.params) {
      throw new TypeError('the second argument is {type: "jwt", params: {jwt}} or {type: "api-key", params: {key, secret}}');
    }
    this.#url = String(url).replace(/\/+$/, "");
    this.#login = login;
    this.auth = {
      login: (type, params) => this.#request("POST", `/auth/login/${type}`, params),
      manage: (type, params) => this.#request("POST", `/auth/manage/${type}`, params),
    };
    Object.assign(this, terminals(this));
  }

  read(type, params) {
    return this.#request("POST", `/read/${type}`, params);
  }

  write(type, params) {
    return this.#request("POST", `/write/${type}`, params);
  }

  execute(type, params) {
    return this.#request("POST", `/execute/${type}`, params);
  }

  async execute_and_poll(type, params) {
    const answer = await this.execute(type, params);
    if (!Array.isArray(answer)) return this.#finished(answer);
    return Promise.all(answer.map((item) => (item.status === "Err" ? item : this.#finished(item.data))));
  }

  async poll_update_until_complete(id) {
    for (;;) {
      const update = await this.read("GetUpdate", { id });
      if (update.status === "Complete") return update;
      await wait(POLL_MS);
    }
  }

  async core_version() {
    return (await this.read("GetVersion", {})).version;
  }

  getUser() {
    return this.#request("GET", "/user");
  }

  get_update_websocket({ on_update, on_login, on_open, on_close } = {}) {
    if (typeof WebSocket === "undefined") throw new Error("this runtime has no WebSocket: use a newer one, or set globalThis.WebSocket");
    const socket = new WebSocket(`${this.#url.replace("http", "ws")}/ws/update`);
    socket.addEventListener("open", () => {
      on_open?.();
      const { type, params } = this.#login;
      socket.send(JSON.stringify({ type: type === "jwt" ? "Jwt" : "ApiKeys", params }));
    });
    socket.addEventListener("message", ({ data }) => {
      if (data === "LOGGED_IN") return on_login?.();
      let update;
      try {
        update = JSON.parse(data);
      } catch {
        console.error(`/ws/update: ${data}`); // a refused login is said in words
        return undefined;
      }
      if (update.type === "INVALID_USER") return undefined; // and then it closes
      return on_update?.(update);
    });
    socket.addEventListener("close", () => on_close?.());
    return socket;
  }

  async subscribe_to_update_websocket({ on_update, on_login, on_open, on_close, retry = true, retry_timeout_ms = RETRY_MS, cancel = new CancelToken(), on_cancel } = {}) {
    while (!cancel.cancelled) {
      let socket;
      try {
        let closed = false;
        socket = this.get_update_websocket({ on_update, on_login, on_open, on_close: () => { closed = true; on_close?.(); } });
        while (!closed && !cancel.cancelled) await wait(100);
      } catch (problem) {
        if (!retry) throw problem;
        console.error(problem);
      }
      if (cancel.cancelled) socket?.close();
      else if (!retry) return;
      else await wait(retry_timeout_ms);
    }
    on_cancel?.();
  }

  #finished(answer) {
    const id = answer?._id?.$oid;
    return answer?.status === "Complete" || !id ? answer : this.poll_update_until_complete(id);
  }

  async #request(method, path, params) {
    const { type, params: login } = this.#login;
    const headers = type === "jwt" ? { authorization: login.jwt } : { "x-api-key": login.key, "x-api-secret": login.secret };
    let status, text;
    try {
      const answer = await fetch(this.#url + path, {
        method,
        headers: { "content-type": "application/json", ...headers },
        ...(method === "POST" ? { body: JSON.stringify(params ?? {}) } : {}),
      });
      status = answer.status;
      text = await answer.text();
    } catch (problem) {
      throw refused(1, "the request did not reach core", [String(problem)], problem);
    }
    let body;
    try {
      body = JSON.parse(text);
    } catch (problem) {
      throw refused(status, "the answer is not JSON", [text.slice(0, 200)], problem);
    }
    if (status !== 200) throw refused(status, body.error ?? text, body.trace ?? []);
    return body;
  }
}

/** Makes a client; new may stand before it. */
export function KomodoClient(url, login) {
  return new Client(url, login);
}
