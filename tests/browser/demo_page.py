"""The demo's page in headless Chromium: two viewers, renewal, bursts, an outage.

    .tools/venv/bin/python tests/browser/demo_page.py URL [--screenshots FOLDER]

It takes about a minute: the shortest tokens that the vendor's protocol allows are renewed after 20 seconds. Prints a
line for each promise that was kept; exit code 1 with the broken one on stderr.
"""

import argparse
import pathlib

from browser import click, console, open_browser, screenshot, wait_for

PANES = ("pane-a", "pane-b")


def part(name):
    """A JavaScript expression for the element of this test id."""
    return f"document.querySelector('[data-testid=\"{name}\"]')"


class Demo:
    def __init__(self, driver, folder):
        self.driver = driver
        self.folder = folder

    def until(self, what, condition, within=15.0):
        wait_for(self.driver, condition, within, what)
        print(f"ok: {what}", flush=True)

    def press(self, name):
        # The switches are labels around hidden boxes, which only a script can click.
        self.driver.execute_script(f"{part(name)}.click()")

    def dashboard(self, pane, condition, what, within=15.0):
        """Waits for a condition on `seen`, the data that the dashboard inside an iframe shows of itself."""
        self.driver.switch_to.frame(self.driver.find_element("css selector", f"#{pane} iframe"))
        try:
            wait_for(self.driver, f"((seen) => {condition})(document.body.dataset)", within, f"{pane}: {what}")
        finally:
            self.driver.switch_to.default_content()
        print(f"ok: {pane}: {what}", flush=True)

    def both(self, condition, what, within=15.0):
        for pane in PANES:
            self.until(f"{pane} has a dashboard", f"{part(pane)}.dataset.state === 'loaded'", within)
            self.dashboard(pane, condition, what, within)

    def picture(self, name):
        if self.folder:
            screenshot(self.driver, self.folder / f"{name}.png")


def views(demo):
    for pane, region in zip(PANES, ("emea", "amer")):
        demo.until(f"{pane} has a dashboard", f"{part(pane)}.dataset.state === 'loaded'")
        rows = f"seen.state === 'loaded' && seen.value === '{region}' && seen.rows === '12'"
        demo.dashboard(pane, rows, f"the rows of {region}")
    demo.picture("two-viewers")
    choose = "const s = document.querySelector('#pane-b .viewer'); s.value = 'v-1004'; s.dispatchEvent(new Event('change'))"
    demo.driver.execute_script(choose)
    demo.until("another viewer is signed in", f"{part('pane-b')}.dataset.state === 'loaded'")
    demo.dashboard("pane-b", "seen.state === 'loaded' && seen.value === 'nordics'", "the rows of nordics")


def renewal(demo):
    click(demo.driver, '[data-testid="renew-now"]')
    demo.both("seen.tokens === '2'", "a second token is in use")
    demo.until("a renewal of a token that has long to live is a hit", f"{part('pane-a')}.dataset.outcome === 'hit'")


def bursts(demo):
    panel = f"{part('burst-panel')}.dataset"
    for place, hits in ((1, 0), (2, 100)):
        click(demo.driver, '[data-testid="burst"]')
        demo.until(f"burst {place} runs", f"{panel}.state === 'running'")
        demo.until(f"burst {place} ends", f"{panel}.state === 'done'", 30)
        seen = demo.driver.execute_script(f"return [{panel}.started, {panel}.failed, {panel}.hits]")
        assert seen == ["100", "0", str(hits)], f"burst {place}: started, failed, hits are {seen}"
        demo.picture(f"burst-{place}")
    demo.until("no second held more than 20 loads", f"+{part('peak-loads')}.textContent <= 20")


def outage(demo):
    demo.press("short-life")
    demo.until("tokens are short", f"{part('countdown')}.textContent.startsWith('0:')")
    demo.both("seen.state === 'loaded' && seen.tokens === '1'", "the dashboard is open again")
    demo.both("seen.tokens >= 2", "the token was renewed in the page", 40)
    demo.press("outage")
    waits = " && ".join(f"['wait', 'stale'].includes({part(pane)}.dataset.outcome)" for pane in PANES)
    demo.until("both pages feel the outage", waits, 60)
    for pane in PANES:
        demo.dashboard(pane, "seen.state === 'loaded'", "the dashboard stays up")
    demo.picture("outage")
    demo.press("outage")
    goes_on = " && ".join(f"['miss', 'hit', 'coalesced'].includes({part(pane)}.dataset.outcome)" for pane in PANES)
    demo.until("renewal goes on", goes_on, 60)
    demo.both("seen.state === 'loaded'", "the dashboard is up")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--screenshots", type=pathlib.Path, metavar="FOLDER")
    args = parser.parse_args()
    with open_browser((1400, 1000)) as driver:
        driver.get(args.url)
        demo = Demo(driver, args.screenshots)
        for act in (views, renewal, bursts, outage):
            act(demo)
        # A 503 on the way through the outage is what the page is there to survive.
        complaints = [line for line in console(driver) if "503" not in line]
        assert not complaints, f"the console says {complaints}"


if __name__ == "__main__":
    main()
