// The timeline: links that move or zoom it do so in place; keys and dragging do the same.
import { refresh } from "./live.js";
import { keyed } from "./swap.js";

const NARROW = 6; // px: less is a click
const root = () => document.getElementById("timeline");
const fragmentOf = (page) => {
  const own = new URL(root().dataset.fragment, location.href);
  const wanted = new URL(page, location.href);
  wanted.searchParams.delete("width");
  own.search = wanted.search;
  own.searchParams.set("width", width());
  return own.pathname + own.search;
};

function width() {
  const axis = root().querySelector(".axis-track");
  return Math.round(axis?.getBoundingClientRect().width || Number(root().dataset.width));
}

async function go(page, keep = true) {
  root().dataset.fragment = fragmentOf(page);
  if (keep) history.pushState(null, "", page);
  root().setAttribute("aria-busy", "true");
  await refresh();
  root().removeAttribute("aria-busy");
}

const ISO = (ms) => new Date(ms).toISOString().slice(0, 19) + "Z";

function zoomTo(chart, from, to) {
  const page = new URL(location.href);
  for (const name of ["range", "page"]) page.searchParams.delete(name);
  page.searchParams.set("from", ISO(from));
  page.searchParams.set("to", ISO(to));
  go(page.pathname + page.search);
}

function dragging() {
  let drag = null;
  const rubber = () => document.getElementById("rubber");
  const stop = () => {
    if (drag) root().classList.remove("dragging");
    const box = rubber();
    if (box) box.hidden = true;
    drag = null;
  };
  root().addEventListener("pointerdown", (event) => {
    const picture = event.target.closest?.(".picture");
    if (!picture || event.button !== 0 || event.pointerType === "touch") return;
    if (event.target.closest("a")) return;
    const { left, width } = picture.getBoundingClientRect();
    drag = { start: event.clientX, left, width };
  });
  document.addEventListener("pointermove", ({ clientX }) => {
    if (!drag || Math.abs(clientX - drag.start) < NARROW) return;
    root().classList.add("dragging");
    const within = Math.max(drag.left, Math.min(clientX, drag.left + drag.width));
    const plot = rubber().parentElement.getBoundingClientRect();
    rubber().style.left = `${Math.min(within, drag.start) - plot.left}px`;
    rubber().style.width = `${Math.abs(within - drag.start)}px`;
    rubber().hidden = false;
    drag.end = within;
  });
  document.addEventListener("pointerup", () => {
    const done = drag;
    stop();
    if (!done?.end || Math.abs(done.end - done.start) < NARROW) return;
    const chart = document.getElementById("chart");
    const [from, to] = [Number(chart.dataset.from), Number(chart.dataset.to)];
    const at = (x) => from + ((to - from) * (x - done.left)) / done.width;
    const [first, last] = [done.start, done.end].sort((a, b) => a - b);
    zoomTo(chart, at(first), at(last));
  });
  document.addEventListener("keydown", ({ key }) => key === "Escape" && stop());
}

const KEYS = { "=": "+", "_": "-" };

function keys() {
  root().addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!event.target.closest("#chart")) return;
    const name = KEYS[event.key] ?? event.key;
    const link = root().querySelector(`[data-zoom="${CSS.escape(name)}"]`);
    if (!link) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
}

export function timeline() {
  if (!root()) return;
  root().addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-nav]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { key } = link.dataset;
    go(link.getAttribute("href")).then(() => keyed(root(), key)?.focus({ preventScroll: true }));
  });
  addEventListener("popstate", () => go(location.pathname + location.search, false));
  keys();
  dragging();
  if (Math.abs(width() / Number(root().dataset.width) - 1) > 0.2) go(location.pathname + location.search, false);
}
