// The iframe side of the embedding protocol (databricks.md sections 4.2 to 4.4), and a small dashboard.
"use strict";

const REFRESH_MS = 3000;
const PRODUCTS = [["hardware", "#2f6fde"], ["services", "#17a398"], ["licences", "#f2a541"]];

const find = (id) => document.getElementById(id);
const [, , , firstDashboard] = location.pathname.split("/");
// Only the page that embeds this one may talk to it, and it is known by the referrer alone: a host page with
// `Referrer-Policy: no-referrer` gets no READY, as with the real thing.
const hostOrigin = document.referrer ? new URL(document.referrer).origin : null;

let dashboard = firstDashboard;
let token = tokenOfUrl();
let tokens = token ? 1 : 0;
let loaded = false;

function tokenOfUrl() {
  const hash = location.hash.slice(1);
  if (hash.startsWith("token=")) return hash.slice("token=".length);
  return new URLSearchParams(location.search).get("token");
}

function claims() {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

function state(name, why) {
  document.body.dataset.state = name;
  find("error").classList.toggle("on", Boolean(why));
  find("why").textContent = why || "";
}

async function ask(method, what) {
  const url = `/api/emulator/dashboards/${encodeURIComponent(dashboard)}/${what}`;
  const reply = await fetch(url, { method, headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(body.name || body.message || `The data could not be read (${reply.status}).`);
  return body;
}

// The first request of a page is the load that the vendor counts; all later ones are refreshes.
async function start() {
  if (!token) return state("error", "No token was given. Sign-in by session cookie is not emulated.");
  state("loading");
  try {
    draw(await ask("POST", "load"));
    loaded = true;
    state("loaded");
  } catch (error) {
    state("error", error.message);
  }
}

async function refresh() {
  if (!loaded) return;
  try {
    draw(await ask("GET", "data"));
    state("loaded");
  } catch (error) {
    state("error", error.message);
  }
}

function receive(event) {
  if (!hostOrigin || event.origin !== hostOrigin || !event.data) return;
  const message = event.data;
  if (message.type === "DATABRICKS_SET_CONFIG") {
    find("logo").hidden = Boolean(message.config && message.config.hideDatabricksLogo);
  } else if (message.type === "DATABRICKS_SET_TOKEN" && token) {
    token = message.token;
    tokens += 1;
    if (loaded) refresh(); else start();
  } else if (message.type === "DATABRICKS_NAVIGATE") {
    dashboard = message.dashboardId;
    loaded = false;
    start();
  }
}

function money(thousands) {
  return `$${(thousands / 1000).toFixed(1)}m`;
}

function draw(data) {
  const rows = data.rows.map((row) => ({ ...row, revenue: row.hardware + row.services + row.licences }));
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const best = rows.reduce((top, row) => (row.revenue > (top ? top.revenue : 0) ? row : top), null);
  find("title").textContent = data.title;
  find("value").textContent = data.external_value ? `region = ${data.external_value}` : "";
  find("revenue").textContent = rows.length ? money(sum("revenue") / 1000) : "–";
  find("orders").textContent = rows.length ? sum("orders").toLocaleString("en") : "–";
  find("best").textContent = best ? monthName(best.month) : "–";
  find("refreshed").textContent = `refreshed ${new Date().toLocaleTimeString("en-GB")}`;
  document.body.dataset.rows = String(rows.length);
  document.body.dataset.value = data.external_value;
  legend();
  chart(rows);
  table(rows);
}

function monthName(month) {
  return new Date(`${month}-01T00:00:00Z`).toLocaleDateString("en", { month: "short", timeZone: "UTC" });
}

function legend() {
  find("legend").replaceChildren(...PRODUCTS.map(([name, colour]) => {
    const entry = document.createElement("span");
    const mark = document.createElement("i");
    mark.style.background = colour;
    entry.append(mark, name);
    return entry;
  }));
}

function shape(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

function chart(rows) {
  const svg = find("chart");
  const [width, height] = [svg.clientWidth || 640, 164];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, bottom, top] = [38, 18, 8];
  const most = Math.max(1, ...rows.map((row) => row.revenue)) * 1.05;
  const y = (value) => top + (1 - value / most) * (height - bottom - top);
  const drawn = [];
  for (const part of [0, 0.5, 1]) {
    const value = (most / 1.05) * part;
    drawn.push(shape("line", { x1: left, x2: width, y1: y(value), y2: y(value), stroke: "#e4e9ef" }));
    drawn.push(shape("text", { x: left - 6, y: y(value) + 3, "text-anchor": "end" }, money(value / 1000)));
  }
  const step = (width - left) / Math.max(1, rows.length);
  rows.forEach((row, place) => {
    let reached = 0;
    const x = left + step * place + step * 0.18;
    for (const [name, colour] of PRODUCTS) {
      const tall = y(reached) - y(reached + row[name]);
      reached += row[name];
      drawn.push(shape("rect", { x, y: y(reached), width: step * 0.64, height: Math.max(0, tall - 1), rx: 2, fill: colour }));
    }
    drawn.push(shape("text", { x: x + step * 0.32, y: height - 4, "text-anchor": "middle" }, monthName(row.month)));
  });
  if (!rows.length) {
    drawn.push(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No rows for this viewer"));
  }
  svg.replaceChildren(...drawn);
}

function table(rows) {
  find("rows").replaceChildren(...rows.slice(-5).reverse().map((row) => {
    const line = document.createElement("tr");
    const cells = [monthName(row.month), row.region, row.orders.toLocaleString("en"), money(row.revenue / 1000),
      `$${Math.round((row.revenue) / Math.max(1, row.orders)).toLocaleString("en")}`];
    line.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return line;
  }));
}

function footer() {
  const { exp } = claims();
  const left = exp ? Math.round(exp - Date.now() / 1000) : null;
  const life = left === null ? "of unknown life" : left > 0 ? `expires in ${left} s` : "expired";
  find("token").textContent = token ? `token ${tokens}, ${life}` : "no token";
  document.body.dataset.tokens = String(tokens);
}

addEventListener("message", receive);
setInterval(refresh, REFRESH_MS);
setInterval(footer, 1000);
footer();
start();
// The real page says READY a moment after its scripts ran; a parent that listens too late misses it there too.
if (hostOrigin) setTimeout(() => parent.postMessage({ type: "DATABRICKS_EMBED_READY" }, hostOrigin), 50);
