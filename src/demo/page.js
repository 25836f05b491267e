// The host app's page: two viewers side by side, a scoreboard, and buttons that make life hard for the vendor.

import { EmbeddedDashboard, persistently } from "/embed-client.js";

const find = (id) => document.getElementById(id);
const SHORT_LIFE_S = 320;
const BURST = 100;
let loadLimit = 20;

async function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// `cache;desc=hit, limiter;dur=0.1, mint;dur=12` as an object.
function timings(header) {
  const found = {};
  for (const part of (header || "").split(",")) {
    const [name, ...details] = part.trim().split(";");
    for (const detail of details) {
      const [key, value] = detail.trim().split("=");
      if (key === "dur") found[name] = Number(value);
      if (key === "desc") found[name] = value.replaceAll('"', "");
    }
  }
  return found;
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

class Pane {
  constructor(root, world, first) {
    this.root = root;
    root.append(find("pane").content.cloneNode(true));
    this.viewer = root.querySelector(".viewer");
    this.embed = root.querySelector(".embed");
    this.container = root.querySelector(".frame");
    this.viewer.append(...world.viewers.map(({ id, name }) => new Option(name, id)));
    this.embed.append(...world.embeds.map((name) => new Option(name, name)));
    this.viewer.selectedIndex = first % world.viewers.length;
    root.querySelector(".embed-label").hidden = world.embeds.length < 2;
    for (const choice of [this.viewer, this.embed]) choice.addEventListener("change", () => this.open());
    setInterval(() => this.tick(), 250);
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
      details.push(`answered in ${Math.round(performance.now() - began)} ms`, `lives ${clock(token.expires_in * 1000)}`);
      this.note(purpose, cache || "answer", details.join(" · "));
      return token;
    } catch (error) {
      this.note(purpose, "error", error.message);
      throw error;
    }
  }

  async open() {
    const turn = (this.turn = (this.turn || 0) + 1);
    this.dashboard?.destroy();
    this.dashboard = null;
    this.state("starting");
    this.container.replaceChildren(element("p", "waiting", "Waiting for a token …"));
    try {
      const first = await this.ask("load");
      // Somebody else was picked meanwhile.
      if (turn !== this.turn) return;
      this.dashboard = new EmbeddedDashboard({
        container: this.container,
        instanceUrl: first.embed.instance_url,
        workspaceId: first.embed.workspace_id,
        dashboardId: first.embed.dashboard_id,
        token: first.access_token,
        getNewToken: async () => (await this.ask("renew")).access_token,
        onChange: (dashboard) => turn === this.turn && this.changed(dashboard),
      });
      this.dashboard.initialize();
    } catch (error) {
      if (turn !== this.turn) return;
      this.container.replaceChildren(element("p", "failed", error.message));
      this.state("failed");
    }
  }

  changed(dashboard) {
    this.root.dataset.renewals = String(dashboard.renewals);
    this.state(dashboard.state);
    this.tick();
  }

  state(name) {
    this.root.dataset.state = name;
  }

  tick() {
    const countdown = this.root.querySelector(".countdown");
    const { state, renewAt } = this.dashboard || {};
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
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function score(stats) {
  const { views, upstream, upstream_calls: calls, vendor_example_calls: example, loads } = stats;
  loadLimit = loads.limit_per_second;
  find("views").textContent = views.toLocaleString("en");
  find("calls").textContent = calls.toLocaleString("en");
  find("calls-by").textContent =
    `${upstream.service_token} service token, ${upstream.token_info} tokeninfo, ${upstream.mint} mint`;
  find("example").textContent = example.toLocaleString("en");
  find("saved").textContent = example > calls ? `${Math.round((1 - calls / example) * 100)} %` : "–";
  find("peak").textContent = String(loads.peak_per_second);
  find("loads").textContent = `limit ${loads.limit_per_second}, ${loads.refused} refused`;
  find("outage").checked = stats.outage;
  find("short-life").checked = stats.token_life !== null;
  const notice = find("notice");
  notice.classList.toggle("warn", stats.outage);
  if (stats.outage) notice.textContent = "The vendor answers 503 to every token request.";
  else if (stats.token_life !== null) notice.textContent = `Tokens live ${stats.token_life} s: renewal every ${stats.token_life - 300} s.`;
  else notice.textContent = "";
}

async function refreshScore() {
  try {
    score(await (await fetch("/api/stats")).json());
  } catch {
    find("notice").textContent = "The host app does not answer.";
  }
}

// Reads a body of JSON lines as they come.
async function eachLine(body, see) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) see(JSON.parse(line));
  }
}

