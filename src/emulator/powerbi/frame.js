// The iframe side of powerbi-client's protocol (powerbi-boldbi.md section D4), behind dashboard/draw.js.
//
// The page around posts {method, url, headers: {id, uid}, body}; each is answered by {headers: {id}, statusCode, body}.
// What happens here is posted the other way, as POST /reports/{uid}/events/{name}.
const EMBED_TOKEN = 1;
const EVENTS = { dashboard: "dashboards", tile: "tile", qna: "qna" };

let config = null;
let uid = null;
let token = null;
let tokens = 0;
let end = null;
let over = false;

function answer(message, statusCode, body) {
  parent.postMessage({ headers: { id: message.headers && message.headers.id }, statusCode, body }, "*");
}

function emit(name, body) {
  const url = `/${EVENTS[config.type] || "reports"}/${uid}/events/${name}`;
  parent.postMessage({ method: "POST", url, headers: { id: crypto.getRandomValues(new Uint32Array(1))[0].toString(36) }, body }, "*");
}

function fail(message, detailedMessage, errorCode) {
  state("error", detailedMessage);
  over = message === "TokenExpired";
  if (over) end = performance.now();
  footer();
  emit("error", { message, detailedMessage, errorCode: String(errorCode), level: 6 });
}

// What is asked for: the config says it, and where it does not, the address of the frame.
function place() {
  const query = new URLSearchParams(location.search);
  const kind = config.type || "report";
  const id = {
    create: config.datasetId,
    qna: (config.datasetIds || [])[0],
    tile: config.id || query.get("tileId"),
    dashboard: config.id || query.get("dashboardId"),
  }[kind] || config.id || query.get("reportId");
  const wanted = new URLSearchParams({ kind, id: id || "" });
  const binding = config.datasetBinding && config.datasetBinding.datasetId;
  if (binding) wanted.set("dataset", binding);
  return wanted;
}

async function show() {
  const reply = await fetch(`/emulator/powerbi/data?${place()}`, {
    headers: { Authorization: `EmbedToken ${token}` },
    cache: "no-store",
  });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    const error = body.error || {};
    fail(error.code || "LoadReportFailed", error.message || `The data could not be read (${reply.status}).`, reply.status);
    return false;
  }
  end = performance.now() + body.expiresIn * 1000;
  find("title").textContent = body.title;
  find("user").textContent = body.user;
  find("token-id").textContent = body.tokenId;
  Object.assign(document.body.dataset, { user: body.user, tokenId: body.tokenId });
  drawSales(body.rows);
  footer();
  state("rendered");
  return true;
}

async function load() {
  over = false;
  state("loading");
  // Somebody's own token is the default of the client, and a common mistake.
  if (config.tokenType !== EMBED_TOKEN) {
    fail("LoadReportFailed", "Couldn't resolve cluster", 403);
  } else if (await show()) {
    emit("loaded", {});
    emit("rendered", {});
  }
}

function receive(event) {
  const message = event.data;
  // Answers to our own events have no address.
  if (event.source !== parent || !message || typeof message.url !== "string") return;
  const [, what] = message.url.match(/^\/\w+\/(\w+)$/) || [];
  if (["load", "create", "prepare", "render"].includes(what)) {
    config = message.body || config || {};
    uid = (message.headers && message.headers.uid) || config.uniqueId;
    token = config.accessToken || token;
    tokens += 1;
    answer(message, 202, {});
    if (what !== "prepare") load();
  } else if (what === "token") {
    token = message.body;
    tokens += 1;
    answer(message, 202, {});
    // A report that has seen its token expire stays as it is until it is loaded again.
    if (config && !over) show();
  } else if (what === "refresh" && config) {
    answer(message, 202, {});
    show();
  } else {
    answer(message, 404, { message: "The emulated frame does not know this." });
  }
  document.body.dataset.tokens = String(tokens);
}

function footer() {
  if (end === null) return;
  const left = Math.max(0, Math.round((end - performance.now()) / 1000));
  find("time-left").textContent = left > 0 ? `expires in ${left} s` : "expired";
  document.body.dataset.left = String(left);
  if (left === 0 && !over) show();
}

addEventListener("message", receive);
setInterval(footer, 1000);
if (parent === window) state("error", "This page is made to be embedded: it waits for powerbi-client.");
