//! The flow before v14.1: a query, signed byte for byte as it is sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use sidemint::emulator::{BoldBiSignedText, JournalEntry};

use super::scene::{BoldBi, REGION, VIEWER, asked, calls, dashboard, regions, set};
use crate::support::{Stage, claims};

/// A server that takes one request, gives a token that it does not sign, and says what the first line was.
fn tap() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let answer = move || {
        let (mut stream, _) = listener.accept().expect("somebody connects");
        let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = stream.read(&mut buffer).expect("a request arrives");
            head.extend_from_slice(&buffer[..count]);
        }
        let body = r#"{"ApiStatus":true,"Data":{"access_token":"tapped"},"Status":true}"#;
        let length = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
            .expect("it reads");
        String::from_utf8(head).expect("a head is text").lines().next().expect("a line").to_owned()
    };
    (url, std::thread::spawn(answer))
}

/// With a server whose checks are not the emulator's.
#[tokio::test]
async fn row_b10_what_is_signed_is_what_is_sent() {
    let (url, first_line) = tap();
    let scene = BoldBi::signed();
    let vendor = scene.vendor().await;
    let secret = vendor.boldbi().embed_secret.clone();
    let text = scene.yaml(&vendor).replace(&vendor.url(), &url);
    let stage = scene.with_text(vendor, &text).await;
    assert_eq!(stage.renew("o'neil+x&y=z@example.com", "Île-de-France").await.token(), "tapped");
    let line = first_line.join().expect("the server has answered");
    let target =
        line.strip_prefix("GET /bi/api/site/site1/embed/authorize?").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let (signed, signature) = target.and_then(|query| query.split_once("&embed_signature=")).expect("a signed query");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    // Nothing of the signature is encoded, and nothing comes behind it.
    assert_eq!(signature, STANDARD.encode(hmac::sign(&key, signed.as_bytes())));
    assert!(signed.contains("&embed_user_email=o%27neil%2Bx%26y%3Dz@example.com&"), "{signed}");
    let attributes = "&embed_custom_attribute=%5B%7B%22region%22:%22%C3%8Ele-de-France%22%7D%5D&";
    assert!(signed.contains(attributes), "{signed}");
    assert!(!line.contains(&secret));
    assert_eq!(calls(&stage), 0);
}

fn nonces(entries: &[JournalEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.query["embed_nonce"].as_str()).collect()
}

#[tokio::test]
async fn row_b10_each_request_has_a_nonce_and_the_time_of_its_own() {
    let stage = BoldBi::signed().start().await;
    for value in ["emea", "apac", "amer"] {
        let token = stage.renew(VIEWER, value).await.token();
        assert_eq!(regions(&stage, &token).await, set(&[value]));
        assert_eq!(stage.renew(VIEWER, value).await.token(), token);
    }
    let entries = asked(&stage);
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        assert_eq!((entry.method.as_str(), entry.path.as_str()), ("GET", "/bi/api/site/site1/embed/authorize"));
        let members: Vec<&str> = entry.query.keys().map(String::as_str).collect();
        let expected = [
            "embed_custom_attribute",
            "embed_dashboard_id",
            "embed_nonce",
            "embed_server_timestamp",
            "embed_signature",
            "embed_user_email",
        ];
        assert_eq!((members, entry.notes.len()), (expected.to_vec(), 0));
        assert_eq!(
            (&entry.query["embed_dashboard_id"], entry.query["embed_user_email"].as_str()),
            (&dashboard(), VIEWER)
        );
        let at: i64 = entry.query["embed_server_timestamp"].parse().expect("seconds");
        assert!((Timestamp::now().as_second() - at).abs() <= 20, "{at}");
        assert_eq!((entry.body.as_ref(), entry.headers.get("content-type")), (None, None));
    }
    let mut unique = nonces(&entries);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 3, "{unique:?}");
    for nonce in unique {
        let parts: Vec<usize> = nonce.split('-').map(str::len).collect();
        assert_eq!((parts, nonce.chars().nth(14)), (vec![8, 4, 4, 4, 12], Some('4')), "a random UUID: {nonce}");
    }
}

/// Addresses with all that means something in a URL, a form, JSON or a filter.
const ADDRESSES: [&str; 14] = [
    "a+b@example.com",
    "a&b@example.com",
    "a&embed_user_email=admin@example.com",
    "a=b@example.com",
    "o'neil@example.com",
    "\"quoted name\"@example.com",
    "zo\u{eb}@b\u{fc}cher.example",
    "\u{65e5}\u{672c}@example.com",
    "a%26b@example.com",
    "a%2Bb@example.com",
    "a b@example.com",
    "a#b?c;d@example.com",
    "a/../b@example.com",
    "a\\b@example.com",
];

async fn seen(stage: &Stage, email: &str, value: &str) {
    stage.vendor.clear_journal();
    let token = stage.renew(email, value).await.token();
    let entry = &asked(stage)[0];
    assert_eq!(entry.query["embed_user_email"], email, "one address arrives, whole");
    assert_eq!(entry.notes, Vec::<String>::new(), "and no other member");
    assert_eq!(claims(&token)["email"], email);
}

#[tokio::test]
async fn row_b11_an_address_arrives_as_it_is_and_begins_no_other_member() {
    let scene = BoldBi::signed().users(&ADDRESSES).sales("");
    let stage = scene.start().await;
    for email in ADDRESSES {
        seen(&stage, email, "").await;
        assert_eq!(asked(&stage)[0].query.len(), 5);
    }
}

