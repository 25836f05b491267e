// The host app's page: what all vendors show one viewer side by side, or one vendor two viewers; a scoreboard; and
// buttons that make life hard for the vendors.

import { burst } from "/burst.js";
import { element, find, post, timings, titleOf } from "/common.js";
import { persistently } from "/embed-client.js";
import { FRAMES } from "/vendors.js";

const RENEW_AFTER_S = 20;
let vendors = [];

class Pane {
  constructor(root, world, changed) {
    this.root = root;
    root.append(find("pane").content.cloneNode(true));
    this.viewer = root.querySelector(".viewer");
    this.embed = root.querySelector(".embed");
    this.container = root.querySelector(".frame");
    this.viewer.append(...world.viewers.map(({ id, name }) => new Option(name, id)));
    this.embed.append(...world.embeds.map((embed) => new Option(titleOf(embed), embed.name)));
    root.querySelector(".embed-label").hidden = world.embeds.length < 2;
    for (const choice of ["viewer", "embed"]) this[choice].addEventListener("change", () => changed(this, choice));
    setInterval(() => this.tick(), 250);
  }

  close() {
    this.turn = (this.turn || 0) + 1;
    this.frame?.destroy();
    this.frame = null;
    this.root.querySelector(".answers").replaceChildren();
  }

  // Asks the app's own server. The promise stays pending over an outage: see embed-client.js.
  async ask(purpose) {
    const began = performance.now();
    const body = { viewer: this.viewer.value, embed: this.embed.value, purpose };
    const onWait = (status, wait) =>
      this.note(purpose, "wait", `${status || "no answer"}: asks again in ${(wait / 1000).toFixed(1)} s`);
    try {
      const reply = await persistently(() => post("/api/token", body), onWait);
      const token = await reply.json();
      const { cache, limiter, mint } = timings(reply.headers.get("Server-Timing"));
      const details = [`limiter ${Math.round(limiter || 0)} ms`];
      if (mint !== undefined) details.push(`mint ${Math.round(mint)} ms`);
      details.push(`total ${Math.round(performance.now() - began)} ms`, `lives ${clock(token.expires_in * 1000)}`);
      this.note(purpose, cache || "answer", details.join(" · "));
      return token;
    } catch (error) {
      this.note(purpose, "error", error.message);
      throw error;
    }
  }

  async open() {
    const turn = (this.turn = (this.turn || 0) + 1);
    this.frame?.destroy();
    this.frame = null;
    this.state("starting");
    this.container.replaceChildren(element("p", "waiting", "Waiting for a token …"));
    try {
      const first = await this.ask("load");
      // Somebody else was picked meanwhile.
      if (turn !== this.turn) return;
      const frame = FRAMES[first.embed.kind];
      if (!frame) throw new Error(`This page cannot show an embed of the kind ${first.embed.kind}.`);
      this.frame = frame({
        container: this.container,
        first,
        ask: () => this.ask("renew"),
        onChange: (changed) => turn === this.turn && this.changed(changed),
      });
      this.frame.initialize();
    } catch (error) {
      if (turn !== this.turn) return;
      this.container.replaceChildren(element("p", "failed", error.message));
      this.state("failed");
    }
  }

  changed({ state, renewals }) {
    this.root.dataset.renewals = String(renewals);
    this.state(state);
    this.tick();
  }

  state(name) {
    this.root.dataset.state = name;
  }

  tick() {
    const countdown = this.root.querySelector(".countdown");
    const { state, renewAt } = this.frame || {};
    if (state === "renewing") countdown.textContent = "renewing …";
    else if (state === "failed") countdown.textContent = "failed";
    else countdown.textContent = renewAt ? clock(renewAt - Date.now()) : "–";
  }

  note(purpose, outcome, text) {
    const list = this.root.querySelector(".answers");
    const line = document.createElement("li");
    const known = ["hit", "miss", "coalesced", "stale", "wait", "error"].includes(outcome);
    line.dataset.outcome = outcome;
    line.append(
      element("time", "", new Date().toLocaleTimeString("en-GB")),
      element("span", "purpose", purpose),
      element("span", `tag ${known ? outcome : ""}`, outcome),
      element("span", "", text),
    );
    // A wait takes the place of the wait before it: one line for one outage.
    if (outcome === "wait" && list.firstChild?.dataset.outcome === "wait") list.firstChild.remove();
    list.prepend(line);
    while (list.children.length > 4) list.lastChild.remove();
    this.root.dataset.outcome = outcome;
  }
}

