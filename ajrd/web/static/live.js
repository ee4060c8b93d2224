// What happens is shown as it happens: the stream of events says that something is new, and the
// part of the page that is about it is fetched again. Where the stream fails it is asked for anew,
// and meanwhile the part is fetched every few seconds.
import { swap } from "./swap.js";

const SETTLE = 250; // ms: events come in bursts
const LEAST = 1_500; // between two fetches, however much happens
const POLL = 3_000;
const REDRAW = 30_000; // running bars grow
const AGAIN = 10_000;
const parts = () => [...document.querySelectorAll("[data-live][data-fragment]")];
let fetching = false;
let again = false;
let timer = 0;
let fetched = -LEAST;
let polling = 0;

function state(name, words) {
  const sign = document.getElementById("live");
  const said = sign.querySelector("span");
  sign.dataset.state = name;
  sign.hidden = false;
  if (said.textContent !== words) said.textContent = words;
}

async function fetchPart(part) {
  const address = part.dataset.fragment;
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  const html = await response.text();
  if (part.dataset.fragment === address && !part.classList.contains("dragging")) swap(part, html);
}

export async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  fetched = performance.now();
  try {
    await Promise.all(parts().map(fetchPart));
    if (!polling) state("live", "live");
  } catch {
    state("off", "reconnecting");
  } finally {
    fetching = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

// Events that keep coming must not put off the fetch for ever, and what nobody sees can wait.
function soon() {
  if (timer || document.hidden) return;
  const rest = fetched + LEAST - performance.now();
  timer = setTimeout(() => {
    timer = 0;
    refresh();
  }, Math.max(SETTLE, rest));
}

function tell(news) {
  if (news.event !== "anomaly") return;
  const log = document.getElementById("told");
  log.textContent = `New anomaly${news.job_id ? `, job ${news.job_id}` : ""}`;
}

function heard({ data }) {
  let news = {};
  try {
    news = JSON.parse(data);
  } catch {
    // What is no JSON is a sign of life at least.
  }
  const job = document.querySelector("[data-live][data-job]");
  if (job && news.job_id && String(news.job_id) !== job.dataset.job) return;
  tell(news);
  soon();
}

function poll(on) {
  if (on && !polling) polling = setInterval(refresh, POLL);
  if (!on) {
    clearInterval(polling);
    polling = 0;
  }
}

function listen(address) {
  const stream = new EventSource(address);
  stream.addEventListener("open", () => {
    const lost = polling > 0;
    poll(false);
    state("live", "live");
    if (lost) soon();
  });
  stream.addEventListener("error", () => {
    state("off", "reconnecting");
    poll(true);
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => listen(address), AGAIN);
  });
  stream.addEventListener("message", heard);
  stream.addEventListener("lagged", soon); // some events were left out
  stream.addEventListener("away", () => state("off", "database away"));
  stream.addEventListener("back", soon);
  addEventListener("pagehide", () => stream.close(), { once: true });
}

export function follow() {
  if (!parts().length) return;
  state("off", "connecting");
  listen(document.body.dataset.stream);
  const every = Math.min(...parts().map(({ dataset }) => 1000 * (dataset.every || REDRAW / 1000)));
  setInterval(() => document.hidden || refresh(), every);
  document.addEventListener("visibilitychange", soon);
}
