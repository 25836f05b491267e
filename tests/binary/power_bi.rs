//! Power BI with the binary: the live check, configs that are wrong, a new config, TLS, and what it writes down.

use rustix::process::Signal;
use serde_json::{Value, json};
use sidemint::emulator::{Fault, Operation, Settings as Vendors};

use crate::support::config::Files;
use crate::support::http::{Reply, send};
use crate::support::power_bi::{PowerBi, RLS, plain, secured};
use crate::support::process::Ended;
use crate::support::{PATIENCE, Sidecar, Vendor, run};

pub(crate) fn check(files: &Files) -> Ended {
    run(&["check", "--live", "--config", &files.config()], [])
}

/// The last line of a check that fails there; all before it went well.
#[track_caller]
pub(crate) fn fails(ended: &Ended, step: &str, says: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.out.matches("FAIL").count(), 1, "{}", ended.out);
    assert!(ended.err.contains("1 of 1 upstream(s) failed"), "{}", ended.err);
    let last = ended.out.trim_end().lines().last().unwrap_or_default();
    let said = last.strip_prefix("FAIL  ").and_then(|rest| rest.strip_prefix(step)).unwrap_or_default();
    assert!(said.contains(says), "{step} … {says}:\n{}", ended.out);
}

fn with(vendor: &Vendor, embed: String) -> Files {
    PowerBi { embed, ..PowerBi::of(vendor) }.files(vendor)
}

#[test]
fn all_steps_of_a_good_config_go_well() {
    let vendor = Vendor::start();
    let ended = check(&PowerBi::of(&vendor).files(&vendor));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let dataset = format!("dataset {} of embed sales", secured().dataset);
    let steps = [
        "config: 1 upstream(s), 1 embed(s)",
        "resolve",
        "connect",
        "TLS and HTTP",
        "service token: lives",
        "report of embed sales: found",
        &dataset,
        "mint for embed sales",
    ];
    let mut rest = ended.out.as_str();
    for step in steps {
        let line = format!("ok    {step}");
        rest = rest.split_once(&line).unwrap_or_else(|| panic!("{line} is missing, or too early, in\n{}", ended.out)).1;
    }
    assert!(!ended.out.contains("warn"), "{}", ended.out);
    // One of each, and nothing is shown to anybody: the viewer has a name of its own.
    let journal = vendor.journal();
    let names: Vec<_> = journal.iter().map(|entry| entry.operation.name()).collect();
    assert_eq!(names, ["entra_discovery", "entra_token", "powerbi_report", "powerbi_dataset", "generate_token"]);
    assert_eq!(
        journal[4].body.as_ref().map(|body| body["identities"][0]["username"].clone()),
        Some(json!("sidemint-check"))
    );
}

#[test]
fn the_credential_is_told_apart_from_the_tenant() {
    let vendor = Vendor::start();
    let scene = PowerBi::of(&vendor);
    let files = scene.files(&vendor);
    files.write("secret", "emu8Q~canary~wrong");
    let ended = check(&files);
    fails(&ended, "service token: ", "copy the secret's Value, not its Secret ID");
    assert!(!format!("{ended:?}").contains("canary"), "{ended:?}");
    vendor.expire_entra_secret("emu8Q~canary~wrong");
    fails(&check(&files), "service token: ", "the client secret has expired; create a new one");
    let place = scene.place.replace(&vendor.entra().tenant_id, "00000000-0000-4000-8000-000000000000");
    let files = PowerBi { place, ..scene.clone() }.files(&vendor);
    fails(&check(&files), "service token: ", "check tenant_id");
    let files = PowerBi { upstream: "scope: https://nowhere.example.com/.default".to_owned(), ..scene }.files(&vendor);
    fails(&check(&files), "service token: ", "check cloud, or scope");
}

