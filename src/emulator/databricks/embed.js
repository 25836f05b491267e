// The iframe side of the embedding protocol (databricks.md sections 4.2 to 4.4), behind dashboard/draw.js.

const REFRESH_MS = 3000;

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

function draw(data) {
  find("title").textContent = data.title;
  find("value").textContent = data.external_value ? `region = ${data.external_value}` : "";
  document.body.dataset.value = data.external_value;
  drawSales(data.rows);
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
