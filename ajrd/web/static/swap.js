// Puts a part of the page in the place of its older self; focus, open details and tooltips stay.
import { openKey, reopen } from "./tips.js";

export const keyed = (root, key) => root.querySelector(`[data-key="${CSS.escape(key)}"]`);

export function swap(root, html) {
  const active = document.activeElement;
  const focused = root.contains(active) ? active.closest("[data-key]")?.dataset.key : null;
  const details = [...root.querySelectorAll("details[open][id]")].map(({ id }) => id);
  const inside = [...root.querySelectorAll("input, select, textarea")].includes(active);
  if (inside) return;
  const scrolled = [...root.querySelectorAll(".scroll")].map(({ scrollLeft }) => scrollLeft);
  const told = openKey();
  root.innerHTML = html;
  for (const id of details) root.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  root.querySelectorAll(".scroll").forEach((each, n) => (each.scrollLeft = scrolled[n] ?? 0));
  if (focused) keyed(root, focused)?.focus({ preventScroll: true });
  reopen(told);
}