#[test]
fn what_is_not_there_is_named() {
    let vendor = Vendor::start();
    let own = secured();
    let nobody = "00000000-0000-4000-8000-000000000000";
    let files = with(&vendor, format!("report_id: {nobody}, {RLS}"));
    fails(&check(&files), "report of embed sales: ", "check the ids of the embed");
    let text = PowerBi::of(&vendor).text(&files).replace(&vendor.powerbi().workspace_id, nobody);
    files.write("config.yaml", &text);
    fails(&check(&files), "report of embed sales: ", "check workspace_id");
    let text = PowerBi::of(&vendor)
        .text(&files)
        .replace(&vendor.powerbi().workspace_id, &vendor.powerbi().classic_workspace_id);
    files.write("config.yaml", &text);
    fails(&check(&files), "report of embed sales: ", "make the service principal a member");
    let files = with(&vendor, format!("report_id: {}, dataset_ids: [{nobody}], {RLS}", own.report));
    let ended = check(&files);
    fails(&ended, "mint for embed sales: ", "check the ids of the embed");
    assert!(
        ended.out.contains(&format!("warn  dataset {nobody} of embed sales is not in this workspace")),
        "{ended:?}"
    );
}

/// Datasets are shared between workspaces, and only the mint knows whether one may be used from here.
#[test]
fn a_dataset_that_cannot_be_looked_up_is_no_failure_if_it_mints() {
    let vendor = Vendor::start();
    vendor.inject(Fault::status("powerbi_dataset", 404));
    let files = with(&vendor, format!("report_id: {}, {RLS}", secured().report));
    let ended = check(&files);
    assert!(ended.code == Some(0) && ended.out.contains("is not in this workspace"), "{ended:?}");
}

#[test]
fn rls_and_the_dataset_have_to_agree() {
    let vendor = Vendor::start();
    let (open, closed) = (plain(), secured());
    for (embed, dataset, says) in [
        (format!("report_id: {}", closed.report), &closed.dataset, "has row-level security: set rls"),
        (format!("report_id: {}, {RLS}", open.report), &open.dataset, "has no row-level security: define roles"),
        (
            format!("report_id: {}, rls: {{username: viewer.id}}", closed.report),
            &closed.dataset,
            "has roles: set rls.roles",
        ),
        (format!("dataset_id: {}", closed.dataset), &closed.dataset, "has row-level security: set rls"),
    ] {
        vendor.clear_journal();
        let ended = check(&with(&vendor, embed));
        fails(&ended, "rls of embed sales: ", &format!("dataset {dataset} {says}"));
        assert_eq!(vendor.count(Operation::GenerateToken), 0, "what is clear is not tried");
    }
}

#[test]
fn the_mint_is_tried_and_its_refusal_told() {
    let vendor = Vendor::start();
    let files = PowerBi::of(&vendor).files(&vendor);
    vendor.set_on_capacity(false);
    vendor.set_trial_allowance(0);
    fails(&check(&files), "mint for embed sales: ", "assign the workspace to a capacity");
    vendor.set_on_capacity(true);
    for (status, body, says) in [
        (401, "pbi_error", "let service principals use the API"),
        (403, "pbi_error", "make the service principal a member of the workspace"),
        (404, "pbi_error", "check the ids of the embed"),
        (307, "empty", "is not followed"),
        (400, "powerbi", "refused the request (HTTP 400, code InvalidRequest, request id "),
    ] {
        let location = (status == 307).then(|| "https://wabi-x-redirect.analysis.windows.net/".to_owned());
        let code = (status == 403).then(|| "PowerBINotAuthorizedException".into());
        let fault =
            Fault { body: Some(body.into()), location, error_code: code, ..Fault::status("generate_token", status) };
        let number = vendor.inject(fault);
        fails(&check(&files), "mint for embed sales: ", says);
        vendor.remove_fault(number);
    }
    // Short tokens are worth a word, and no failure.
    vendor.set_entra_token_life(std::time::Duration::from_secs(300));
    let ended = check(&files);
    assert!(ended.code == Some(0) && ended.out.contains("warn  tokens live "), "{ended:?}");
}

#[test]
fn an_embed_without_rls_is_worth_a_word() {
    let vendor = Vendor::start();
    let ended = check(&with(&vendor, format!("report_id: {}", plain().report)));
    assert!(ended.code == Some(0) && ended.out.contains("warn  embed sales has no rls"), "{ended:?}");
}

