// The page that is embedded, behind dashboard/draw.js. How it takes its token is told in frame.rs.

// The page is …/embed/dashboards/{id}, its rows are at …/embed/data.
const [, site, dashboard] = location.pathname.match(/^(.*)\/dashboards\/([^/]+)\/?$/);

let token = null;
let tokens = 0;
let end = null;
let over = false;

function tell(type, details) {
  if (parent !== window) parent.postMessage({ type, ...details }, "*");
}

function fail(message) {
  state("error", message);
  tell("BOLDBI_ERROR", { message });
}

async function show() {
  const shown = token;
  state("loading");
  const reply = await fetch(`${site}/data?dashboard=${dashboard}`, {
    headers: { Authorization: `Bearer ${shown}` },
    cache: "no-store",
  }).catch(() => null);
  const body = reply ? await reply.json().catch(() => ({})) : {};
  // A newer token has come meanwhile, and its rows are on their way.
  if (shown !== token) return;
  if (!reply || !reply.ok) {
    over = Boolean(reply) && reply.status === 401;
    return fail(body.Message || `The data could not be read (${reply ? reply.status : "no answer"}).`);
  }
  over = false;
  end = performance.now() + body.expiresIn * 1000;
  find("title").textContent = body.title;
  find("user").textContent = body.user;
  find("filters").textContent = body.filters.join(" and ");
  find("token-id").textContent = body.tokenId;
  Object.assign(document.body.dataset, { user: body.user, tokenId: body.tokenId });
  drawSales(body.rows);
  footer();
  state("rendered");
  tell("BOLDBI_RENDERED", { user: body.user, tokenId: body.tokenId });
}

function take(given) {
  token = given;
  tokens += 1;
  document.body.dataset.tokens = String(tokens);
  show();
}

function receive(event) {
  const message = event.data;
  if (event.source !== parent || !message || message.type !== "BOLDBI_SET_TOKEN") return;
  if (typeof message.token === "string" && message.token) take(message.token);
  else fail("BOLDBI_SET_TOKEN came without a token.");
}

function footer() {
  if (end === null) return;
  const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
  find("time-left").textContent = left > 0 ? `expires in ${left} s` : "expired";
  document.body.dataset.left = String(left);
  // Once: the server says so too, and what it says is shown.
  if (left === 0 && !over) {
    over = true;
    show();
  }
}

addEventListener("message", receive);
setInterval(footer, 1000);
document.body.dataset.tokens = "0";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) take(given);
else if (parent === window) state("error", "No token was given: it goes behind #token=, or into a message.");
tell("BOLDBI_READY");
