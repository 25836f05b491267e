//! `/openapi.json` is the truth: requests made from it, and every reply one that it describes.

use std::process::Command;

use serde_json::Value;

use crate::support::bold_bi::BoldBi;
use crate::support::{Settings, Sidecar, Vendor, outcome, python};

fn walk(sidecar: &Sidecar, more: &[&str]) {
    let mut command = Command::new(python());
    let url = format!("http://{}", sidecar.listen);
    command.args(["tests/python/openapi_walk.py", "--url", &url, "--embed", "sales", "--upstream", "acme"]).args(more);
    let ended = outcome(command);
    let walk: Value = serde_json::from_str(ended.out.trim()).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(walk["broken"], Value::Array(Vec::new()), "{walk:#}");
    assert!(walk["requests"].as_u64().is_some_and(|requests| requests > 60), "{walk}");
    for status in ["200", "400", "403", "404", "413", "415", "422"] {
        assert!(walk["statuses"][status].as_u64().is_some_and(|times| times > 0), "{status} never came: {walk}");
    }
}

#[test]
fn every_reply_is_one_that_the_document_describes() {
    let vendor = Vendor::start();
    let settings =
        Settings { upstream: "metadata_service: true\nservice_token_endpoint: true".to_owned(), ..Settings::default() };
    walk(&Sidecar::with(&vendor, &settings).ready(), &["--databricks-host", &vendor.url()]);
}

#[test]
fn so_is_every_reply_of_an_embed_of_bold_bi() {
    let vendor = Vendor::start();
    let mut bold = BoldBi::of(&vendor);
    // Roles and attributes are no part of it, so whoever asks is shown the same.
    bold.embed = bold.embed.replace("viewer.value", "viewer.id") + ", anonymous_group: Embed viewers";
    walk(&Sidecar::of(bold.files(&vendor), &[]).ready(), &["--boldbi"]);
}
