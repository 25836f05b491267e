// What the page knows of each vendor: one entry for one `embed.kind` of the sidecar's replies. All frames have the same
// `initialize`, `destroy` and `renewNow`, and the same `state`, `renewAt` and `renewals`.

import { EmbeddedBoard } from "/boldbi-client.js";
import { EmbeddedDashboard } from "/embed-client.js";
import { EmbeddedReport } from "/report-client.js";

// For pages that renew by themselves, when the sidecar says so.
const lease = (reply) => ({
  token: reply.access_token,
  lives: reply.expires_in * 1000,
  renewIn: reply.refresh_in * 1000,
});

/** Each makes a frame of {container, first, ask, onChange}: the first reply, and a function that gets the next one. */
export const FRAMES = {
  databricks: ({ container, first, ask, onChange }) =>
    new EmbeddedDashboard({
      container,
      instanceUrl: first.embed.instance_url,
      workspaceId: first.embed.workspace_id,
      dashboardId: first.embed.dashboard_id,
      token: first.access_token,
      getNewToken: async () => (await ask()).access_token,
      onChange,
    }),

  powerbi: ({ container, first, ask, onChange }) => {
    const getNewToken = async () => lease(await ask());
    return new EmbeddedReport({ container, embed: first.embed, ...lease(first), getNewToken, onChange });
  },

  boldbi: ({ container, first, ask, onChange }) => {
    const getNewToken = async () => lease(await ask());
    return new EmbeddedBoard({ container, embed: first.embed, ...lease(first), getNewToken, onChange });
  },
};
