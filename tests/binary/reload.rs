//! SIGHUP: a new config in place, or refused with the old one at work.

use rustix::process::Signal;
use serde_json::json;
use sidemint::emulator::Operation;

use crate::support::http::send;
use crate::support::sidecar::{JSON, PROOF, VALUE};
use crate::support::{Settings, Sidecar, Vendor};

fn of_embed(sidecar: &Sidecar, embed: &str) -> u16 {
    let body = json!({"viewer": {"id": "u-1", "value": VALUE}, "purpose": "renew"}).to_string();
    send(sidecar.listen, "POST", &format!("/v1/embeds/{embed}/token"), &[PROOF, JSON], &body).status
}

#[test]
fn a_good_config_is_put_in_place_and_what_has_not_changed_goes_on() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert_eq!((of_embed(&sidecar, "sales"), of_embed(&sidecar, "more")), (200, 404));
    let asked = vendor.asked();
    let text = sidecar.files.text(&vendor, &Settings::default());
    let more = format!("{text}  more: {{upstream: acme, dashboard_id: \"{}\"}}\n", vendor.dashboard());
    sidecar.files.write("config.yaml", &more);
    sidecar.process.signal(Signal::HUP);
    sidecar.process.err.says("the new config is in place");
    assert_eq!(of_embed(&sidecar, "sales"), 200);
    assert_eq!(vendor.asked(), asked, "the token in hand is shown");
    assert_eq!(of_embed(&sidecar, "more"), 200);
    assert_eq!(vendor.count(Operation::ServiceToken), 1, "the upstream has not changed, nor has its token");
    assert_eq!(sidecar.metric("sidemint_embed_requests_total{embed=\"sales\",outcome=\"hit\"}"), 1.0);
    // An embed that is gone is gone.
    sidecar.files.write("config.yaml", &text);
    sidecar.process.signal(Signal::HUP);
    sidecar.until("/status", |reply| !reply.text().contains(">more<"));
    assert_eq!(of_embed(&sidecar, "more"), 404);
}

#[test]
fn a_bad_config_is_refused_and_the_old_one_stays() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let good = sidecar.files.text(&vendor, &Settings::default());
    let secret = sidecar.files.path("secret").display().to_string();
    for (bad, says) in [
        ("serverr: {}\n".to_owned(), "line 1 column 1"),
        (good.replace("127.0.0.1:0", "0.0.0.0:0"), "is not loopback"),
        (good.replace(&secret, "/nowhere/secret"), "/nowhere/secret"),
    ] {
        sidecar.files.write("config.yaml", &bad);
        sidecar.process.signal(Signal::HUP);
        sidecar.process.err.find(says, |text| {
            let refused =
                |line: &str| line.contains("the new config is refused; the old one stays") && line.contains(says);
            text.lines().any(refused).then_some(())
        });
        assert_eq!(of_embed(&sidecar, "sales"), 200, "{says}");
    }
    std::fs::remove_file(sidecar.files.path("config.yaml")).expect("it was there");
    sidecar.process.signal(Signal::HUP);
    sidecar.process.err.says("config.yaml: No such file");
    assert_eq!(of_embed(&sidecar, "sales"), 200);
}