// One block for each second, with a slot for each load that the vendor allows in it.
class Seconds {
  constructor(root, limit) {
    this.root = root;
    this.limit = limit;
    this.blocks = [];
    root.replaceChildren();
  }

  add(place, title, className) {
    while (this.blocks.length <= place) this.grow();
    const { slots, count } = this.blocks[place];
    const slot = slots.querySelector("i:not([class])") || slots.appendChild(document.createElement("i"));
    slot.className = className;
    slot.title = title;
    count.textContent = String(slots.querySelectorAll("i[class]").length);
  }

  grow() {
    const block = element("div", "second", "");
    const head = element("p", "", `second ${this.blocks.length + 1}`);
    const count = element("b", "", "0");
    const slots = element("div", "slots", "");
    slots.append(...Array.from({ length: this.limit }, () => document.createElement("i")));
    head.append(count);
    block.append(head, slots);
    this.root.append(block);
    this.blocks.push({ slots, count });
  }
}

async function burst(embed) {
  const panel = find("burst-panel");
  const seconds = new Seconds(find("seconds"), loadLimit);
  let [started, failed, hits, first] = [0, 0, 0, null];
  panel.hidden = false;
  panel.dataset.state = "running";
  find("burst").disabled = true;
  const show = () => {
    const waiting = BURST - started - failed;
    const parts = [`${started} started`, `${failed} failed`];
    parts.push(waiting ? `${waiting} waiting their turn` : `${hits} from the cache`);
    find("burst-text").textContent = parts.join(" · ");
    Object.assign(panel.dataset, { started, failed, hits });
  };
  show();
  const reply = await post("/api/burst", { count: BURST, embed });
  await eachLine(reply.body, (view) => {
    const good = view.status === 200 && view.load === 200;
    if (good) started += 1; else failed += 1;
    if (timings(view.server_timing).cache === "hit") hits += 1;
    const title = good ? `started after ${view.at_ms} ms` : `token ${view.status}, load ${view.load ?? "not asked for"}`;
    // Seconds count from the first start: what stood in its way belongs to the burst before.
    first ??= view.at_ms || 0;
    seconds.add(Math.max(0, Math.floor(((view.at_ms || first) - first) / 1000)), `viewer ${view.place + 1}: ${title}`, good ? "good" : "bad");
    show();
  });
  panel.dataset.state = "done";
  find("burst").disabled = false;
  refreshScore();
}

async function begin() {
  const world = await (await fetch("/api/viewers")).json();
  find("status-link").href = world.status_url;
  find("emulator-link").href = world.emulator_url;
  const panes = [new Pane(find("pane-a"), world, 0), new Pane(find("pane-b"), world, 1)];
  const all = (act) => panes.forEach(act);
  find("view").addEventListener("click", () => all((pane) => pane.open()));
  find("renew").addEventListener("click", () => all((pane) => pane.dashboard?.renewNow()));
  find("burst").addEventListener("click", () => burst(panes[0].embed.value).catch(() => {
    find("burst-panel").dataset.state = "failed";
    find("burst").disabled = false;
  }));
  find("outage").addEventListener("change", async (event) => {
    score(await (await post("/api/outage", { on: event.target.checked })).json());
  });
  find("short-life").addEventListener("change", async (event) => {
    score(await (await post("/api/token-life", { seconds: event.target.checked ? SHORT_LIFE_S : null })).json());
    all((pane) => pane.open());
  });
  all((pane) => pane.open());
  document.body.dataset.state = "ready";
  setInterval(refreshScore, 1000);
  refreshScore();
}

begin();
