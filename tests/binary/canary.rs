//! Rank 4, row 60: with the log at its loudest and through everything that goes wrong, no secret, token, external value
//! or viewer id is found where it does not belong.

use rustix::process::Signal;
use serde_json::{Value, json};
use sidemint::emulator::{DatabricksSettings, Emulator, Fault};

use crate::support::http::{Reply, Wire, request, send};
use crate::support::secrecy::forms;
use crate::support::sidecar::{JSON, PROOF, TOKEN};
use crate::support::{PATIENCE, Settings, Sidecar, Vendor};

const SECRET: &str = "dosecanary4711secret0815";
const WRONG_SECRET: &str = "dosecanary4712wrong0816";
const VALUE: &str = "canary-value-emea-4713";
const VIEWER: &str = "canary-viewer-4714";
const FAULTS: [&str; 4] = ["service_token", "token_info", "mint", "token"];

/// All that could be read by somebody who must not know any of it.
#[derive(Default)]
pub(crate) struct Seen {
    texts: Vec<(String, String)>,
    /// Viewer tokens that were handed out, which no other text may repeat.
    pub(crate) tokens: Vec<String>,
}

impl Seen {
    pub(crate) fn add(&mut self, place: &str, text: String) {
        self.texts.push((place.to_owned(), text));
    }

    /// A hand-out keeps its token; everything else is read by anybody.
    pub(crate) fn reply(&mut self, place: &str, reply: &Reply) {
        if reply.status == 200 {
            self.tokens.push(reply.token());
        } else {
            self.add(place, reply.text());
        }
    }
}

fn ask(viewer: &str) -> Value {
    json!({"viewer": {"id": viewer, "value": VALUE}, "purpose": "renew"})
}

/// Service tokens as the vendor issues them to this credential, and so as the sidecar holds them: their signed part is
/// the same but for times and numbers, so what is looked for is the start that all of them share.
fn shape_of_tokens(handed_out: &[String]) -> Vec<String> {
    let header = handed_out.first().and_then(|token| token.split('.').next()).expect("a token was handed out");
    vec![header.to_owned()]
}

/// Hits, misses, refusals, all kinds of vendor faults.
fn go_through_everything(vendor: &Emulator, sidecar: &Sidecar, seen: &mut Seen) {
    for _ in 0..3 {
        seen.reply("a hit", &sidecar.ask(&ask(VIEWER)));
    }
    let target = format!("{TOKEN}?viewer_id={VIEWER}&purpose=renew");
    let value = [PROOF, ("Sidemint-Viewer-Value", VALUE)];
    seen.reply("a GET", &send(sidecar.listen, "GET", &target, &value, ""));
    seen.add(
        "a value in the URL",
        send(sidecar.listen, "GET", &format!("{target}&viewer_value={VALUE}"), &value, "").text(),
    );
    let bodies = [
        json!({"viewer": {"id": format!("{VIEWER}@x.example"), "value": VALUE}}),
        json!({"viewer": {"id": format!("{VIEWER}:x"), "value": VALUE}}),
        json!({"viewer": {"id": VIEWER, "value": format!("{VALUE}|")}}),
        json!({"viewer": {"id": VIEWER, VALUE: 1}}),
        json!({"viewer": {"id": VIEWER, "value": VALUE.repeat(60)}}),
        json!({"viewer": VALUE}),
    ];
    for body in bodies {
        seen.reply("a refusal", &sidecar.ask(&body));
    }
    let half = request(sidecar.listen, "POST", TOKEN, &[PROOF, JSON], &ask(VIEWER).to_string()).replace("}}", "}");
    seen.add("half a JSON", Wire::to(sidecar.listen).say(half).reply().map(|reply| reply.text()).unwrap_or_default());
    for (name, value) in [("Host", VALUE), ("Origin", VALUE), ("Sidemint-Request", SECRET), ("Via", VALUE)] {
        seen.add("a refused head", send(sidecar.listen, "POST", TOKEN, &[(name, value), JSON], "{}").text());
    }
    for (number, fault) in kinds_of_faults().into_iter().enumerate() {
        vendor.inject(fault);
        if number % 2 == 0 {
            vendor.revoke_tokens();
        }
        seen.reply("a vendor fault", &sidecar.ask(&ask(&format!("{VIEWER}-{number}"))));
        vendor.clear_faults();
    }
}

