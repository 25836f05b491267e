// The vendor's own JavaScript SDK, unmodified, against a host: the emulator, or the sidecar's metadata service.
//
//     .tools/bin/node tests/node/sdk_against_sidecar.mjs .tools/databricks-sdk/node_modules/@databricks/sdk-experimental
//
// All that chooses the host, and how the SDK gets its token, comes from the SDK's own variables: DATABRICKS_HOST and
// DATABRICKS_METADATA_SERVICE_URL; DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET; DATABRICKS_AUTH_TYPE.
//
// Prints one line of JSON. Exit code 0: every call worked; 1: the line's `error` and `step` say what failed. No token is
// printed, only what is in it.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

async function run(folder, result) {
  result.step = "import";
  // The package is where scripts/setup puts it, not beside this file.
  const require = createRequire(import.meta.url);
  const { WorkspaceClient } = require(resolve(folder));
  result.sdk = require(join(resolve(folder), "package.json")).version;

  result.step = "authenticate";
  const client = new WorkspaceClient({});
  const headers = new Headers();
  await client.config.authenticate(headers);
  result.auth_type = client.config.authType;
  const [scheme, token = ""] = (headers.get("Authorization") ?? "").split(" ");
  result.scheme = scheme;
  result.token_claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString() || "null");

  result.step = "me";
  result.me = (await client.currentUser.me()).userName;
  if (!result.me) throw new Error("currentUser.me() has no user name");
  delete result.step;
}

// Nothing of the machine's own decides: no profile in the home directory.
const home = mkdtempSync(join(tmpdir(), "sidemint-home-"));
process.env.HOME = home;
const result = { ok: false };
try {
  await run(process.argv[2], result);
  result.ok = true;
} catch (error) {
  result.error = `${error?.name}: ${error?.message}`;
}
rmSync(home, { recursive: true, force: true });
console.log(JSON.stringify(result));
// The SDK does not read what comes with a 404, and that connection would keep the process.
process.exit(result.ok ? 0 : 1);
