//! The demo in a real browser. A binary of its own, so that it runs alone: a page's timing is what is tested, and a
//! hundred other processes on the same cores would be what is measured.

#[path = "binary/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the black-box tests use the rest of it")]
mod support;

use std::process::Command;
use std::time::Duration;

use support::{Process, python, tool};

/// Rows 43 to 45 and the demo's own promises: see tests/browser/demo_page.py for each.
#[test]
fn rows_43_44_45_the_demo_in_a_browser() {
    let demo = Process::start(&["demo"], []);
    let page = demo.out.find("the page's address", |said| {
        said.lines()
            .map(str::trim)
            .find(|line| line.starts_with("http://") && said.contains("Ctrl-C"))
            .map(str::to_owned)
    });
    let pictures = tempfile::tempdir().expect("a folder can be made");
    let folder = std::env::var("SIDEMINT_TEST_SCREENSHOTS").unwrap_or_else(|_| pictures.path().display().to_string());
    for variable in ["SIDEMINT_TEST_CHROMIUM", "SIDEMINT_TEST_CHROMEDRIVER"] {
        tool(variable);
    }
    let mut walk = Command::new(python());
    walk.args(["tests/browser/demo_page.py", &page, "--screenshots", &folder]);
    let ended = Process::spawn(walk).end(Duration::from_secs(240));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    for promise in [
        "the rows of emea",
        "pane-b: the viewer chosen beside it",
        "the rows of amer",
        "row 43: exactly one ask",
        "row 45: pane-b fails",
        "renewal goes on",
        "pane-b: the report is back",
    ] {
        assert!(ended.out.contains(promise), "{promise} is missing in\n{}", ended.out);
    }
    assert!(demo.err.text().is_empty(), "the demo complains: {}", demo.err.text());
}
