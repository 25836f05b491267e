//! That the net holds: for each form, whatever stands around it, and without taking one text for another.

use super::index::{How, Index};
use super::{forms, hide, hide_secret, hide_token, look, reply::Heard, said};

const TEXT: &str = "net-\u{e9}\"4711 \u{2603}/x";

/// What is found of a text that only its test hides.
fn finds(text: impl AsRef<[u8]>) -> bool {
    !look("a test", text.as_ref()).is_empty()
}

#[test]
fn t33_a_text_is_found_in_every_form_and_in_every_place() {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
    hide("the text of the net's test", TEXT);
    let mut said = vec![
        format!("{TEXT:?}"),
        serde_json::json!({"a": TEXT}).to_string(),
        serde_json::json!({"a": format!("{TEXT:?}")}).to_string(),
        form_urlencoded::byte_serialize(TEXT.as_bytes()).collect(),
        percent_encoding::utf8_percent_encode(TEXT, percent_encoding::NON_ALPHANUMERIC).to_string(),
    ];
    for (before, after) in [("", ""), ("a", "b"), ("ab", "cd"), ("abc", "d")] {
        let around = format!("{before}{TEXT}{after}");
        said.push(around.clone());
        said.extend([BASE64_STANDARD.encode(&around), BASE64_URL_SAFE_NO_PAD.encode(&around)]);
        said.push(around.bytes().map(|byte| format!("{byte:02x}")).collect());
        said.push(around.bytes().map(|byte| format!("{byte:02X}")).collect());
        said.push(around.bytes().map(|byte| format!("%{byte:02x}")).collect());
    }
    for said in said {
        for (before, after) in [("", ""), ("{\"level\":\"INFO\",\"x\":\"", "\"}\n{}\n"), ("\n", "")] {
            let line = format!("{before}{said}{after}");
            assert!(finds(&line), "not found in {line}");
        }
    }
    let kinds: std::collections::BTreeSet<_> = forms(TEXT).into_iter().map(|(form, _)| form).collect();
    assert!(kinds.len() >= 12, "each differs from the others: {kinds:?}");
}

#[test]
fn t33_what_is_found_is_named_and_not_repeated() {
    hide("the second text of the net's test", "net-4712-second");
    let told = look("a log", b"one line\nit says net-4712-second and net-4712-second\nanother");
    assert_eq!(told.len(), 2);
    let masked = "#".repeat("net-4712-second".len());
    let expected = format!("a log says the second text of the net's test (plain): it says {masked} and {masked}");
    assert!(told.iter().all(|told| *told == expected), "{told:?}");
    let token = "eyJhbGciOi0.e30.what-no-list-has";
    let told = look("a log", format!("{{\"token\":\"{token}\"}}").as_bytes());
    assert_eq!(told, [format!("a log says a token's header (plain): {{\"token\":\"{}\"}}", "#".repeat(token.len()))]);
}