function clock(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const two = (count) => String(count).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

// The panes, and what they compare: one viewer's embeds, each in a pane of its own, or one embed for two viewers. What
// is not compared is the same in all panes.
class Panes {
  constructor(root, world) {
    this.world = world;
    this.compared = null;
    const changed = (pane, choice) => this.choose(pane, choice);
    this.all = Array.from({ length: Math.max(2, world.embeds.length) }, (_, place) => {
      const letter = "abcdefgh"[place];
      const section = element("section", "pane", "");
      Object.assign(section, { id: `pane-${letter}`, hidden: true });
      Object.assign(section.dataset, { testid: `pane-${letter}`, state: "closed" });
      root.append(section);
      return new Pane(section, world, changed);
    });
  }

  get shown() {
    return this.all.filter((pane) => !pane.root.hidden);
  }

  compare(what) {
    this.compared = what;
    const count = what === "embed" ? this.world.embeds.length : 2;
    this.all.forEach((pane, place) => {
      pane.root.hidden = place >= count;
      pane.close();
      for (const choice of ["viewer", "embed"]) {
        pane[choice].selectedIndex = choice === what ? place % pane[choice].length : 0;
      }
    });
    this.open();
  }

  choose(pane, choice) {
    if (choice === this.compared) {
      pane.open();
      return;
    }
    for (const other of this.all) other[choice].value = pane[choice].value;
    this.open();
  }

  open() {
    for (const pane of this.shown) pane.open();
  }
}

function score(stats) {
  const { views, upstream_calls: calls, vendor_example_calls: example, loads, renew_after: renewAfter } = stats;
  ({ vendors } = stats);
  // A vendor and its number stay on one line; three of them may take two.
  const list = (id, say) => {
    find(id).replaceChildren(...vendors.flatMap((vendor) => [element("i", "", `${vendor.name} ${say(vendor)}`), " "]));
  };
  find("views").textContent = views.toLocaleString("en");
  list("views-by", (vendor) => vendor.views);
  find("calls").textContent = calls.toLocaleString("en");
  list("calls-by", (vendor) => vendor.calls);
  const details = ({ name, by_call: byCall }) =>
    `${name}: ${Object.entries(byCall).map(([call, count]) => `${count} ${call}`).join(", ")}`;
  find("calls-by").title = vendors.map(details).join("\n");
  find("example").textContent = example.toLocaleString("en");
  list("example-by", (vendor) => vendor.example_calls_per_view);
  find("example-by").prepend("per view: ");
  find("saved").textContent = example > calls ? `${Math.round((1 - calls / example) * 100)} %` : "–";
  find("peak").textContent = String(loads.peak_per_second);
  find("loads").textContent = `limit ${loads.limit_per_second}, ${loads.refused} refused`;
  find("outage").checked = stats.outage;
  find("short-life").checked = renewAfter !== null;
  const notice = find("notice");
  notice.classList.toggle("warn", stats.outage);
  notice.title = "";
  if (stats.outage) notice.textContent = "Every token request gets a 503.";
  else if (renewAfter !== null) {
    notice.textContent = `Tokens are renewed every ${renewAfter} s.`;
    notice.title = vendors.map((vendor) => `${vendor.name}: they live ${vendor.renewed_before + renewAfter} s`).join("\n");
  } else notice.textContent = "";
}

async function refreshScore() {
  try {
    score(await (await fetch("/api/stats")).json());
  } catch {
    find("notice").textContent = "The host app does not answer.";
  }
}

function whatToCompare(panes, world) {
  const choices = [...document.querySelectorAll('input[name="compare"]')];
  for (const choice of choices) choice.addEventListener("change", () => panes.compare(choice.value));
  find("compare").hidden = world.embeds.length < 2;
  panes.compare(world.embeds.length < 2 ? "viewer" : choices.find((choice) => choice.checked).value);
}

async function begin() {
  const world = await (await fetch("/api/viewers")).json();
  await refreshScore();
  find("status-link").href = world.status_url;
  find("emulator-link").href = world.emulator_url;
  const panes = new Panes(find("panes"), world);
  find("view").addEventListener("click", () => panes.open());
  find("renew").addEventListener("click", () => panes.shown.forEach((pane) => pane.frame?.renewNow()));
  find("burst").addEventListener("click", async () => {
    await burst(world.embeds, ({ kind }) => vendors.find((vendor) => vendor.kind === kind).loads_per_second);
    refreshScore();
  });
  find("outage").addEventListener("change", async (event) => {
    score(await (await post("/api/outage", { on: event.target.checked })).json());
  });
  find("short-life").addEventListener("change", async (event) => {
    const ask = { renew_after: event.target.checked ? RENEW_AFTER_S : null };
    score(await (await post("/api/token-life", ask)).json());
    panes.open();
  });
  whatToCompare(panes, world);
  document.body.dataset.state = "ready";
  setInterval(refreshScore, 1000);
}

begin();
