// <log-view> appends what its stream brings, keeps the tail in view while the
// reader is at the bottom, and finds. Entries carry their index within their
// step: a replay, or what the page had when it came, adds nothing.
type Row = { k: string; t: number; s?: string; c?: number; h: string; e?: boolean; id?: string; p?: number; m?: string };
type Chunk = { s: string; i: number; l: Row[] };

const MAX = 5000; // rows kept in the page; the whole text is one link away

class LogView extends HTMLElement {
  #queue: HTMLElement[] = [];
  #frame = 0;
  #follow = true;
  #text = "";
  #match: ((row: HTMLElement) => boolean) | null = null;
  #next: Record<string, number> = {};
  #last = new Map<string, HTMLElement>();
  #dropped = 0;
  #own = 0; // scroll positions that we caused
  #panel: HTMLElement | null = null;

  connectedCallback() {
    this.#next = JSON.parse(this.dataset.next || "{}");
    this.#dropped = Number(this.dataset.skipped || 0);
    for (const el of this.querySelectorAll<HTMLElement>(".l[data-id]")) if (el.dataset.id) this.#last.set(el.dataset.id, el);
    this.addEventListener("log", this.#take as EventListener);
    this.addEventListener("scroll", this.#scrolled, { passive: true });
    this.#panel = this.closest<HTMLElement>(".log");
    this.#panel?.addEventListener("input", this.#input);
    this.#panel?.addEventListener("click", this.#click);
    requestAnimationFrame(() => this.#bottom());
  }
  disconnectedCallback() {
    cancelAnimationFrame(this.#frame);
    this.#panel?.removeEventListener("input", this.#input);
    this.#panel?.removeEventListener("click", this.#click);
  }

  #scrolled = () => {
    if (this.scrollTop === this.#own) return;
    this.#set(this.scrollHeight - this.scrollTop - this.clientHeight < 24);
  };
  #bottom() { this.scrollTop = this.scrollHeight; this.#own = this.scrollTop; }
  #set(follow: boolean) {
    if (follow === this.#follow) return;
    this.#follow = follow;
    this.#panel?.querySelector("[data-log-follow]")?.setAttribute("aria-pressed", String(follow));
  }
  follow() { this.#set(true); this.#bottom(); }

  #input = (e: Event) => {
    const f = (e.target as Element).closest<HTMLInputElement>("[data-log-filter]");
    if (f) { this.#text = f.value; this.#find(); }
  };
  #click = (e: Event) => {
    if ((e.target as Element).closest("[data-log-follow]")) { if (this.#follow) this.#set(false); else this.follow(); }
  };

  #take = (e: CustomEvent) => {
    const c: Chunk = JSON.parse(e.detail.data);
    const next = this.#next[c.s] ?? 0;
    for (let i = Math.max(0, next - c.i); i < c.l.length; i++) this.#add({ ...c.l[i], id: c.l[i].id && c.s + " " + c.l[i].id });
    this.#next[c.s] = Math.max(next, c.i + c.l.length);
    this.#frame ||= requestAnimationFrame(this.#flush);
  };

  #add(r: Row) {
    const el = this.#row(r);
    if (r.id) {
      // Of a download or phase only its newest state counts: it changes in place.
      const old = this.#last.get(r.id);
      this.#last.set(r.id, el);
      if (old) el.firstElementChild!.textContent = old.firstElementChild!.textContent;
      if (old?.isConnected) { old.replaceWith(el); return; }
      const at = old ? this.#queue.indexOf(old) : -1;
      if (at >= 0) { this.#queue[at] = el; return; }
    }
    this.#queue.push(el);
    if (this.#queue.length > 2 * MAX) { this.#dropped += MAX; this.#queue.splice(0, MAX); }
  }

  #row(r: Row): HTMLElement {
    const d = document.createElement("div"), t = document.createElement("time"), s = document.createElement("span"), x = document.createElement("span");
    d.className = "l " + r.k + (r.e ? " err" : "");
    if (r.id) d.dataset.id = r.id;
    const n = Math.max(0, Math.floor((r.t - Number(this.dataset.from)) / 1000));
    t.textContent = n >= 3600 ? `${Math.floor(n / 3600)}:${two(Math.floor(n / 60) % 60)}:${two(n % 60)}` : `${Math.floor(n / 60)}:${two(n % 60)}`;
    s.className = r.c ? "svc h" + r.c : "svc";
    s.textContent = r.s ?? "";
    x.className = "tx";
    x.innerHTML = r.h; // escaped by the server (ui/part)
    if (r.m) x.prepend(glyph(r.m));
    if (r.p) {
      const p = document.createElement("progress");
      p.max = 100; p.value = r.p; p.setAttribute("aria-label", r.id ?? "");
      x.append(p);
    }
    d.append(t, s, x);
    if (this.#match && !this.#match(d)) d.hidden = true;
    return d;
  }

  #flush = () => {
    this.#frame = 0;
    this.querySelector(".none")?.remove();
    const q = this.#queue;
    this.#queue = [];
    if (q.length > MAX) { this.#dropped += q.length - MAX; q.splice(0, q.length - MAX); }
    this.append(...q);
    const rows = this.querySelectorAll(":scope > .l");
    const over = rows.length - MAX;
    for (let i = 0; i < over; i++) rows[i].remove();
    if (over > 0) this.#dropped += over;
    this.#mark();
    if (this.#follow) this.#bottom();
  };

  #mark() {
    if (!this.#dropped) return;
    let m = this.querySelector<HTMLAnchorElement>(".cutmark");
    if (!m) {
      m = document.createElement("a");
      m.className = "cutmark";
      m.href = this.dataset.text!;
      this.prepend(m);
    }
    m.textContent = `${this.#dropped} earlier lines: open the whole output`;
  }

  #find() {
    const m = /^\/(.+)\/$/.exec(this.#text), q = this.#text.toLowerCase();
    let re: RegExp | null = null;
    if (m) try { re = new RegExp(m[1], "i"); } catch { /* still typing */ }
    this.#match = !q ? null : (l) => (re ? re.test(l.textContent!) : l.textContent!.toLowerCase().includes(q));
    for (const l of this.querySelectorAll<HTMLElement>(":scope > .l")) l.hidden = this.#match ? !this.#match(l) : false;
    if (this.#follow) this.#bottom();
  }
}

const two = (n: number) => String(n).padStart(2, "0");

const paths: Record<string, string> = {
  ok: `<circle cx="6" cy="6" r="4.4"/>`,
  bad: `<path d="M2.9 1.2h6.2a1.7 1.7 0 0 1 1.7 1.7v6.2a1.7 1.7 0 0 1-1.7 1.7H2.9a1.7 1.7 0 0 1-1.7-1.7V2.9a1.7 1.7 0 0 1 1.7-1.7Z"/>`,
  live: `<circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
};
function glyph(state: string): Element {
  const t = document.createElement("template");
  t.innerHTML = `<svg class="st st-${state === "live" ? "idle" : state}" viewBox="0 0 12 12" aria-hidden="true">${paths[state] ?? `<circle cx="6" cy="6" r="4" stroke="currentColor" stroke-width="1.6"/>`}</svg>`;
  return t.content.firstElementChild!;
}

customElements.define("log-view", LogView);
export { LogView };