#[test]
fn t33_a_token_is_known_by_its_look() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let token = format!("{}.e30.c2ln", BASE64_STANDARD.encode(r#"{"alg":"RS256"}"#));
    for said in [token.clone(), format!("Bearer {token}"), BASE64_STANDARD.encode(format!("Bearer {token}"))] {
        assert!(finds(&said), "{said}");
    }
    assert!(finds("H4sIAAAAAAAAAAAAAAA="), "Power BI's have no parts");
    assert!(!finds("eyJ... and H4sI... are how tokens begin"), "prose is no token");
}

#[test]
fn t33_a_token_without_a_look_is_known_by_its_parts() {
    let token = "opaque0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.net4713";
    assert!(!finds(token));
    hide_token("an opaque token of the net's test", token);
    for part in [token, &token[..30], &token[20..60], &token[40..]] {
        assert!(finds(part), "{part}");
    }
}

#[test]
fn t33_a_secret_is_known_by_its_lines_and_by_its_pieces() {
    hide_secret("a secret of the net's test", "  net-4714-secret-of-two-and-thirty-bytes\n");
    assert!(finds("net-4714-secret-") && !finds("net-4714-"));
    let pem = "-----BEGIN CERTIFICATE-----\nMIInet4715public\n-----END CERTIFICATE-----\n\
               -----BEGIN PRIVATE KEY-----\nMIInet4716private\n-----END PRIVATE KEY-----\n";
    hide_secret("a key of the net's test", pem);
    assert!(finds("MIInet4716private") && !finds("MIInet4715public") && !finds("-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn t33_a_short_word_is_found_as_a_word_only() {
    hide("a short word of the net's test", "nt7");
    assert!(finds("nt7") && finds("\"nt7\"") && finds("?viewer_id=nt7&x") && finds("a:nt7:b"));
    assert!(!finds("ant7") && !finds("nt71") && !finds("nt7-x") && !finds("_nt7"));
}

#[test]
fn t33_what_a_request_says_is_hidden() {
    let viewer = r#"{"id": "net-4717-id", "roles": ["net-4718-role"], "attributes": {"region": "net-4719-attribute"}}"#;
    let percent: String = viewer.replace("47", "48").bytes().map(|byte| format!("%{byte:02X}")).collect();
    let request = format!(
        "POST /v1/embeds/sales/token?viewer_id=net-4720%2Fid HTTP/1.1\r\nHost: x\r\nSidemint-Request: net-4721-proof\r\n\
         authorization: Bearer net-4722-bearer\r\nSidemint-Viewer-Value: net%2D4723-value\r\nSidemint-Viewer: {percent}\r\n\
         \r\n{{\"viewer\": {viewer}}}"
    );
    said::request(request.as_bytes());
    for text in [
        "net-4717-id",
        "net-4718-role",
        "net-4719-attribute",
        "net-4720/id",
        "net-4721-proof",
        "net-4722-bearer",
        "net-4723-value",
        "net-4817-id",
        "net-4818-role",
        "net-4819-attribute",
    ] {
        assert!(finds(text), "{text}");
    }
    assert!(!finds("/v1/embeds/sales/token"));
}

#[test]
fn t33_what_a_start_is_told_is_hidden() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let (flow, block) = (path("a", "net-4724-flow\n"), path("b", "net-4725-block"));
    said::config(&format!(
        "auth: {{client_id: x, client_secret_file: {flow}}}\nserver:\n  caller_token_file: \"{block}\"\n\
         other: {{client_secret: net-4726-literal}}\n"
    ));
    said::variable("A_CLIENT_SECRET", "net-4727-variable");
    said::variable("HTTPS_PROXY", "http://user:net-4728@proxy.example");
    said::arguments(&["token", "sales", "--viewer-id", "net-4729-id", "--attribute", "region=net-4730-attribute"]);
    let all = ["net-4724-flow", "net-4725-block", "net-4726-literal", "net-4727-variable", "user:net-4728"];
    for text in all.into_iter().chain(["net-4729-id", "net-4730-attribute"]) {
        assert!(finds(text), "{text}");
    }
    assert!(!finds("region=") && !finds(&flow), "{:?}", look("", flow.as_bytes()));
}

fn heard(status: u16, headers: &[(&'static str, &'static str)], body: &'static [u8]) -> Heard<'static> {
    let fixed =
        [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")];
    let headers = fixed.iter().chain(headers).copied().collect();
    Heard { asked: "POST /v1/embeds/sales/token?x", bare: false, status, headers, body }
}

fn fails(heard: &Heard<'_>) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heard.judge())).is_err()
}

#[test]
fn t33_a_reply_may_say_its_own_token_and_only_once() {
    let token = br#"{"access_token": "eyJhbGciOi0.e30.net4731own", "embed": {"kind": "x"}}"#;
    assert!(!fails(&heard(200, &[], token)));
    assert!(finds("eyJhbGciOi0.e30.net4731own") && finds(".net4731own"), "it is hidden from now on");
    assert!(fails(&heard(403, &[], token)), "no refusal has a token");
    let twice = br#"{"access_token": "eyJhbGciOi0.e30.net4732own", "again": "eyJhbGciOi0.e30.net4732own"}"#;
    assert!(fails(&heard(200, &[], twice)));
    let plain = Heard { bare: true, ..heard(200, &[("content-type", "text/plain")], b"eyJhbGciOi0.e30.net4733own") };
    assert!(!fails(&plain));
    assert!(fails(&Heard { bare: false, ..plain }), "only whoever asks for it");
}

#[test]
fn t33_t36_a_reply_is_searched_with_its_head() {
    hide("the viewer of the net's test", "net-4734-viewer");
    assert!(!fails(&heard(404, &[], b"{}")));
    assert!(fails(&heard(404, &[], b"{\"detail\": \"no net-4734-viewer\"}")));
    assert!(fails(&heard(404, &[("location", "/?v=net-4734-viewer")], b"{}")));
    let mut bare = heard(404, &[], b"{}");
    bare.headers.pop();
    assert!(fails(&bare), "each header is there");
}

#[test]
fn t33_of_what_a_target_says_only_our_own_words_are_judged() {
    hide("another viewer of the net's test", "net-4735-viewer");
    let of_target = |body| Heard { asked: "GET /proxy/app/api/x", headers: Vec::new(), ..heard(200, &[], body) };
    assert!(!fails(&of_target(b"net-4735-viewer")));
    assert!(fails(&of_target(b"{\"type\": \"urn:sidemint:error:x\", \"detail\": \"net-4735-viewer\"}")));
}

#[test]
fn t34_a_label_is_a_word_of_a_config_or_of_the_closed_set() {
    said::config("embeds:\n  net-4736: {upstream: acme}\n");
    let metrics = |body| Heard { asked: "GET /metrics", ..heard(200, &[], body) };
    assert!(!fails(&metrics(b"# HELP x\nx{embed=\"net-4736\",outcome=\"hit\",le=\"0.5\"} 1\nprocess_x 2\n")));
    assert!(fails(&metrics(b"x{embed=\"net-4737\"} 1\n")));
    assert!(fails(&metrics(b"x{embed=\"net-4736\",path=\"/v1/x\"} 1\n")));
}

#[test]
fn t33_many_texts_of_one_end_are_told_apart() {
    let mut index = Index::new();
    for number in 0..2_000 {
        index.add(&format!("number {number}"), "plain", format!("{number}@example.com").as_bytes(), How::Inside);
    }
    let hits = index.find(b"to: 77@example.com");
    let names: Vec<&str> = hits.iter().map(|hit| hit.name.as_str()).collect();
    assert_eq!(names, ["number 7", "number 77"]);
    assert!(index.find(b"to: x@example.com").is_empty());
}
