// The run page: clocks, bars that grow between two messages of the server, and
// the choice of the lane whose output is shown.
const clock = (ms: number) => {
  const s = Math.max(0, ms / 1000);
  if (s < 10) return `${s.toFixed(1)} s`;
  const n = Math.floor(s), two = (x: number) => String(x).padStart(2, "0");
  return n >= 3600 ? `${Math.floor(n / 3600)}:${two(Math.floor(n / 60) % 60)}:${two(n % 60)}` : `${Math.floor(n / 60)}:${two(n % 60)}`;
};

class RunClock extends HTMLElement {
  #timer = 0;
  connectedCallback() { this.#timer = window.setInterval(() => this.#draw(), 500); this.#draw(); }
  disconnectedCallback() { clearInterval(this.#timer); }
  #draw() {
    const t = clock(Date.now() - Number(this.dataset.from));
    if (this.textContent !== t) this.textContent = t;
  }
}
customElements.define("run-clock", RunClock);

class RunGantt extends HTMLElement {
  #timer = 0;
  connectedCallback() { this.#timer = window.setInterval(() => this.#draw(), 500); }
  disconnectedCallback() { clearInterval(this.#timer); }
  #draw() {
    if (!this.hasAttribute("data-live") || document.hidden) return;
    const from = Number(this.dataset.from), max = Number(this.dataset.max), t = Math.min(max, Date.now() - from);
    const at = `${((t / max) * 100).toFixed(2)}%`;
    for (const l of this.querySelectorAll(".now")) { l.setAttribute("x1", at); l.setAttribute("x2", at); }
    for (const b of this.querySelectorAll<SVGRectElement>("rect.fill-live[data-s]")) {
      const s = Number(b.dataset.s);
      b.setAttribute("width", `${Math.max(0.6, ((t - (s - from)) / max) * 100).toFixed(2)}%`);
      const d = b.closest(".gl")?.querySelector(".du");
      if (d) d.textContent = clock(Date.now() - s);
    }
  }
}
customElements.define("run-gantt", RunGantt);

const mark = (lane: Element) => { for (const x of document.querySelectorAll("a.gl")) x.setAttribute("aria-current", String(x === lane)); };

document.addEventListener("click", (e) => {
  const lane = (e.target as Element).closest<HTMLElement>("a.gl[href]");
  if (!lane) return;
  document.getElementById("runlog")?.removeAttribute("data-auto");
  mark(lane);
  if (matchMedia("(max-width: 760px)").matches) document.getElementById("runlog")?.scrollIntoView();
});

// Until somebody chooses, the output follows what goes on.
document.addEventListener("htmx:after:swap", () => {
  const log = document.getElementById("runlog");
  if (!log?.hasAttribute("data-auto")) return;
  const now = document.querySelector<HTMLElement>("a.gl.live[href]"), shown = document.querySelector<HTMLElement>('a.gl[aria-current="true"]');
  if (!now || now === shown || shown?.classList.contains("live") || shown?.classList.contains("bad")) return;
  mark(now);
  (window as any).htmx.ajax("GET", now.getAttribute("hx-get"), { target: "#runlog", swap: "innerHTML" });
});

// The panel of the output shows the state of the run that it belongs to.
document.addEventListener("htmx:after:swap", () => {
  const from = document.querySelector('a.gl[aria-current="true"] .nm > .st') ?? document.querySelector("#run-head .chip > .st");
  const to = document.querySelector("#runlog header > .st");
  if (!from || !to || to.getAttribute("class") === from.getAttribute("class")) return;
  const copy = from.cloneNode(true) as Element;
  copy.removeAttribute("role");
  copy.removeAttribute("aria-label");
  copy.querySelector("title")?.remove();
  copy.setAttribute("aria-hidden", "true");
  to.replaceWith(copy);
});

// On a narrow screen, bring the stage that goes on into view.
const strip = document.querySelector<HTMLElement>(".stages"), stage = document.querySelector<HTMLElement>(".stage.live");
if (strip && stage && strip.scrollWidth > strip.clientWidth) strip.scrollLeft = stage.offsetLeft - 14;
export {};
