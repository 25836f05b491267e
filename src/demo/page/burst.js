// The burst: a hundred viewers open an embed at the same moment, and one lane for each embed shows who started when.
//
// One embed after the other, those without a limit first: vendors, app and sidecar of the demo share one thread, where
// work for one vendor delays the loads of another by more than the limit's window can absorb.

import { element, find, post, timings, titleOf } from "/common.js";

const VIEWERS = 100;

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

// One block for each second, with a slot for each load that the vendor allows in it, or for all where it allows them.
class Seconds {
  constructor(root, limit) {
    this.root = root;
    this.limit = limit ?? VIEWERS;
    this.blocks = [];
    root.classList.toggle("unlimited", limit === null);
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

class Lane {
  constructor(embed, limit) {
    this.embed = embed;
    this.root = element("div", "lane", "");
    this.root.dataset.embed = embed.name;
    this.text = element("span", "", "");
    const head = element("div", "burst-head", "");
    head.append(element("b", "", titleOf(embed)), this.text);
    const seconds = element("div", "seconds", "");
    this.root.append(head, seconds);
    this.limit = limit;
    this.seconds = new Seconds(seconds, limit);
    this.counts = { started: 0, failed: 0, hits: 0 };
    this.first = null;
    this.show();
  }

  show() {
    const { started, failed, hits } = this.counts;
    const waiting = VIEWERS - started - failed;
    const rule = this.limit === null ? "no limit" : `${this.limit} loads a second`;
    const last = waiting ? `${waiting} waiting their turn` : `${hits} from the cache`;
    this.text.textContent = [rule, `${started} started`, `${failed} failed`, last].join(" · ");
    Object.assign(this.root.dataset, this.counts);
  }

  see(view) {
    const good = view.status === 200 && view.load === 200;
    this.counts[good ? "started" : "failed"] += 1;
    if (timings(view.server_timing).cache === "hit") this.counts.hits += 1;
    const title = good ? `started after ${view.at_ms} ms` : `token ${view.status}, load ${view.load ?? "not asked for"}`;
    // Seconds count from the first start: what stood in its way belongs to the burst before.
    this.first ??= view.at_ms || 0;
    const second = Math.floor(((view.at_ms || this.first) - this.first) / 1000);
    this.seconds.add(Math.max(0, second), `viewer ${view.place + 1}: ${title}`, good ? "good" : "bad");
    this.show();
  }

  async run() {
    const reply = await post("/api/burst", { count: VIEWERS, embed: this.embed.name });
    await eachLine(reply.body, (view) => this.see(view));
  }
}

/** `limitOf` tells how many loads the vendor of an embed allows in a second; null is any number. */
export async function burst(embeds, limitOf) {
  const panel = find("burst-panel");
  const lanes = embeds.map((embed) => new Lane(embed, limitOf(embed)));
  find("lanes").replaceChildren(...lanes.map((lane) => lane.root));
  panel.hidden = false;
  panel.dataset.state = "running";
  find("burst").disabled = true;
  try {
    const inTurn = [...lanes].sort((one, other) => (one.limit ?? 0) - (other.limit ?? 0));
    for (const lane of inTurn) await lane.run();
    panel.dataset.state = "done";
  } catch {
    panel.dataset.state = "failed";
  } finally {
    find("burst").disabled = false;
  }
}