/// The same in the body of the newer flow.
#[tokio::test]
async fn row_b11_an_address_arrives_as_it_is_in_json_too() {
    let stage = BoldBi::default().users(&ADDRESSES).start().await;
    for email in ADDRESSES {
        let token = stage.renew(email, "emea").await.token();
        assert_eq!(claims(&token)["email"], email);
    }
    let sent: Vec<_> = asked(&stage).into_iter().filter_map(|entry| Some(entry.body?["email"].clone())).collect();
    assert_eq!(sent, ADDRESSES.map(|email| json!(email)));
}

/// Whether the server signs the query as sent or as it reads it is written nowhere: for most viewers both are the same.
#[tokio::test]
async fn row_b10_a_server_that_signs_the_decoded_text_takes_plain_addresses() {
    let decoded = BoldBi::signed().settings(|settings| settings.signed_text = BoldBiSignedText::Decoded);
    let stage = decoded.sales("").users(&["first.last-2_x~y@sub.example.com"]).start().await;
    for email in [VIEWER, "first.last-2_x~y@sub.example.com"] {
        seen(&stage, email, "").await;
    }
}

/// There, attributes and filters need the config's word.
#[tokio::test]
async fn row_b10_a_server_that_signs_the_decoded_text_takes_attributes_where_the_config_says_so() {
    let decoded = || BoldBi::default().settings(|settings| settings.signed_text = BoldBiSignedText::Decoded);
    let filter =
        "datasource_filters: [{name: region, value: viewer.value}, {name: year, value: {fixed: ['2025', '2026']}}]";
    for keys in [REGION, filter] {
        let stage = decoded().upstream("flow: signed_query, signed_text: decoded").sales(keys).start().await;
        let token = stage.renew(VIEWER, "emea").await.token();
        assert_eq!(regions(&stage, &token).await, set(&["emea"]));
        let before = calls(&stage);
        for value in ["a&b", "a%26b", "a+b", "a#b"] {
            assert_eq!(stage.renew(VIEWER, value).await.refusal(), (422, "invalid_viewer".to_owned()), "{value}");
        }
        assert_eq!(calls(&stage), before);
        let stage = decoded().upstream("flow: signed_query").sales(keys).start().await;
        let reply = stage.renew(VIEWER, "emea").await;
        assert_eq!(reply.refusal(), (502, "upstream_credentials_rejected".to_owned()), "{}", reply.text());
    }
}

/// A filter has no escapes: what would end one is refused, and reaches nobody.
#[tokio::test]
async fn row_b11_a_value_that_would_end_a_filter_is_refused() {
    let stage = BoldBi::signed().sales("datasource_filters: [{name: region, value: viewer.value}]").start().await;
    for value in ["a&region=apac", "a}]", "a,b", "IN(a", "a'b", "a\"b", "a\\b", "a;b", "a=b", "a%26b", "a+b", "a#b"] {
        let reply = stage.renew(VIEWER, value).await;
        assert_eq!(reply.refusal(), (422, "invalid_viewer".to_owned()), "{value}: {}", reply.text());
    }
    assert_eq!(calls(&stage), 0);
    // What means something in a URL alone is taken, and filters.
    for value in ["a b", "a@b", "\u{cd}le/x?y~z"] {
        arrives(&stage, value).await;
    }
}

/// An attribute is JSON within the query: nothing in it can end it.
#[tokio::test]
async fn row_b11_an_attribute_arrives_as_it_is_and_begins_no_other_one() {
    let stage = BoldBi::signed().sales(REGION).start().await;
    for value in
        ["a&region=apac", "a\",\"region\":\"apac", "a}]", "a,b", "a'b", "a\\b", "a;b", "a=b", "a+b%26", "\u{cd}le#z"]
    {
        arrives(&stage, value).await;
    }
    let reply = stage.renew(VIEWER, "IN('emea','apac')").await;
    assert_eq!(reply.refusal(), (422, "invalid_viewer".to_owned()), "{}", reply.text());
}

/// The token has this very text, which lets no row through.
async fn arrives(stage: &Stage, value: &str) {
    let token = stage.renew(VIEWER, value).await.token();
    let claims = claims(&token);
    let found = |text: &str| text.contains(value) || text.contains(json!(value).to_string().trim_matches('"'));
    let texts: Vec<&str> = claims.as_object().into_iter().flatten().filter_map(|(_, claim)| claim.as_str()).collect();
    assert!(texts.into_iter().any(found) || claims.to_string().contains(value), "{value}: {claims}");
    assert_eq!(regions(stage, &token).await, set(&[]));
}

#[tokio::test]
async fn row_b14_anonymous_and_group_based_viewers_in_a_query() {
    let scene = BoldBi::signed().sales("anonymous_group: Embed viewers");
    let scene = scene.embed("groups", "email: viewer.value, group_access: {provider: portal, import_users: true}");
    let stage = scene.start().await;
    stage.renew("nobody@example.com", "").await.token();
    stage.renew_of("groups", "u-1", "new@example.com").await.token();
    let entries = asked(&stage);
    let named = |number: usize, names: [&str; 4]| names.map(|name| entries[number].query.get(name).map(String::as_str));
    let anonymous =
        named(0, ["embed_user_email", "embed_anonymous_token", "embed_authorize_group", "embed_group_access"]);
    assert_eq!(anonymous, [Some("nobody@example.com"), Some("true"), Some("Embed viewers"), None]);
    let groups = named(1, ["embed_user_email", "embed_group_access", "embed_auth_provider", "embed_user_id"]);
    assert_eq!(groups, [Some("new@example.com"), Some("true"), Some("portal"), Some("u-1")]);
    assert_eq!(named(1, ["embed_user_import", "embed_anonymous_token", "x", "y"]), [Some("true"), None, None, None]);
}
