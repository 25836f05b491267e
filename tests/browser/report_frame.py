"""The emulator's page for embedded reports in headless Chromium, embedded by a page of another origin.

    .tools/venv/bin/python tests/browser/report_frame.py EMBED_URL REPORT_ID

The tokens are in FIRST, SECOND and EXPIRED. What powerbi-client posts to the frame is posted by hand: the client takes
no other host than the vendor's own. Prints a line for each promise that was kept; exit code 1 with the broken one on
stderr.
"""

import argparse
import os
import urllib.parse

from browser import open_browser, wait_for

# A page around the frame. `post` gives the status that the frame answers, `seen` has what it posts of itself.
HOST = """
window.seen = [];
const answered = {};
const frame = document.createElement("iframe");
frame.src = arguments[0];
frame.onload = () => { window.framed = true; };
window.post = (url, body) => new Promise((done) => {
  const id = String(Object.keys(answered).length);
  answered[id] = done;
  frame.contentWindow.postMessage({ method: "POST", url, headers: { id, uid: "u-1" }, body }, "*");
});
addEventListener("message", (event) => {
  const message = event.data;
  if (event.source !== frame.contentWindow) return;
  if (message.url) seen.push([message.url, message.body.message || ""].join(" ").trim());
  else answered[message.headers.id](message.statusCode);
});
document.body.append(frame);
"""


class Page:
    def __init__(self, driver):
        self.driver = driver

    def post(self, url, body):
        script = "const done = arguments[2]; post(arguments[0], arguments[1]).then(done)"
        return self.driver.execute_async_script(script, url, body)

    def shows(self, condition, what):
        """Waits for a condition on `of`, which gives the text of an element in the frame, and `data`, its dataset."""
        self.driver.switch_to.frame(self.driver.find_element("css selector", "iframe"))
        try:
            of = "(id) => document.getElementById(id).textContent"
            wait_for(self.driver, f"((of, data) => {condition})({of}, document.body.dataset)", 15, what)
        finally:
            self.driver.switch_to.default_content()
        print(f"ok: {what}", flush=True)

    def is_told(self, expected, what):
        wait_for(self.driver, f"JSON.stringify(seen) === {expected!r}", 15, what)
        self.driver.execute_script("seen.length = 0")
        print(f"ok: {what}", flush=True)


def expect(status, what):
    if status != 202:
        raise AssertionError(f"{what}: {status}")


def walk(page, report):
    config = {"type": "report", "id": report, "accessToken": os.environ["FIRST"]}
    expect(page.post("/report/load", config), "a load is answered")
    page.is_told('["/reports/u-1/events/error LoadReportFailed"]', "somebody's own token is refused")
    expect(page.post("/report/load", {**config, "tokenType": 1}), "a load is answered")
    page.is_told('["/reports/u-1/events/loaded","/reports/u-1/events/rendered"]', "loaded and rendered are told")
    page.shows("of('user') === 'emea' && data.rows === '12' && data.tokens === '2'", "the rows of emea")
    page.shows("of('time-left').startsWith('expires in ') && of('title') !== ''", "title and time left")
    expect(page.post("/report/token", os.environ["SECOND"]), "a token is answered")
    page.shows("of('user') === 'apac' && data.state === 'rendered'", "another token without another load")
    expect(page.post("/report/token", os.environ["EXPIRED"]), "a token is answered")
    page.is_told('["/reports/u-1/events/error TokenExpired"]', "an expired token is told")
    expect(page.post("/report/token", os.environ["FIRST"]), "a token is answered")
    page.shows("data.state === 'error' && of('time-left') === 'expired'", "a new token comes too late")
    expect(page.post("/report/load", {**config, "tokenType": 1}), "a load is answered")
    page.shows("data.state === 'rendered' && of('user') === 'emea'", "loaded again")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("report")
    args = parser.parse_args()
    with open_browser() as driver:
        # Any page of another origin will do, as long as it is of this machine too: from elsewhere the browser would not
        # let it embed one of this machine.
        address = urllib.parse.urlsplit(args.url)
        driver.get(f"http://localhost:{address.port}/")
        driver.execute_script(HOST, args.url)
        wait_for(driver, "framed", 15, "the frame is there")
        walk(Page(driver), args.report)


if __name__ == "__main__":
    main()