/// What is wrong is said with line and column, all of it at once, and in words that say what would be right.
#[test]
fn wrong_configs_say_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("sidemint.yaml");
    let mut all = String::new();
    let upstream = |keys: &str| format!("upstreams:\n  acme: {{kind: powerbi, {keys}}}\n");
    let good = "tenant_id: t, auth: {client_id: c, client_secret_file: /s}";
    let embed = |keys: &str| format!("{}embeds:\n  sales: {{upstream: acme, {keys}}}\n", upstream(good));
    for text in [
        upstream("host: https://x.example.com, workspace_id: w, auth: {client_id: c, client_secret_file: /s}"),
        upstream("tenant_id: 'a/b', auth: {client_id: c, client_secret_file: /s, certificate_file: /c}"),
        upstream("tenant_id: t, auth: {client_id: c}"),
        upstream("tenant_id: t, auth: {client_secret_file: /s}"),
        upstream("tenant_id: t, auth: {client_id: c, private_key_file: /k}"),
        upstream("tenant_id: t, auth: {managed_identity: true, client_secret_file: /s}"),
        upstream("tenant_id: t, auth: {client_id: c, client_secret: emu8Q~canary}"),
        upstream("tenant_id: t"),
        upstream(&format!("cloud: mars, {good}")),
        upstream(&format!("scope: https://x.example.com, service_token_min_life: 48h, {good}")),
        upstream(&format!(
            "authority: http://login.example.com, api_url: 'https://api.example.com/v1.0/myorg', {good}"
        )),
        embed("report_id: r"),
        embed("workspace_id: w"),
        embed("workspace_id: w, report_id: r, dashboard_id: d"),
        embed("workspace_id: w, dashboard_id: d, access_level: edit, allow_save_as: true, dataset_ids: [d]"),
        embed("workspace_id: w, report_id: r, lifetime: 90s, rls: {username: viewer.id, roles: viewer.roles}"),
        embed("workspace_id: w, report_id: r, rls: {username: viewer.name}"),
        embed("workspace_id: w, report_id: r, rls: {roles: [Customer]}"),
        embed("workspace_id: w, report_id: r, rls: {username: viewer.id, roles: ['a,b'], allowed_roles: [a]}"),
        embed("workspace_id: w, report_id: r, email: viewer.id"),
        embed("workspace_id: w, report_id: r, lifetime: 10m, min_ttl: 5m, stale_until: 6m"),
    ] {
        std::fs::write(&path, &text).expect("a file can be written");
        let ended = run(&["check", "--config", &path.display().to_string()], []);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{text}: {ended:?}");
        let said = ended.err.replace(&path.display().to_string(), "FILE");
        assert!(!said.contains("canary"), "{said}");
        all += &format!("{text}{said}\n");
    }
    insta::assert_snapshot!("wrong_power_bi_configs", all);
}

#[test]
fn a_new_rls_is_in_force_after_a_hangup() {
    let vendor = Vendor::start();
    let scene = PowerBi::of(&vendor);
    let sidecar = scene.start(&vendor, &[]).ready();
    let before = sidecar.renew("u-1").token();
    let changed = PowerBi { embed: scene.embed.replace("Customer", "Manager"), ..scene };
    sidecar.files.write("config.yaml", &changed.text(&sidecar.files));
    sidecar.process.signal(Signal::HUP);
    sidecar.process.err.says("the new config is in place");
    assert_ne!(sidecar.renew("u-1").token(), before);
    let roles: Vec<Value> = (vendor.journal().iter())
        .filter_map(|entry| Some(entry.body.as_ref()?["identities"][0]["roles"].clone()))
        .collect();
    assert_eq!(roles, [json!(["Customer"]), json!(["Manager"])]);
    assert_eq!(vendor.count(Operation::EntraToken), 1, "the credential has not changed, nor has its token");
}

