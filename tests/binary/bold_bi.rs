//! Bold BI with the binary: the live check, TLS, a secret that ends, and what it writes down.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use sidemint::emulator::{BoldBiUser, Fault, Operation, Settings as Vendors};

use crate::canary::{Seen, judge};
use crate::power_bi::{check, fails};
use crate::support::bold_bi::{BoldBi, VIEWER, server};
use crate::support::config::Files;
use crate::support::http::send;
use crate::support::power_bi::asked;
use crate::support::process::Ended;
use crate::support::sidecar::{JSON, PROOF};
use crate::support::{PATIENCE, Sidecar, Vendor, run};

fn check_for(files: &Files, viewer: &str) -> Ended {
    let value = ["--viewer-value", "emea"];
    run(&[&["check", "--live", "--config", &files.config(), "--viewer-id", viewer][..], &value].concat(), [])
}

/// Bold BI mints for its own users only, and the check's viewer is nobody's.
#[test]
fn a_made_up_viewer_is_worth_a_word_and_a_known_one_is_a_proof() {
    let vendor = Vendor::start();
    for upstream in ["flow: object_model", "flow: signed_query"] {
        let files = BoldBi { upstream, ..BoldBi::of(&vendor) }.files(&vendor);
        let ended = check(&files);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        for step in ["ok    config: 1 upstream(s), 1 embed(s)", "ok    resolve", "ok    connect", "ok    TLS and HTTP"]
        {
            assert!(ended.out.contains(step), "{step} is missing in\n{}", ended.out);
        }
        let warning =
            "warn  mint for embed sales: refused for a made-up viewer; name a user of Bold BI with --viewer-id";
        assert!(ended.out.contains(warning) && !ended.out.contains("FAIL"), "{}", ended.out);
        let known = check_for(&files, VIEWER);
        assert_eq!((known.code, known.err.as_str()), (Some(0), ""), "{known:?}");
        assert!(known.out.contains("ok    mint for embed sales") && !known.out.contains("warn"), "{}", known.out);
        assert!(!format!("{known:?}").contains("eyJ"));
        // Who is named and not known is no made-up viewer.
        fails(&check_for(&files, "nobody@example.com"), "mint for embed sales: ", "does not know the viewer");
    }
    let without_live = run(&["check", "--viewer-id", VIEWER], []);
    assert_eq!(without_live.code, Some(2), "{without_live:?}");
}

