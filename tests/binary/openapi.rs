//! `/openapi.json` is the truth: requests made from it, and every reply one that it describes.

use std::process::Command;

use serde_json::Value;

use crate::support::{Sidecar, Vendor, outcome, python};

#[test]
fn every_reply_is_one_that_the_document_describes() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let mut command = Command::new(python());
    let url = format!("http://{}", sidecar.listen);
    command.args(["tests/python/openapi_walk.py", "--url", &url, "--embed", "sales"]);
    let ended = outcome(command);
    let walk: Value = serde_json::from_str(ended.out.trim()).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(walk["broken"], Value::Array(Vec::new()), "{walk:#}");
    assert!(walk["requests"].as_u64().is_some_and(|requests| requests > 60), "{walk}");
    for status in ["200", "400", "403", "404", "413", "415", "422"] {
        assert!(walk["statuses"][status].as_u64().is_some_and(|times| times > 0), "{status} never came: {walk}");
    }
}
