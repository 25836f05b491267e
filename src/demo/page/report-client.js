// The parent side of the vendor's window protocol for reports, in a few lines of our own: a frame at the embed URL, a
// `load` with the config once it is there, `token` for each renewal, and events that come back.
//
// It is for the demo. In production the vendor's own `powerbi-client` stands here. That one leaves renewals to the
// page, so what `renew` does is what every page with embed tokens has to do: see "A page with Power BI" in the README.

export class EmbeddedReport {
  /**
   * options: container, embed: {type, id, embed_url, token_type}, token, lives, renewIn (milliseconds),
   *   getNewToken: () => Promise<{token, lives, renewIn}>, onChange?: (report) => void
   */
  constructor(options) {
    this.options = options;
    this.state = "starting";
    this.renewAt = null;
    this.renewals = 0;
    this.origin = new URL(options.embed.embed_url).origin;
    this.uid = crypto.randomUUID();
    this.waiting = new Map();
    this.receive = this.receive.bind(this);
  }

  initialize() {
    const { container, embed } = this.options;
    addEventListener("message", this.receive);
    this.frame = document.createElement("iframe");
    this.frame.title = "Report";
    this.frame.src = embed.embed_url;
    this.frame.addEventListener("load", () => this.load().catch((error) => this.fail(error)), { once: true });
    container.replaceChildren(this.frame);
    this.arm(this.options);
  }

  destroy() {
    removeEventListener("message", this.receive);
    clearTimeout(this.timer);
    this.state = "destroyed";
    this.frame?.remove();
  }

  renewNow() {
    clearTimeout(this.timer);
    return this.renew();
  }

  load() {
    const { type, id, embed_url: embedUrl, token_type: tokenType } = this.options.embed;
    return this.post(`/${type}/load`, { type, id, embedUrl, accessToken: this.token, tokenType, uniqueId: this.uid });
  }

  setAccessToken(token) {
    return this.post(`/${this.options.embed.type}/token`, token);
  }

  // Resolves when the frame has answered.
  post(url, body) {
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.frame.contentWindow?.postMessage({ method: "POST", url, headers: { id, uid: this.uid }, body }, this.origin);
    });
  }

  receive({ origin, source, data: message }) {
    if (origin !== this.origin || source !== this.frame.contentWindow || !message?.headers) return;
    const asked = this.waiting.get(message.headers.id);
    if (asked) {
      this.waiting.delete(message.headers.id);
      if (message.statusCode < 300) asked.resolve();
      else asked.reject(new Error(message.body?.message || `The report answered ${message.statusCode}.`));
      return;
    }
    const event = message.url?.match(/\/events\/(\w+)$/)?.[1];
    if (!event) return;
    this.frame.contentWindow.postMessage({ headers: { id: message.headers.id }, statusCode: 202 }, this.origin);
    if (event === "rendered") this.change("loaded");
    // A laptop that slept through the renewal. A new token alone does not bring the report back.
    if (event === "error" && message.body?.message === "TokenExpired") this.reload();
  }

  async reload() {
    await this.renewNow();
    if (this.state === "loaded") await this.load().catch((error) => this.fail(error));
  }

  arm({ token, lives, renewIn }) {
    this.token = token;
    this.expiresAt = Date.now() + lives;
    this.renewAt = Date.now() + renewIn;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.renew(), renewIn);
    this.change(this.state);
  }

  // One at a time: who comes second waits for the first.
  renew() {
    this.renewing ??= this.renewOnce().finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  async renewOnce() {
    if (["destroyed", "failed"].includes(this.state)) return;
    this.change("renewing");
    try {
      const next = await this.options.getNewToken();
      if (this.state === "destroyed") return;
      await this.setAccessToken(next.token);
      this.renewals += 1;
      this.state = "loaded";
      this.arm(next);
    } catch (error) {
      this.fail(error);
    }
  }

  // The open report stays until its token ends: nothing is gained by taking it away sooner.
  fail(error) {
    if (this.state === "destroyed") return;
    this.error = error;
    this.change("failed");
  }

  change(state) {
    this.state = state;
    this.options.onChange?.(this);
  }
}
