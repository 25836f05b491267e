// A host app with Node alone (18 or later): one page, and one POST to the sidecar for its tokens.
//
//     SIDEMINT_URL=http://127.0.0.1:8190 EMBED=default node examples/host-app/app.mjs

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const env = process.env;
const SIDECAR = env.SIDEMINT_URL ?? "http://127.0.0.1:8190";
const EMBED = env.EMBED ?? "default";
const page = readFileSync(new URL("page.html", import.meta.url));
// The vendor's browser client: the URL of its module, as the vendor's page on embedding gives it. Unset: the demo's.
const CLIENT = env.AIBI_CLIENT;
const standIn = CLIENT ? null : readFileSync(new URL("../../src/demo/page/embed-client.js", import.meta.url));

// Who looks. Yours comes from the session of a signed-in user, never from what the browser says.
function viewerOf(_request) {
  return { id: env.VIEWER_ID ?? "u-4711", value: env.VIEWER_VALUE ?? "emea" };
}

async function ask(viewer, purpose) {
  const reply = await fetch(`${SIDECAR}/v1/embeds/${EMBED}/token`, {
    method: "POST",
    headers: { "Sidemint-Request": "true", "Content-Type": "application/json" },
    body: JSON.stringify({ viewer, purpose }),
  });
  return { status: reply.status, retryAfter: reply.headers.get("Retry-After"), body: await reply.text() };
}

const lost = { status: 503, retryAfter: "1", body: '{"detail": "the sidecar does not answer"}' };

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://app");
  const answer = (status, type, body, headers = {}) =>
    response.writeHead(status, { "Content-Type": type, ...headers }).end(body);
  if (url.pathname === "/") return answer(200, "text/html; charset=utf-8", page);
  if (url.pathname === "/client.js" && CLIENT) return answer(302, "text/plain", "", { Location: CLIENT });
  if (url.pathname === "/client.js") return answer(200, "text/javascript", standIn);
  if (url.pathname !== "/token") return answer(404, "text/plain", "not here\n");
  const purpose = url.searchParams.get("purpose") === "renew" ? "renew" : "load";
  const { status, retryAfter, body } = await ask(viewerOf(request), purpose).catch(() => lost);
  const headers = { "Cache-Control": "no-store", ...(retryAfter && { "Retry-After": retryAfter }) };
  answer(status, "application/json", body, headers);
});

const port = Number(env.PORT ?? 3000);
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
