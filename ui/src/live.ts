// What hx-sse leaves to the page: showing the connection, noticing a dead one,
// and fetching the page again when the server says that something was missed.
type Conn = { attempt: number; reader: ReadableStreamDefaultReader | null };

const show = (state: string, text: string) => {
  const c = document.getElementById("conn");
  if (c && c.dataset.state !== state) { c.dataset.state = state; c.textContent = text; }
};
const ofPage = (e: Event) => (e.target as Element).id === "live";

const streams = new Map<Element, { conn: Conn; seen: number }>();

document.addEventListener("htmx:sse:after:connection", (e) => {
  streams.set(e.target as Element, { conn: (e as CustomEvent).detail.connection, seen: Date.now() });
  if (ofPage(e)) show("on", "live");
});
document.addEventListener("htmx:sse:close", (e) => { streams.delete(e.target as Element); });
document.addEventListener("htmx:sse:before:message", (e) => {
  const s = streams.get(e.target as Element);
  if (s) s.seen = Date.now();
  if ((e as CustomEvent).detail.message.event === "resync" && ofPage(e)) refresh();
});
document.addEventListener("htmx:sse:before:connection", (e) => {
  if (ofPage(e) && (e as CustomEvent).detail.connection.attempt > 0 && !document.hidden) show("wait", "reconnecting");
});
document.addEventListener("htmx:sse:error", (e) => {
  const status = (e as CustomEvent).detail.status;
  if (status === 401 || status === 403) { location.reload(); return; } // signed out elsewhere
  if (ofPage(e)) show("off", "offline, retrying");
});

// The server beats every 15 s. A stream that is silent for 40 s is dead, whatever
// TCP thinks: drop it, and hx-sse connects again with the last id.
setInterval(() => {
  if (document.hidden) return;
  for (const [el, s] of streams) {
    if (!el.isConnected) streams.delete(el);
    else if (Date.now() - s.seen > 40_000) { s.seen = Date.now(); void s.conn.reader?.cancel(); }
  }
}, 5000);

// Fetch the page and morph it in place: scroll, focus and what was typed stay.
function refresh() {
  (window as any).htmx.ajax("GET", location.href, { target: "#main", select: "#main", swap: "outerMorph" });
}