/// A vendor that says back what it was told is the worst of them.
fn kinds_of_faults() -> Vec<Fault> {
    let echo = format!(r#"{{"error": "invalid_request", "error_description": "{SECRET} {VALUE} {VIEWER}"}}"#);
    let platform = format!(r#"{{"error_code": "{SECRET}", "message": "{VALUE} {VIEWER}"}}"#);
    let of = |operation: &str, status| Fault::status(operation, status);
    let mut faults = Vec::new();
    for operation in FAULTS {
        faults.extend([400, 401, 403, 404, 500].map(|status| of(operation, status).times(2)));
        for body in [&echo, &platform, &format!("<html>{SECRET} {VALUE} {VIEWER}</html>"), &"null".to_owned()] {
            faults.push(Fault { body: Some(body.clone()), ..of(operation, 400).times(2) });
            faults.push(Fault { body: Some(body.clone()), ..of(operation, 200).times(2) });
        }
        let named = |fault: Fault| Fault { operation: operation.to_owned(), times: Some(2), ..fault };
        faults.push(named(Fault { reset: true, ..Fault::default() }));
        faults.push(named(Fault { truncate: true, ..Fault::default() }));
        faults.push(named(Fault { garbage: true, ..Fault::default() }));
        faults.push(named(Fault { location: Some(format!("https://x.example/{SECRET}?{VALUE}")), ..Fault::default() }));
    }
    faults
}

#[test]
fn rank_4_row_60_no_secret_token_value_or_viewer_is_found_anywhere() {
    let databricks = DatabricksSettings { client_secret: SECRET.to_owned(), ..Default::default() };
    let vendor = Vendor::of(databricks);
    let settings = Settings {
        // With a directive in it, libraries are not kept quiet either.
        log: "level: \"trace,hyper_util=trace\", audit: true",
        upstream: "retry: {attempts: 2, max_backoff: 10ms}\ntimeouts: {connect: 1s, request: 2s}".into(),
        ..Settings::default()
    };
    let sidecar = Sidecar::with(&vendor, &settings).ready();
    let mut seen = Seen::default();
    seen.reply("a miss", &sidecar.ask(&ask(VIEWER)));
    assert_eq!(seen.tokens.len(), 1, "{:?}", seen.texts);
    go_through_everything(&vendor, &sidecar, &mut seen);
    // A secret that the vendor does not know, and one that cannot be read.
    vendor.set_secrets(&["another"]);
    vendor.revoke_tokens();
    seen.reply("a refused secret", &sidecar.ask(&ask("canary-viewer-4714-b")));
    sidecar.files.write("secret", WRONG_SECRET);
    seen.reply("a wrong secret", &sidecar.ask(&ask("canary-viewer-4714-c")));
    for (place, accept) in [("/status", "text/html"), ("/status", "application/json"), ("/metrics", "*/*")] {
        seen.add(place, send(sidecar.admin, "GET", place, &[("Accept", accept)], "").text());
    }
    let live = crate::support::run(&["check", "--live", "--config", &sidecar.files.config()], []);
    seen.add("check --live", live.out + &live.err);
    sidecar.process.signal(Signal::TERM);
    let ended = sidecar.process.end(PATIENCE);
    seen.add("stdout", ended.out);
    seen.add("stderr", ended.err);
    judge(&seen, &[SECRET, WRONG_SECRET, VALUE, VIEWER]);
}

/// Looks for each of these in all that was seen; the log comes last.
pub(crate) fn judge(seen: &Seen, canaries: &[&str]) {
    let log = &seen.texts.last().expect("there is a log").1;
    assert!(log.contains("\"level\":\"DEBUG\""), "the log is loud");
    assert!(log.contains("\"decision\":\"granted\"") && log.contains("\"decision\":\"refused\""));
    let mut canaries: Vec<String> = canaries.iter().map(|canary| (*canary).to_owned()).collect();
    canaries.extend(shape_of_tokens(&seen.tokens));
    canaries.extend(seen.tokens.iter().filter_map(|token| token.rsplit('.').next().map(str::to_owned)));
    let mut found = Vec::new();
    for canary in &canaries {
        for (form, text) in forms(canary) {
            let text = String::from_utf8(text).expect("a form of a text is a text");
            let places = seen.texts.iter().filter(|(_, said)| said.contains(&text));
            found.extend(places.map(|(place, said)| {
                let line = said.lines().find(|line| line.contains(&text)).unwrap_or_default();
                format!("{form} of {canary} in {place}: {}", line.chars().take(600).collect::<String>())
            }));
        }
    }
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}
