import htmx from "htmx.org/dist/htmx.esm.js";
import "htmx.org/dist/ext/hx-sse.js";
import "./live";
import "./log";
import type { LogView } from "./log";
import "./palette";
import "./passkey";
import "./run";

// Live sections are the same for every viewer, so what this viewer chose stays
// out of them: a morph leaves these attributes alone.
htmx.config.morphIgnore.push("aria-current", "aria-selected", "aria-pressed", "open");
document.documentElement.classList.add("js");

const $ = <T extends Element = HTMLElement>(s: string, r: ParentNode = document) => r.querySelector<T>(s);

document.addEventListener("click", (e) => {
  const t = e.target as Element;
  if (t.closest("[data-open=keys]")) $<HTMLDialogElement>("#keys")?.showModal();
  const copy = t.closest<HTMLElement>("[data-copy]");
  if (copy) void copyText($(copy.dataset.copy!)?.textContent?.trim() ?? "", copy);
  const close = t.closest("[data-close]");
  if (close?.closest("dialog")) { close.closest("dialog")!.close(); e.preventDefault(); }
  if (t instanceof HTMLDialogElement && t.classList.contains("sheet")) t.close(); // beside the sheet
  for (const m of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) if (!m.contains(t) || t.closest(".pop")) m.open = false;
});

async function copyText(text: string, button: HTMLElement) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no clipboard without TLS: select, and let the browser copy
    const a = document.createElement("textarea");
    a.value = text;
    button.after(a);
    a.select();
    document.execCommand("copy");
    a.remove();
    button.focus();
  }
  const old = button.lastChild!.textContent;
  button.lastChild!.textContent = "Copied";
  setTimeout(() => { button.lastChild!.textContent = old; }, 1500);
}

// A question that was fetched opens in the dialog.
document.addEventListener("htmx:after:swap", () => {
  const sheet = $<HTMLDialogElement>("#sheet");
  if (sheet && !sheet.open && $("#sheet-body", sheet)?.childElementCount) {
    sheet.showModal();
    sheet.addEventListener("close", () => $("#sheet-body")!.replaceChildren(), { once: true });
  }
  filter();
});

// The theme is a cookie, so that the server draws the right one and nothing flashes.
document.addEventListener("submit", (e) => {
  const f = e.target as HTMLFormElement;
  if (!f.matches("[data-theme-form]")) return;
  e.preventDefault();
  const root = document.documentElement;
  const dark = root.dataset.theme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
  void fetch(f.action, { method: "POST", body: new URLSearchParams({ v: root.dataset.theme }) });
});

// Filters rows that are on the page.
function filter() {
  const f = $<HTMLInputElement>("[data-filter]");
  if (!f) return;
  const q = f.value.toLowerCase();
  for (const r of document.querySelectorAll<HTMLElement>(f.dataset.filter! + " > tr")) r.hidden = !(r.dataset.k ?? "").toLowerCase().includes(q);
}
document.addEventListener("input", (e) => { if ((e.target as Element).matches("[data-filter]")) filter(); });

// Of a setting that is one of several types, only the chosen type's settings show.
document.addEventListener("change", (e) => {
  const select = (e.target as Element).closest<HTMLSelectElement>("select[data-union]");
  if (!select) return;
  for (const v of document.querySelectorAll<HTMLElement>("[data-of]")) if (v.dataset.of === select.dataset.union) v.hidden = v.dataset.type !== select.value;
});

// Keys: g then a letter, j k in tables, / to filter, d e f for what the page shows.
let lead = 0;
const go: Record<string, string> = { o: "/", r: "/runs", s: "/stacks", v: "/servers", p: "/procedures", w: "/webhooks", a: "/alerts", y: "/syncs", b: "/builds" };
const keys: Record<string, () => boolean | void> = {
  "?": () => $<HTMLDialogElement>("#keys")?.showModal(),
  "/": () => $<HTMLInputElement>("[data-filter],[data-log-filter],input[type=search]")?.focus(),
  d: () => $("a[data-key]")?.click(),
  e: () => $("a[data-tab=config]")?.click(),
  f: () => $<LogView>("log-view")?.follow?.(),
  j: () => row(1),
  k: () => row(-1),
};
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || (e.target as Element).closest("input,textarea,select,[contenteditable],dialog[open]")) return;
  if (e.key === "g") { lead = Date.now(); return; }
  const led = Date.now() - lead < 900;
  lead = 0;
  if (led && go[e.key]) { location.href = go[e.key]; return; }
  if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
});
function row(by: number) {
  const rows = [...document.querySelectorAll<HTMLElement>(".tbl .name a")].filter((a) => !a.closest("tr")!.hidden);
  if (!rows.length) return;
  const i = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.max(0, Math.min(rows.length - 1, i < 0 ? 0 : i + by))].focus();
}

// Ages stay current without asking the server.
const units = (ms: number) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
};
setInterval(() => {
  if (document.hidden) return;
  for (const t of document.querySelectorAll<HTMLElement>("time[data-ago], time[data-for]")) {
    const text = units(Date.now() - Number(t.dataset.ago ?? t.dataset.for)) + (t.dataset.ago ? " ago" : "");
    if (t.textContent !== text) t.textContent = text;
  }
}, 1000);
