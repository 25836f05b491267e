// The parent side of the vendor's documented embedding protocol, in a few lines of our own: iframe URL, READY,
// SET_CONFIG, SET_TOKEN, NAVIGATE, and a renewal 5 minutes before `exp`.
//
// It is for the demo. In production the vendor's own `@databricks/aibi-client` stands here, and `persistently` below is
// what its `getNewToken` should be wrapped in.

const RENEW_BEFORE_MS = 300_000;
// One deviation: the vendor's client asks in a tight loop when a token has less than 5 minutes left. A demo that shows
// a mistake should not also be one.
const LEAST_WAIT_MS = 1000;

export class EmbeddedDashboard {
  /**
   * options: container, instanceUrl, workspaceId, dashboardId, pageId?, token,
   *   getNewToken: () => Promise<string>, onChange?: (dashboard) => void
   */
  constructor(options) {
    this.options = options;
    this.state = "starting";
    this.renewAt = null;
    this.expiresAt = null;
    this.renewals = 0;
    this.origin = new URL(options.instanceUrl).origin;
    this.receive = this.receive.bind(this);
  }

  initialize() {
    const { container, workspaceId, dashboardId, pageId, token } = this.options;
    addEventListener("message", this.receive);
    this.frame = document.createElement("iframe");
    this.frame.title = "Dashboard";
    const page = pageId ? `/pages/${pageId}` : "";
    this.frame.src = `${this.origin}/embed/dashboardsv3/${dashboardId}${page}?o=${workspaceId}#token=${token}`;
    container.replaceChildren(this.frame);
    this.arm(token);
  }

  destroy() {
    removeEventListener("message", this.receive);
    clearTimeout(this.timer);
    this.state = "destroyed";
    this.frame?.remove();
  }

  navigate(dashboardId, pageId) {
    this.post({ type: "DATABRICKS_NAVIGATE", dashboardId, pageId });
  }

  renewNow() {
    clearTimeout(this.timer);
    return this.renew();
  }

  receive(event) {
    if (event.origin !== this.origin || event.source !== this.frame.contentWindow) return;
    if (event.data?.type !== "DATABRICKS_EMBED_READY" || this.ready) return;
    this.ready = true;
    this.post({
      type: "DATABRICKS_SET_CONFIG",
      config: { version: 1, hideRefreshButton: false, hideDatabricksLogo: false },
    });
    this.change("loaded");
  }

  arm(token) {
    this.expiresAt = lifeOf(token);
    this.renewAt = Math.max(this.expiresAt - RENEW_BEFORE_MS, Date.now() + LEAST_WAIT_MS);
    this.timer = setTimeout(() => this.renew(), this.renewAt - Date.now());
    this.change(this.state);
  }

  async renew() {
    if (this.renewing || ["destroyed", "failed"].includes(this.state)) return;
    this.renewing = true;
    this.change("renewing");
    try {
      const token = await this.options.getNewToken();
      if (this.state === "destroyed") return;
      // A page that never said READY cannot be given a token: its referrer is hidden, or it did not load.
      if (!this.ready) throw new Error("The dashboard did not load before its token had to be renewed.");
      this.post({ type: "DATABRICKS_SET_TOKEN", token });
      this.renewals += 1;
      this.state = "loaded";
      this.arm(token);
    } catch (error) {
      // As with the vendor's client: the first rejection replaces the dashboard, for good.
      if (this.state !== "destroyed") this.fail(error);
    } finally {
      this.renewing = false;
    }
  }

  fail(error) {
    const note = document.createElement("p");
    note.className = "failed";
    note.textContent = error.message;
    this.options.container.replaceChildren(note);
    this.change("failed");
  }

  post(message) {
    this.frame.contentWindow?.postMessage(message, this.origin);
  }

  change(state) {
    this.state = state;
    this.options.onChange?.(this);
  }
}

// `exp` of a JWT, in milliseconds. The signature is the vendor's to check.
function lifeOf(token) {
  const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  return JSON.parse(atob(payload)).exp * 1000;
}

/**
 * Asks until there is an answer, however long the vendor is away: the promise stays pending, and the dashboard up.
 * `ask` is a function that returns a `fetch`; 500, 503, 504, 429 and a lost connection are worth another try, nothing else is.
 */
export async function persistently(ask, onWait = () => {}) {
  for (let tries = 0; ; tries += 1) {
    const reply = await ask().catch(() => null);
    if (reply?.ok) return reply;
    if (reply && ![500, 503, 504, 429].includes(reply.status)) {
      const problem = await reply.json().catch(() => ({}));
      throw new Error(problem.detail || problem.title || problem.error || `The token was refused (${reply.status}).`);
    }
    const asked = Number(reply?.headers.get("Retry-After"));
    const seconds = asked > 0 ? asked : Math.min(2 ** tries, 8);
    // Half a second of jitter, so that pages that were refused together do not come back together.
    const wait = seconds * 1000 + Math.random() * 500;
    onWait(reply ? reply.status : 0, wait);
    await new Promise((wake) => setTimeout(wake, wait));
  }
}
