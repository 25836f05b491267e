"""Headless Chromium for the tests: start it, wait for what the page shows, keep a picture.

    with open_browser() as driver:
        driver.get(url)
        wait_for(driver, "document.querySelectorAll('tr').length > 2")
        screenshot(driver, "table.png")

As a program it does the same for one page, to look at it by hand:

    .tools/venv/bin/python tests/browser/browser.py URL [--wait JS] [--click CSS] [--size 1280x900] [--screenshot FILE]

The browser and its driver are those of SIDEMINT_TEST_CHROMIUM and SIDEMINT_TEST_CHROMEDRIVER, and else the links that
scripts/setup made. Selenium must not look for others: it would download them.
"""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Selenium's own manager stays at home, and nothing between us and the driver is a proxy.
os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true", NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import JavascriptException, WebDriverException  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402

FLAGS = (
    "--headless",
    # Tests run as root in containers, where Chromium's own sandbox cannot start.
    "--no-sandbox",
    # /dev/shm is 64 MB in a container.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # A scrollbar would take its width from the page, and from its pictures.
    "--hide-scrollbars",
    "--disable-quic",
    # Everything that would talk to somebody else than the page under test.
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def tool(variable, name):
    """The path of a tool, or a failure that says how to get it."""
    path = os.environ.get(variable) or str(ROOT / ".tools" / "bin" / name)
    if not os.access(path, os.X_OK):
        raise SystemExit(f"{path} is missing: run scripts/setup, or set {variable}")
    return path


@contextlib.contextmanager
def open_browser(size=(1280, 900), flags=()):
    """A new browser with an empty profile; both are gone at the end. `flags` are added to the usual ones."""
    with tempfile.TemporaryDirectory(prefix="sidemint-browser-", ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = tool("SIDEMINT_TEST_CHROMIUM", "chromium")
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service(executable_path=tool("SIDEMINT_TEST_CHROMEDRIVER", "chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            driver.set_page_load_timeout(30)
            driver.set_script_timeout(30)
            yield driver
        finally:
            driver.quit()


def wait_for(driver, condition, within=10.0, what=None):
    """The first truthy value of a JavaScript expression, asked for every 50 ms until `within` seconds have passed.

    The condition is the event that the test waits for; the deadline only ends a test that has failed. An expression
    that throws is not true yet (the element is not there). On failure the message has the page's text and its console,
    and a picture is kept in SIDEMINT_TEST_SCREENSHOTS, if set.
    """
    deadline = time.monotonic() + within
    last = None
    while True:
        try:
            value = driver.execute_script(f"return ({condition});")
            if value:
                return value
            last = value
        except JavascriptException as error:
            last = error.msg
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    raise AssertionError(
        f"not within {within} s: {what or condition}\nlast answer: {last!r}\nat {driver.current_url}\n"
        f"the page says: {text(driver)[:2000]}\nits console: {console(driver)}{kept_picture(driver)}"
    )


def text(driver):
    return driver.execute_script("return document.body ? document.body.innerText : ''") or ""


def console(driver):
    """What the page logged since the last call, warnings and errors of the browser included."""
    return [f"{entry['level']} {entry['message']}" for entry in driver.get_log("browser")]


def click(driver, selector, within=10.0):
    """A real click, once the element is there."""
    wait_for(driver, f"document.querySelector({selector!r}) !== null", within, f"an element {selector}")
    driver.find_element("css selector", selector).click()


def screenshot(driver, path, whole_page=True):
    """A PNG of the page, or of the window alone. Returns the path."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if whole_page:
        # The protocol's own way: the window keeps its size, and with it the page its layout.
        import base64

        picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, **clip(driver)})
        path.write_bytes(base64.b64decode(picture["data"]))
    else:
        driver.save_screenshot(str(path))
    return path


def clip(driver):
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}


def kept_picture(driver):
    folder = os.environ.get("SIDEMINT_TEST_SCREENSHOTS")
    if not folder:
        return ""
    try:
        return f"\npicture: {screenshot(driver, pathlib.Path(folder) / f'failed-{os.getpid()}-{time.time_ns()}.png')}"
    except WebDriverException as error:
        return f"\nno picture: {error.msg}"


def main():
    parser = argparse.ArgumentParser(description="One page in headless Chromium.")
    parser.add_argument("url")
    parser.add_argument("--wait", metavar="JS", help="an expression to wait for")
    parser.add_argument("--within", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--click", metavar="CSS", action="append", default=[], help="before the wait; may be repeated")
    parser.add_argument("--size", default="1280x900")
    parser.add_argument("--screenshot", metavar="FILE")
    args = parser.parse_args()
    with open_browser(tuple(int(side) for side in args.size.split("x"))) as driver:
        driver.get(args.url)
        for selector in args.click:
            click(driver, selector, args.within)
        wait_for(driver, args.wait or "document.readyState === 'complete'", args.within)
        print(text(driver))
        for line in console(driver):
            print(line, file=sys.stderr)
        if args.screenshot:
            screenshot(driver, args.screenshot)


if __name__ == "__main__":
    main()
