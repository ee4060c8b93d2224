// Pause, resume, requeue, release, abandon: asked back, with a reason, then handed to the API.
import { refresh } from "./live.js";

const MEANS = {
  pause: "ajrd does nothing to this job until it is resumed. It still watches.",
  resume: "ajrd acts on this job again.",
  requeue: "Ends the running attempt and starts the job anew. Work since its last checkpoint is lost.",
  release: "Lets the job go if it is held.",
  abandon: "ajrd gives up what it is doing to this job, and leaves it as it is.",
};
const part = (name) => document.getElementById(`steer${name}`);

function problem(words) {
  part("-problem").textContent = words;
  part("-problem").hidden = !words;
}

async function said(response) {
  try {
    const { title, detail } = await response.json();
    return detail || title || response.statusText;
  } catch {
    return response.statusText || "The service did not answer.";
  }
}

async function ask(address, verb, reason) {
  const response = await fetch(`${address}/${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Ajrd": "1", Accept: "application/json" },
    body: JSON.stringify({ reason }),
  });
  return response.ok ? "" : said(response);
}

function prepare(button) {
  const { verb } = button.dataset;
  part("").dataset.verb = verb;
  part("").dataset.api = button.closest("[data-api]").dataset.api;
  part("-says").textContent = MEANS[verb];
  part("-title").textContent = button.textContent;
  part("-do").textContent = button.textContent;
  part("-reason").value = "";
  problem("");
  part("").showModal();
  part("-reason").focus();
}

export function steering() {
  const dialog = part("");
  if (!dialog) return;
  document.getElementById("job").addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-verb]");
    if (button) prepare(button);
  });
  part("-back").addEventListener("click", () => dialog.close());
  part("-do").addEventListener("click", async () => {
    const { api, verb } = dialog.dataset;
    const reason = part("-reason").value.trim();
    if (!reason) {
      problem("Say why.");
      part("-reason").focus();
      return;
    }
    part("-do").disabled = true;
    try {
      const words = await ask(api, verb, reason);
      problem(words);
      if (!words) dialog.close();
    } catch {
      problem("The service cannot be reached.");
    } finally {
      part("-do").disabled = false;
      refresh();
    }
  });
}
