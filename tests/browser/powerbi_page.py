"""The README's page with Power BI in headless Chromium, with the vendor's own client, unmodified.

    .tools/venv/bin/python tests/browser/powerbi_page.py --sidecar http://127.0.0.1:8190 --emulator https://127.0.0.1:8199

The sidecar has an embed `finance` with `app_url: https://app.powerbi.com`, `min_ttl` and `stale_until` of 601 s. The
client takes no other host than the vendor's, so the browser is told that the emulator is that host. Prints a line for
each promise that was kept; exit code 1 with the broken one on stderr.
"""

import argparse
import contextlib
import http.server
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from browser import ROOT, console, open_browser, wait_for

SECTION = "### A page with Power BI"
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>A host app</title>
<link rel="icon" href="data:,">
<style>html, body, #report, iframe {{ height: 100%; width: 100%; margin: 0; border: 0; }}</style>
<div id="report"></div>
<script src="/powerbi.min.js"></script>
<script type="module">
{snippet}
</script>
"""
# What the frame is told by the page around it, and when the page means to come back: noted before any script runs.
NOTES = """
    window.told = [];
    window.timers = [];
    const timer = window.setTimeout;
    window.setTimeout = (act, wait, ...more) => { window.timers.push(wait); return timer(act, wait, ...more); };
    addEventListener("message", ({ data }) => { if (data && data.url) window.told.push([data.method, data.url, data.body]); });
"""
# The vendor's sample page, and so the sidecar, renews ten minutes before the end: this token is due after two seconds.
SHORT = 603
FRAME = "#report iframe"


def snippet():
    """The JavaScript of the README's section, as it stands."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(SECTION, 1)[1]
    return section.split("```js\n", 1)[1].split("```", 1)[0]


class App(http.server.BaseHTTPRequestHandler):
    """A host app: its page, the client, and tokens from the sidecar, passed on with status and Retry-After."""

    viewer = {"id": "u-1", "value": "emea"}
    sidecar = None
    asks = []

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/token":
            purpose = urllib.parse.parse_qs(url.query)["purpose"][0]
            status, wait, body = ask_sidecar(self.sidecar, dict(self.viewer), purpose)
            self.asks.append((purpose, status, json.loads(body)))
            self.answer(status, "application/json", body, {"Retry-After": wait} if wait else {})
        elif url.path == "/powerbi.min.js":
            with open(os.environ["SIDEMINT_TEST_POWERBI_CLIENT"], "rb") as client:
                self.answer(200, "text/javascript", client.read())
        else:
            self.answer(200, "text/html", PAGE.format(snippet=snippet()).encode())

    def answer(self, status, kind, body, headers={}):
        self.send_response(status)
        for header in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ask_sidecar(base, viewer, purpose):
    data = json.dumps({"viewer": viewer, "purpose": purpose}).encode()
    headers = {"Sidemint-Request": "true", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/v1/embeds/finance/token", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, None, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"], error.read()


class Emulator:
    """Its control endpoints. Its certificate is nobody's business here."""

    def __init__(self, url):
        self.url = f"{url}/_emulator"
        self.trust = ssl._create_unverified_context()

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10, context=self.trust) as reply:
            return json.loads(reply.read() or "null")

    def next_token_lives(self, seconds):
        self.call("POST", "faults", {"operation": "generate_token", "token_life": seconds, "times": 1})

    @contextlib.contextmanager
    def outage(self):
        number = self.call("POST", "faults", {"operation": "generate_token", "status": 503})["id"]
        try:
            yield
        finally:
            self.call("DELETE", f"faults?id={number}")

    def credentials(self):
        """The fingerprints of the tokens that reports were shown with, in order, each once."""
        shown = self.call("GET", "requests?operation=report_data")
        return list(dict.fromkeys(request["credential"] for request in shown))


class Page:
    def __init__(self, driver, url, emulator):
        self.driver, self.url, self.emulator = driver, url, emulator

    def open(self, viewer, value):
        App.viewer.update(id=viewer, value=value)
        App.asks.clear()
        self.driver.get(self.url)

    def frame(self, condition, what, within=15.0):
        """Waits for a condition on `seen`, what the report says of itself, and `told`, what it was told."""
        wait_for(self.driver, f"document.querySelector('{FRAME}') !== null", within, f"a frame: {what}")
        self.driver.switch_to.frame(self.driver.find_element("css selector", FRAME))
        try:
            value = wait_for(self.driver, f"((seen, told) => {condition})(document.body.dataset, window.told)", within, what)
        finally:
            self.driver.switch_to.default_content()
        print(f"ok: {what}", flush=True)
        return value

    def told(self):
        """What the report was told about tokens: the URL, and the token."""
        messages = self.frame("told.length > 0 && told", "the report was told something")
        token = {"/report/load": lambda body: body["accessToken"], "/report/token": lambda body: body}
        return [(url, token[url](body)) for _, url, body in messages if url in token]

    def until_asked(self, purpose, status):
        deadline = time.monotonic() + 15
        while (purpose, status) not in [ask[:2] for ask in App.asks]:
            assert time.monotonic() < deadline, f"no {purpose} was answered by {status}: {[ask[:2] for ask in App.asks]}"
            time.sleep(0.05)


