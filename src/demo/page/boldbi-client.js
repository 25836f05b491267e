// The parent side of the emulator's frame for dashboards of Bold BI, in a few lines of our own: a token once the frame
// listens, another one for each renewal, and word of what became of it.
//
// It is for the demo. In production the vendor's own browser SDK stands here. It draws into the page and renews nothing:
// a page gives it a new token by `BoldBI.create({..., embedToken})` and `loadDashboard()` anew. When to ask for it, and
// that the promise stays pending over an outage, is the page's part there as it is here.

export class EmbeddedBoard {
  /**
   * options: container, embed: {site_url, dashboard_id}, token, lives, renewIn (milliseconds),
   *   getNewToken: () => Promise<{token, lives, renewIn}>, onChange?: (board) => void
   */
  constructor(options) {
    this.options = options;
    this.state = "starting";
    this.renewAt = null;
    this.renewals = 0;
    this.origin = new URL(options.embed.site_url).origin;
    this.receive = this.receive.bind(this);
  }

  initialize() {
    const { container, embed } = this.options;
    addEventListener("message", this.receive);
    this.frame = document.createElement("iframe");
    this.frame.title = "Dashboard";
    this.frame.src = `${embed.site_url}/embed/dashboards/${encodeURIComponent(embed.dashboard_id)}`;
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

  receive({ origin, source, data: message }) {
    if (origin !== this.origin || source !== this.frame.contentWindow) return;
    if (message?.type === "BOLDBI_READY") {
      this.ready = true;
      this.give();
    } else if (message?.type === "BOLDBI_RENDERED") {
      this.shown = true;
      this.change("loaded");
    } else if (message?.type === "BOLDBI_ERROR") {
      // A token that was good and is not any more has ended: a laptop that slept, a long outage. Another one brings
      // the dashboard back. A token that was never good would not be helped by another one.
      if (this.shown) this.renewNow();
      else this.fail(new Error(message.message));
    }
  }

  // Before the frame listens there is nobody to give it to. The first one waits for that.
  give() {
    if (!this.ready) return;
    this.shown = false;
    this.frame.contentWindow?.postMessage({ type: "BOLDBI_SET_TOKEN", token: this.token }, this.origin);
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
      this.renewals += 1;
      this.arm(next);
      this.give();
    } catch (error) {
      this.fail(error);
    }
  }

  // The open dashboard stays until its token ends: nothing is gained by taking it away sooner.
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
