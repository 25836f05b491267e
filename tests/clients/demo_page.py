#!/usr/bin/env python3
"""The demo's page in headless Chromium: two viewers, renewal, an outage, a burst.

Usage: demo_page.py URL [FOLDER FOR SCREENSHOTS]
Needs Debian's chromium and chromium-driver, and `pip install selenium`. It takes about a minute: the shortest tokens
that the vendor's protocol allows are renewed after 20 seconds.
"""

import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1400,1240",
]
PANES = ("pane-a", "pane-b")


class Page:
    def __init__(self, url, shots):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in [*FLAGS, f"--user-data-dir={tempfile.mkdtemp()}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        self.shots = shots
        self.browser.get(url)

    def part(self, name, root=None):
        return (root or self.browser).find_element(By.CSS_SELECTOR, f'[data-testid="{name}"]')

    def click(self, name):
        # The switches are labels around hidden boxes: a script clicks both kinds.
        self.browser.execute_script("arguments[0].click()", self.part(name))

    def pane(self, name, attribute="state"):
        return self.part(name).get_attribute(f"data-{attribute}")

    def inside(self, pane):
        """What the dashboard inside the iframe says of itself."""
        self.browser.switch_to.frame(self.browser.find_element(By.CSS_SELECTOR, f"#{pane} iframe"))
        try:
            return self.browser.execute_script("return {...document.body.dataset}")
        finally:
            self.browser.switch_to.default_content()

    def until(self, what, test, seconds=15):
        WebDriverWait(self.browser, seconds, 0.1).until(lambda _: test(), what)
        print(f"ok: {what}", flush=True)

    def shot(self, name):
        if self.shots:
            self.browser.save_screenshot(str(Path(self.shots) / f"{name}.png"))

    def both_loaded(self):
        return all(self.pane(p) == "loaded" and self.inside(p).get("state") == "loaded" for p in PANES)


def main(url, shots=None):
    page = Page(url, shots)
    try:
        walk(page)
        refused = [line for line in page.browser.get_log("browser") if "503" not in line["message"]]
        assert not refused, refused
    finally:
        page.browser.quit()


def walk(page):
    page.until("both dashboards load", page.both_loaded)
    values = [page.inside(p)["value"] for p in PANES]
    assert values == ["emea", "amer"], values
    assert all(page.inside(p)["rows"] == "12" for p in PANES)
    page.shot("two-viewers")

    Select(page.part("viewer", page.part("pane-b"))).select_by_visible_text("Nordics team")
    page.until("another viewer sees other rows",
               lambda: page.pane("pane-b") == "loaded" and page.inside("pane-b").get("value") == "nordics")

    page.click("renew-now")
    page.until("a renewal within the token's life is a hit",
               lambda: page.inside("pane-a").get("tokens") == "2" and page.pane("pane-a", "outcome") == "hit")

    for place, wanted in enumerate(["0", "100"]):
        page.click("burst")
        page.until(f"burst {place + 1} runs", lambda: page.pane("burst-panel") == "running")
        page.until(f"burst {place + 1} starts all", lambda: page.pane("burst-panel") == "done", 30)
        panel = [page.pane("burst-panel", name) for name in ("started", "failed", "hits")]
        assert panel == ["100", "0", wanted], panel
        page.shot(f"burst-{place + 1}")
    assert int(page.part("peak-loads").text) <= 20, page.part("peak-loads").text

    page.click("short-life")
    page.until("short tokens are used", lambda: page.part("countdown").text.startswith("0:"))
    page.until("both dashboards load again", page.both_loaded)
    page.until("tokens are renewed in the page",
               lambda: all(page.pane(p, "renewals") == "1" and page.inside(p).get("tokens") == "2" for p in PANES), 40)

    page.click("outage")
    page.until("the page waits for the vendor", lambda: page.pane("pane-a", "outcome") in ("wait", "stale"), 60)
    assert all(page.inside(p)["state"] == "loaded" for p in PANES), "dashboards stay up"
    page.shot("outage")
    page.click("outage")
    page.until("renewal goes on after the outage", lambda: page.pane("pane-a", "outcome") in ("miss", "hit"), 60)
    page.until("both dashboards are up", page.both_loaded)


if __name__ == "__main__":
    main(*sys.argv[1:3])