#[test]
fn entra_and_power_bi_are_reached_through_tls() {
    let vendor = Vendor::with(Vendors { tls: true, ..Vendors::default() });
    let scene = PowerBi::of(&vendor);
    let files = PowerBi { upstream: "ca_file: FOLDER/ca.pem".to_owned(), ..scene.clone() };
    // `ca_file` is looked at when the config is read.
    let folder = scene.files(&vendor);
    folder.write("ca.pem", vendor.ca_pem().expect("it serves TLS"));
    folder.write("config.yaml", &files.text(&folder));
    let sidecar = Sidecar::of(folder, &[]).ready();
    let reply = sidecar.renew("u-1");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let url = reply.json()["embed"]["embed_url"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(url.starts_with("https://"), "{url}");
    // Whose authority nobody here trusts gets no secret.
    let asked = vendor.asked();
    let ended = check(&scene.files(&vendor));
    fails(&ended, "TLS and HTTP: ", "ca_file");
    assert_eq!(vendor.asked(), asked);
}

const SECRET: &str = "emu8Q~canary4711secret0815";
const VALUE: &str = "canary-value-emea-4713";
const VIEWER: &str = "canary-viewer-4714";

/// With the log at its loudest, and the vendor quoting all that it was sent.
#[test]
fn rank_4_row_60_nothing_of_a_viewer_or_a_credential_is_written_down() {
    let vendor = Vendor::start();
    vendor.set_entra_secrets(&[SECRET]);
    let upstream = "retry: {attempts: 2, max_backoff: 10ms}, timeouts: {connect: 1s, request: 2s}".to_owned();
    let log = "level: \"trace,hyper_util=trace\", audit: true";
    let files = PowerBi { log, upstream, ..PowerBi::of(&vendor) }.files(&vendor);
    files.write("secret", SECRET);
    let sidecar = Sidecar::of(files, &[]).ready();
    let ask = |viewer: &str| {
        let body = json!({"viewer": {"id": viewer, "value": VALUE, "attributes": {"a": VALUE}}, "purpose": "renew"});
        sidecar.ask(&body)
    };
    let mut tokens = vec![ask(VIEWER).token()];
    let mut seen = String::new();
    let mut note = |reply: &Reply| {
        if reply.status == 200 { tokens.push(reply.token()) } else { seen += &reply.text() }
    };
    let quote = format!("{SECRET} {VALUE} {VIEWER}");
    let body = json!({
        "error": {"code": quote, "message": quote}, "error_description": quote, "token": quote, "expiration": quote,
    });
    for (number, status) in [200, 307, 400, 401, 403, 404, 429, 500].into_iter().enumerate() {
        for operation in ["generate_token", "entra_token"] {
            let location = (status == 307).then(|| format!("https://x.example.com/{SECRET}?{VALUE}"));
            let fault = Fault { body: Some(body.to_string()), location, ..Fault::status(operation, status) };
            vendor.inject(fault.times(2));
            vendor.revoke_entra_tokens();
            note(&ask(&format!("{VIEWER}-{number}-{operation}")));
            vendor.clear_faults();
        }
    }
    note(&ask(VIEWER));
    for (place, accept) in [("/status", "text/html"), ("/status", "application/json"), ("/metrics", "*/*")] {
        seen += &send(sidecar.admin, "GET", place, &[("Accept", accept)], "").text();
    }
    let live = check(&sidecar.files);
    seen += &(live.out + &live.err);
    sidecar.process.signal(Signal::TERM);
    let ended = sidecar.process.end(PATIENCE);
    assert!(ended.err.contains("\"level\":\"DEBUG\"") && ended.err.contains("\"decision\":\"granted\""));
    seen += &(ended.out + &ended.err);
    let parts = tokens.iter().map(|token| token.get(24..64).expect("a token is long").to_owned());
    let words = [SECRET, VALUE, VIEWER, "canary", "H4sIAAAA", "eyJhbGciOi"].map(str::to_owned);
    for word in words.into_iter().chain(parts) {
        let line = seen.lines().find(|line| line.contains(&word));
        assert!(line.is_none(), "{word} is in: {line:?}");
    }
}
