// The command palette: the server ranks, this moves the choice.
if (/Mac|iPhone|iPad/.test(navigator.platform)) for (const k of document.querySelectorAll<HTMLElement>("kbd[data-mac]")) k.textContent = k.dataset.mac!;
const dialog = document.getElementById("palette") as HTMLDialogElement | null;
if (dialog) {
  const input = dialog.querySelector("input")!, list = dialog.querySelector<HTMLElement>("[role=listbox]")!;
  const options = () => [...list.querySelectorAll<HTMLElement>("[role=option]")];
  const current = () => options().findIndex((x) => x.getAttribute("aria-selected") === "true");
  const pick = (i: number) => {
    const o = options();
    if (!o.length) { input.removeAttribute("aria-activedescendant"); return; }
    i = (i + o.length) % o.length;
    o.forEach((x, k) => x.setAttribute("aria-selected", String(k === i)));
    input.setAttribute("aria-activedescendant", o[i].id);
    o[i].scrollIntoView({ block: "nearest" });
  };
  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    input.select();
    input.dispatchEvent(new Event("open", { bubbles: true }));
  };
  document.addEventListener("click", (e) => { if ((e.target as Element).closest("[data-open=palette]")) open(); });
  document.addEventListener("keydown", (e) => { if ((e.metaKey || e.ctrlKey) && e.key.toLowerCase() === "k") { e.preventDefault(); open(); } });
  dialog.addEventListener("click", (e) => {
    const o = (e.target as Element).closest<HTMLElement>("[role=option]");
    if (o) location.href = o.dataset.href!;
    else if (e.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") { pick(current() + 1); e.preventDefault(); }
    if (e.key === "ArrowUp") { pick(current() - 1); e.preventDefault(); }
    if (e.key === "Enter") {
      const o = options()[current()];
      if (o) { if (e.metaKey || e.ctrlKey) window.open(o.dataset.href); else location.href = o.dataset.href!; }
      e.preventDefault();
    }
  });
  document.addEventListener("htmx:after:swap", () => { if (dialog.open && current() < 0) pick(0); });
}
export {};