#[test]
fn a_wrong_secret_is_told_with_its_place_and_not_repeated() {
    let vendor = Vendor::start();
    for upstream in ["flow: object_model", "flow: signed_query"] {
        let files = BoldBi { upstream, ..BoldBi::of(&vendor) }.files(&vendor);
        files.write("secret", "bold-canary-wrong");
        vendor.clear_journal();
        for ended in [check(&files), check_for(&files, VIEWER)] {
            fails(&ended, "mint for embed sales: ", "Settings > Embed > Regenerate");
            assert!(!format!("{ended:?}").contains("canary"), "{ended:?}");
        }
        assert_eq!(vendor.count(Operation::BoldBiAuthorize), 2, "each check offers it once");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let vendor = Vendor::start();
    let own = BoldBi::of(&vendor);
    let embed = "dashboard_id: c5bab292-0000-0000-0000-000000000000".to_owned();
    let files = BoldBi { embed, ..own.clone() }.files(&vendor);
    fails(&check_for(&files, VIEWER), "mint for embed sales: ", "check dashboard_id");
    let files = BoldBi { place: own.place.replace("site1", "site2"), ..own.clone() }.files(&vendor);
    fails(&check_for(&files, VIEWER), "mint for embed sales: ", "check url and site");
    for (status, body, says) in [
        (403, "empty", "Manage permissions"),
        (200, "html", "is url the URL of the server with its path"),
        (302, "empty", "is not followed"),
        (200, "null", "no JSON object"),
    ] {
        let location = (status == 302).then(|| "https://login.example.net/x".to_owned());
        let fault = Fault { body: Some(body.into()), location, ..Fault::status("boldbi_authorize", status) };
        let number = vendor.inject(fault);
        // A made-up viewer is no excuse for these.
        fails(&check(&own.files(&vendor)), "mint for embed sales: ", says);
        vendor.remove_fault(number);
    }
    let files = own.files(&vendor);
    drop(vendor);
    fails(&check(&files), "connect: ", "");
}

#[test]
fn what_a_check_cannot_know_is_worth_a_word() {
    let vendor = server(|settings| {
        settings.opaque_tokens = true;
        settings.dot_expires = false;
    });
    let own = BoldBi::of(&vendor);
    let ended = check_for(&own.files(&vendor), VIEWER);
    let warning = "warn  neither the answer nor the token says how long it lives: 300 s are assumed";
    assert!(ended.code == Some(0) && ended.out.contains(warning), "{ended:?}");
    // Whoever is anonymous need not be known.
    let embed = format!("{}, anonymous_group: Embed viewers", own.embed);
    let ended = check(&BoldBi { embed, ..own }.files(&vendor));
    assert!(ended.code == Some(0) && !ended.out.contains("made-up"), "{ended:?}");
}

#[test]
fn bold_bi_is_reached_through_tls() {
    let vendor = Vendor::with(Vendors { tls: true, ..Vendors::default() });
    let own = BoldBi::of(&vendor);
    let trusting = BoldBi { upstream: "ca_file: FOLDER/ca.pem", ..own.clone() };
    let folder = own.files(&vendor);
    folder.write("ca.pem", vendor.ca_pem().expect("it serves TLS"));
    folder.write("config.yaml", &trusting.text(&folder));
    let sidecar = Sidecar::of(folder, &[]).ready();
    let reply = sidecar.renew(VIEWER);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let url = reply.json()["embed"]["site_url"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(url.starts_with("https://") && url.ends_with("/bi/site/site1"), "{url}");
    // Whose authority nobody here trusts gets no secret.
    let asked = vendor.asked();
    fails(&check(&own.files(&vendor)), "TLS and HTTP: ", "ca_file");
    assert_eq!(vendor.asked(), asked);
}

/// In another zone: what the vendor writes has none, and is not that of this machine.
#[test]
fn row_b4_the_zone_of_the_machine_does_not_matter() {
    let vendor = server(|settings| {
        settings.opaque_tokens = true;
        settings.announced_life = Duration::from_secs(7_200);
    });
    for zone in ["Asia/Tokyo", "America/Los_Angeles", "XXX+5"] {
        let sidecar = Sidecar::of(BoldBi::of(&vendor).files(&vendor), &[("TZ", zone.to_owned())]).ready();
        let left = sidecar.renew(VIEWER).json()["expires_in"].as_u64().expect("a number");
        assert!((7_100..=7_200).contains(&left), "{zone}: {left}");
    }
}

/// The file is looked at without anybody asking, so that the first ask after a change meets the new secret.
#[test]
fn row_b16_a_new_secret_is_in_use_within_ten_seconds() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::of(BoldBi::of(&vendor).files(&vendor), &[]).ready();
    let old = sidecar.renew(VIEWER).token();
    let begin = Instant::now();
    sidecar.files.write("secret", "bold-embed-secret-new");
    let series = "sidemint_secret_reloads_total{outcome=\"ok\",secret=\"upstreams.acme.auth\"}";
    sidecar.until("/metrics", |_| sidecar.metric(series) == 1.0);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    vendor.set_boldbi_secret("bold-embed-secret-new");
    vendor.clear_journal();
    assert_eq!(sidecar.renew("reader@example.com").status, 200);
    assert_eq!((sidecar.renew(VIEWER).token(), vendor.asked()), (old, 1), "no ask with the old one");
}

const SECRET: &str = "bold-canary-4711-secret-0815";
const WRONG_SECRET: &str = "bold-canary-4712-wrong-0816";
const VALUE: &str = "canary-value-emea-4713";
const ADDRESS: &str = "canary-viewer-4714@example.com";

const AUTHORIZE: &str = "/v1/embeds/sales/boldbi-authorize";

/// Everything that a page may post, and what it may not.
fn post(sidecar: &Sidecar, seen: &mut Seen) {
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let whole = percent(&json!({"id": ADDRESS, "value": VALUE, "attributes": {"a": VALUE}}).to_string());
    let good = json!({"embedQuerString": format!("embed_nonce={VALUE}"), "dashboardServerApiUrl": VALUE}).to_string();
    let reply = send(sidecar.listen, "POST", AUTHORIZE, &[PROOF, JSON, ("Sidemint-Viewer", &whole)], &good);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let token = reply.json()["Data"]["access_token"].as_str().expect("a token").to_owned();
    seen.tokens.push(token);
    let bad = format!("embed_user_email={ADDRESS}&embed_custom_attribute={VALUE}");
    for (headers, body) in [
        (&[PROOF, JSON, ("Sidemint-Viewer", whole.as_str())][..], json!({"embedQuerString": bad})),
        (&[PROOF, JSON, ("Sidemint-Viewer", VALUE)], json!({"embedQuerString": ""})),
        (&[PROOF, JSON, ("Sidemint-Viewer", &whole), ("Sidemint-Viewer-Value", VALUE)], json!({"embedQuerString": ""})),
        (&[PROOF, JSON], json!({"embedQuerString": "", "viewer": {"id": ADDRESS}})),
        (&[JSON, ("Sidemint-Request", SECRET)], json!({VALUE: ADDRESS})),
    ] {
        let reply = send(sidecar.listen, "POST", AUTHORIZE, headers, &body.to_string());
        assert!((400..500).contains(&reply.status), "{}", reply.text());
        seen.add("a refused page", reply.text());
    }
}

/// A vendor that says back what it was told is the worst of them.
fn faults() -> Vec<Fault> {
    let quote = format!("{SECRET} {VALUE} {ADDRESS} embed_signature=x");
    let message = json!({"Status": false, "Message": quote, "errorMessage": quote, "Data": {"access_token": quote}});
    let mut faults = Vec::new();
    for status in [200, 201, 400, 401, 403, 404, 429, 500] {
        for body in [message.to_string(), quote.clone(), format!("<html>{quote}</html>")] {
            faults.push(Fault { body: Some(body), ..Fault::status("boldbi_authorize", status) });
        }
    }
    let all = |fault: Fault| Fault { operation: "boldbi_authorize".to_owned(), ..fault };
    faults.push(all(Fault { reset: true, ..Fault::default() }));
    faults.push(all(Fault { truncate: true, ..Fault::default() }));
    faults.push(all(Fault { garbage: true, ..Fault::default() }));
    faults.push(all(Fault { location: Some(format!("https://x.example/{SECRET}?{VALUE}")), ..Fault::default() }));
    faults
}

fn nothing_is_written_down(upstream: &'static str) {
    let vendor = server(|settings| {
        settings.embed_secret = SECRET.to_owned();
        settings.users.push(BoldBiUser { email: ADDRESS.to_owned(), name: VALUE.to_owned() });
    });
    // With a directive in it, libraries are not kept quiet either.
    let log = "level: \"trace,hyper_util=trace\", audit: true";
    let sidecar = Sidecar::of(BoldBi { log, upstream, ..BoldBi::of(&vendor) }.files(&vendor), &[]).ready();
    let mut seen = Seen::default();
    let ask = |id: &str| json!({"viewer": {"id": id, "value": VALUE, "attributes": {"a": VALUE}}, "purpose": "renew"});
    for _ in 0..2 {
        seen.reply("a hand-out", &sidecar.ask(&ask(ADDRESS)));
    }
    assert_eq!(seen.tokens.len(), 2);
    post(&sidecar, &mut seen);
    for (number, fault) in faults().into_iter().enumerate() {
        vendor.inject(fault);
        seen.reply("a vendor fault", &sidecar.ask(&ask(&format!("{number}-{ADDRESS}"))));
        vendor.clear_faults();
    }
    vendor.set_boldbi_secret("another");
    seen.reply("a refused secret", &sidecar.ask(&ask(&format!("b-{ADDRESS}"))));
    sidecar.files.write("secret", WRONG_SECRET);
    seen.reply("a wrong secret", &sidecar.ask(&ask(&format!("c-{ADDRESS}"))));
    for (place, accept) in [("/status", "text/html"), ("/status", "application/json"), ("/metrics", "*/*")] {
        seen.add(place, send(sidecar.admin, "GET", place, &[("Accept", accept)], "").text());
    }
    for live in [check(&sidecar.files), check_for(&sidecar.files, ADDRESS)] {
        seen.add("check --live", live.out + &live.err);
    }
    sidecar.process.signal(Signal::TERM);
    let ended = sidecar.process.end(PATIENCE);
    seen.add("stdout", ended.out);
    seen.add("stderr", ended.err);
    judge(
        &seen,
        &[SECRET, WRONG_SECRET, VALUE, ADDRESS, "canary-viewer-4714", "embed_signature=", "embed_user_email="],
    );
}

#[test]
fn rank_4_row_60_nothing_of_a_viewer_or_a_secret_in_a_body_is_written_down() {
    nothing_is_written_down("retry: {attempts: 2, max_backoff: 10ms}, timeouts: {connect: 1s, request: 2s}");
}

/// Here the viewer is in the address.
#[test]
fn rank_4_row_60_nothing_of_a_viewer_in_a_query_is_written_down() {
    nothing_is_written_down(
        "flow: signed_query, retry: {attempts: 2, max_backoff: 10ms}, timeouts: {connect: 1s, request: 2s}",
    );
}

/// What of the viewer the older options have no word for.
#[test]
fn the_token_command_takes_roles_and_attributes() {
    let vendor = Vendor::start();
    let mut bold = BoldBi::of(&vendor);
    let values = "custom_attributes: {region: viewer.attributes.region, team: viewer.roles}";
    bold.embed = bold.embed.replace("custom_attributes: {region: viewer.value}", values);
    let sidecar = Sidecar::of(bold.files(&vendor), &[]).ready();
    let url = format!("http://{}", sidecar.listen);
    let ask = |more: &[&str]| run(&[&["token", "sales", "--url", &url, "--viewer-id", VIEWER][..], more].concat(), []);
    let ended = ask(&["--attribute", "region=a=b", "--role", "y", "--role", "x"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let bodies: Vec<_> =
        asked(&vendor, Operation::BoldBiAuthorize).into_iter().filter_map(|entry| entry.body).collect();
    let expected = json!([{"name": "region", "value": "a=b"}, {"name": "team", "value": ["x", "y"]}]);
    assert_eq!(bodies.iter().map(|body| &body["customattributes"]).collect::<Vec<_>>(), [&expected]);
    assert_eq!(ask(&["--role", "x"]).code, Some(1), "an attribute is missing");
    for (wrong, says) in [
        (&["--attribute", "emea-7qzx4k"][..], "sidemint: --attribute: must be NAME=VALUE\n"),
        (&["--attribute", "region=a", "--attribute", "region=b"], "sidemint: --attribute: a name is there twice\n"),
    ] {
        let ended = ask(wrong);
        assert_eq!((ended.code, ended.err.as_str()), (Some(2), says), "what was given is not repeated");
    }
}

/// A gauge that nobody moves any more would raise the alarm for ever.
#[test]
fn an_upstream_that_becomes_one_of_bold_bi_has_no_service_token_to_expire() {
    const EXPIRY: &str = "sidemint_service_token_expiry_timestamp_seconds{upstream=\"acme\"}";
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert!(sidecar.look("/metrics").text().contains(EXPIRY));
    sidecar.files.write("secret", &vendor.boldbi().embed_secret);
    sidecar.files.write("config.yaml", &BoldBi::of(&vendor).text(&sidecar.files));
    sidecar.process.signal(Signal::HUP);
    sidecar.until("/status", |reply| reply.text().contains("none needed"));
    assert!(!sidecar.look("/metrics").text().contains(EXPIRY));
}
