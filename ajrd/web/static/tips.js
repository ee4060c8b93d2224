// Tooltips of triangles, by WCAG 1.4.13: shown on hover and on focus, closed by Escape, and they
// stay while the pointer is on them.
const PATIENCE = 140;
let open = null;
let timer = 0;

const tipOf = (mark) => document.getElementById(mark.dataset.tip);

function place(mark, tip) {
  const spot = mark.querySelector(".tri-shape").getBoundingClientRect();
  const box = tip.getBoundingClientRect();
  const middle = spot.left + spot.width / 2;
  const widest = document.documentElement.clientWidth - box.width - 8;
  const left = Math.max(8, Math.min(middle - box.width / 2, widest));
  const below = spot.bottom + 8;
  const fits = below + box.height <= innerHeight || spot.top - box.height - 30 < 0;
  const top = fits ? below : spot.top - box.height - 30;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${top + scrollY}px`;
}

function show(mark) {
  clearTimeout(timer);
  if (open && open.mark === mark) return;
  close();
  const tip = tipOf(mark);
  if (!tip) return;
  tip.hidden = false;
  mark.classList.add("open");
  open = { mark, tip };
  place(mark, tip);
}

function close() {
  clearTimeout(timer);
  if (!open) return;
  open.tip.hidden = true;
  open.mark.classList.remove("open");
  open = null;
}

function closeSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (open && document.activeElement !== open.mark) close();
  }, PATIENCE);
}

const within = (target, what) => (target instanceof Element ? target.closest(what) : null);

export function tooltips() {
  document.addEventListener("pointerover", ({ target }) => {
    const mark = within(target, "[data-tip]");
    if (mark) show(mark);
    else if (within(target, ".tip")) clearTimeout(timer);
    else closeSoon();
  });
  document.addEventListener("focusin", ({ target }) => {
    const mark = within(target, "[data-tip]");
    if (mark) show(mark);
    else if (!within(target, ".tip")) close();
  });
  document.addEventListener("focusout", closeSoon);
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") close();
  });
}

// The key of the triangle that is told of, to be shown again after its place was drawn anew.
export const openKey = () => open?.mark.dataset.key;

export function reopen(key) {
  open = null;
  const mark = key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (mark) show(mark);
}