def h60(page):
    """One token to load, one when it is due, in the open report; two calls in all."""
    page.emulator.next_token_lives(SHORT)
    page.open("u-1", "emea")
    first = page.frame("seen.state === 'rendered' && seen.rows === '12' && seen.user === 'emea' && seen.tokenId",
                       "H60: the report shows the rows of emea")
    page.frame(f"seen.tokens === '2' && seen.state === 'rendered' && seen.tokenId !== '{first}'",
               "H60: the open report shows them with the second token")
    assert [ask[:2] for ask in App.asks] == [("load", 200), ("renew", 200)], f"H60: the page asked {App.asks}"
    replies = [ask[2] for ask in App.asks]
    one, two = (reply["access_token"] for reply in replies)
    assert one != two and page.told() == [("/report/load", one), ("/report/token", two)], f"H60: {page.told()}"
    assert first == replies[0]["embed"]["token_id"] and replies[0]["embed"]["token_type"] == 1
    # The next one is far, and the page knows: no call is on its way.
    due = [reply["refresh_in"] * 1000 for reply in replies]
    timers = page.driver.execute_script("return window.timers.filter((wait) => wait >= 1000)")
    assert timers == due and due[1] > 1_800_000, f"H60: the page comes back after {timers}, and was told {due}"
    assert len(page.emulator.credentials()) == 2, "H60: the vendor saw other tokens"
    print("ok: H60: /report/load with token 1, /report/token with token 2, two calls of the sidecar", flush=True)


def pending_load(page):
    """A vendor that is away when the page opens: the page waits, and then shows the report."""
    with page.emulator.outage():
        page.open("u-2", "amer")
        page.until_asked("load", 503)
        assert not page.driver.find_elements("css selector", FRAME), "there is a report without a token"
    page.frame("seen.state === 'rendered' && seen.user === 'amer'", "a load that met 503 stayed pending, and the report came", 30)


def pending_renewal(page):
    """A vendor that is away when a token is due: the open report stays, and is renewed when the vendor is back."""
    page.emulator.next_token_lives(SHORT)
    page.open("u-3", "apac")
    page.frame("seen.state === 'rendered' && seen.user === 'apac'", "a report with a token that is due soon")
    with page.emulator.outage():
        page.until_asked("renew", 503)
        page.frame("seen.state === 'rendered' && seen.tokens === '1'", "the open report stays up in an outage")
    page.frame("seen.state === 'rendered' && seen.tokens === '2'", "a renewal that met 503 stayed pending", 30)


def expired(page):
    """An outage that outlasts the token: the report says TokenExpired, and is loaded again with a new one."""
    page.emulator.next_token_lives(6)
    page.open("u-4", "nordics")
    page.frame("seen.state === 'rendered' && seen.user === 'nordics'", "a report with six seconds to live")
    with page.emulator.outage():
        page.frame("seen.state === 'error'", "the report saw its token expire", 30)
        page.until_asked("renew", 503)
    page.frame("seen.state === 'rendered' && seen.user === 'nordics'", "the page brought the report back", 30)
    told = page.told()
    fresh = App.asks[-1][2]["access_token"]
    assert told[-2:] == [("/report/token", fresh), ("/report/load", fresh)], f"the report was told {[url for url, _ in told]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sidecar", required=True)
    parser.add_argument("--emulator", required=True)
    args = parser.parse_args()
    App.sidecar = args.sidecar
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = (
        f"--host-resolver-rules=MAP app.powerbi.com {urllib.parse.urlsplit(args.emulator).netloc}",
        "--ignore-certificate-errors",
        # The frame in the page's process: what it is told can be noted before its own script runs.
        "--disable-features=IsolateOrigins,site-per-process",
        "--disable-site-isolation-trials",
    )
    with open_browser(flags=flags) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTES})
        page = Page(driver, f"http://127.0.0.1:{server.server_port}/", Emulator(args.emulator))
        for act in (h60, pending_load, pending_renewal, expired):
            act(page)
            # Refused tokens are what the page is there to survive.
            complaints = [line for line in console(driver) if "/token?purpose" not in line and "/powerbi/data?" not in line]
            assert not complaints, f"{act.__name__}: the console says {complaints}"


if __name__ == "__main__":
    main()
