//! The signed-query flow.

use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::*;
use crate::emulator::{BoldBiSignedText, BoldBiUser};

fn sign(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// The least that the flow takes, and more.
fn query(nonce: &str, more: &str) -> String {
    format!("embed_nonce={nonce}&embed_dashboard_id={BOARD}&embed_user_email={EMAIL}{more}")
}

/// Sends a query with the signature as it is: `+`, `/` and `=` raw.
async fn send(emulator: &Emulator, query: &str) -> Answer {
    send_signed(emulator, &format!("{query}&embed_signature={}", sign(SECRET, query))).await
}

async fn send_signed(emulator: &Emulator, query: &str) -> Answer {
    get(emulator, &format!("/bi/api/site/site1/embed/authorize?{query}"), &[]).await
}

const INVALID: &str = "EmbedCodeValidation failed: the embed_signature is not valid";
const CLOCK: &str = "EmbedCodeValidation failed: the timestamp is not near the server's time";

/// The signature was computed by `openssl dgst -sha256 -hmac`, and has all the letters that URLs give a meaning.
#[tokio::test]
async fn a_known_signature_is_taken_raw_or_encoded() {
    let text = query("n-17", "");
    assert_eq!(sign(SECRET, &text), "NujbzvP+rFe1UM76+juywCEHajp0o2go/+CPTZS5l30=");
    for signature in [
        "NujbzvP+rFe1UM76+juywCEHajp0o2go/+CPTZS5l30=".to_owned(),
        "NujbzvP+rFe1UM76+juywCEHajp0o2go/+CPTZS5l30=".replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"),
    ] {
        let emulator = emulator().await;
        let answer = send_signed(&emulator, &format!("{text}&embed_signature={signature}")).await;
        assert_eq!(claims(&answer)["email"], EMAIL);
        let listed = get(&emulator, "/_emulator/requests", &[]).await.body;
        assert!(listed.contains("\"embed_signature\":\"sha256:") && !listed.contains("NujbzvP+"));
    }
}

#[tokio::test]
async fn the_answer_is_that_of_the_other_flow() {
    let emulator = emulator().await;
    let more = format!(
        "&embed_mode=view&embed_timestamp=1&embed_server_timestamp={}&embed_expirationtime=10000\
         &embed_custom_attribute=%5B%7B%22region%22%3A%22emea%22%7D%5D",
        Timestamp::now().as_second()
    );
    let answer = send(&emulator, &query("1", &more)).await;
    let claims = claims(&answer);
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(10_000));
    assert_eq!(claims["custom_attribute"], r#"{"region":"emea"}"#);
    let members = |answer: &Answer| answer.json()["Data"].as_object().expect("an object").keys().cloned().collect();
    let [signed, other]: [Vec<String>; 2] = [members(&answer), members(&authorize(&emulator, json!({})).await)];
    assert_eq!(signed, other);
    assert!(emulator.journal().iter().all(|entry| entry.notes.is_empty()));
    assert_eq!(emulator.journal()[0].query["embed_user_email"], EMAIL);
}

#[tokio::test]
async fn filters_are_taken_as_they_are_or_encoded_and_long_ones_in_a_form() {
    let emulator = emulator().await;
    let minted = |answer: &Answer| claims(answer)["datasource_filter"].as_str().expect("filters").to_owned();
    let expected =
        r#"[{"name":"region","operator":"IN","values":["emea","apac"]},{"name":"tier","operator":"=","values":["2"]}]"#;
    let raw = query("1", "&embed_datasource_filter=[{&region=IN(emea,apac)&tier=2}]&embed_mode=view");
    assert_eq!(minted(&send(&emulator, &raw).await), expected);
    let encoded = query("2", "&embed_datasource_filter=%5B%7B%26region%3DIN(emea%2Capac)%26tier%3D2%7D%5D");
    assert_eq!(minted(&send(&emulator, &encoded).await), expected);
    let form = query("3", "&embed_datasource_filter=%5B%7B%26region%3DIN(emea%2Capac)%26tier%3D2%7D%5D");
    let form = format!("{form}&embed_signature={}", sign(SECRET, &form));
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let path = "POST /bi/api/site/site1/embed/authorize";
    assert_eq!(minted(&ask(&emulator, path, &headers, &form).await.expect("an answer")), expected);
    assert!(emulator.journal()[2].form["embed_signature"].starts_with("sha256:"));
    let malformed = query("4", "&embed_datasource_filter=region=emea");
    assert_refused(&send(&emulator, &malformed).await, "embed_datasource_filter is not of the form [{name=value&…}]");
}

#[tokio::test]
async fn whatever_was_not_signed_is_refused() {
    let emulator = emulator().await;
    let text = query("1", "");
    let signature = sign(SECRET, &text);
    for changed in [
        format!("{}&embed_signature={signature}", query("1", "&embed_mode=view")),
        format!("{}&embed_signature={signature}", text.replace("embed_nonce", "Embed_nonce")),
        // The same parameters in other bytes.
        format!("{}&embed_signature={signature}", text.replace('@', "%40")),
        format!("{text}&embed_signature={}", sign("another", &text)),
        format!("{text}&embed_signature=bm9uZQ=="),
        format!("{text}&embed_signature=~"),
    ] {
        assert_refused(&send_signed(&emulator, &changed).await, INVALID);
    }
    assert_refused(&send_signed(&emulator, &text).await, "embed_signature is required");
    let behind = format!("{text}&embed_signature={signature}&embed_mode=view");
    assert_refused(&send_signed(&emulator, &behind).await, "embed_mode is not signed");
    // None of these used the nonce up.
    access_token(&send(&emulator, &text).await);
    assert_refused(&send(&emulator, &text).await, "EmbedCodeValidation failed: the embed_nonce was used before");
}

#[tokio::test]
async fn a_parameter_comes_once_however_it_is_spelt() {
    let emulator = emulator().await;
    for injected in ["embed_user_email=reader@example.com", "Embed_User_Email=x", "embed%5Fuser%5Femail=x"] {
        let answer = send(&emulator, &query("1", &format!("&{injected}"))).await;
        assert_refused(&answer, "embed_user_email is given more than once");
    }
    let twice = send(&emulator, &query("1", "&embed_signature=x")).await;
    assert_refused(&twice, "embed_signature is not signed");
    let spelt = query("1", "").replace("embed_user_email", "Embed_User_Email");
    access_token(&send(&emulator, &spelt).await);
    access_token(&send(&emulator, &query("2", "&is_admin=true")).await);
    assert_eq!(last_notes(&emulator), ["there is no parameter is_admin"]);
}

/// Row B11: an address with letters that queries give a meaning is one address.
#[tokio::test]
async fn an_encoded_email_is_one_parameter() {
    let emulator = emulator().await;
    let email = "a+b&embed_mode=c@example.com";
    let user = BoldBiUser { email: email.to_owned(), name: "Third".to_owned() };
    emulator.change_boldbi(|settings| settings.users.push(user));
    let encoded = query("1", "").replace(EMAIL, "a%2Bb%26embed_mode%3Dc%40example.com");
    assert_eq!(claims(&send(&emulator, &encoded).await)["email"], email);
    assert_eq!(emulator.journal()[0].query["embed_user_email"], email);
    let raw = query("2", "").replace(EMAIL, email);
    assert_refused(&send(&emulator, &raw).await, "User not found");
    emulator.change_boldbi(|settings| settings.signed_text = BoldBiSignedText::Decoded);
    let encoded = encoded.replace("nonce=1", "nonce=3");
    assert_refused(&send(&emulator, &encoded).await, INVALID);
    let decoded = query("3", "").replace(EMAIL, email);
    let answer = send_signed(&emulator, &format!("{encoded}&embed_signature={}", sign(SECRET, &decoded))).await;
    assert_eq!(claims(&answer)["email"], email);
}

#[tokio::test]
async fn times_users_items_and_lives_are_checked() {
    let emulator = emulator().await;
    let now = Timestamp::now().as_second();
    for (place, (more, message)) in [
        (format!("&embed_server_timestamp={}", now - 400), CLOCK),
        (format!("&embed_server_timestamp={}", now + 400), CLOCK),
        (format!("&embed_timestamp={}", now - 400), CLOCK),
        ("&embed_server_timestamp=today".to_owned(), CLOCK),
        ("&embed_expirationtime=604801".to_owned(), "embed_expirationtime is not from 1 to 604800"),
        ("&embed_custom_attribute=region".to_owned(), "embed_custom_attribute is no list of objects"),
        ("&embed_anonymous_token=true".to_owned(), "embed_authorize_group is required"),
        (
            "&embed_group_access=true&embed_user_id=u&embed_auth_provider=x".to_owned(),
            "Authentication provider not found",
        ),
        ("&embed_dashboard_path=/Sales/Nothing".to_owned(), NO_OBJECT),
    ]
    .into_iter()
    .enumerate()
    {
        assert_refused(&send(&emulator, &query(&place.to_string(), &more)).await, message);
    }
    let with = |nonce: &str, from: &str, to: &str| query(nonce, "").replace(from, to);
    assert_refused(&send(&emulator, &with("a", EMAIL, "nobody@example.com")).await, "User not found");
    assert_refused(&send(&emulator, &with("b", BOARD, "1")).await, NO_OBJECT);
    assert_refused(&send(&emulator, &with("c", "embed_dashboard_id", "x")).await, "embed_dashboard_id is required");
    let path = with("d", &format!("embed_dashboard_id={BOARD}"), "embed_dashboard_path=/sales/supply%20chain");
    assert!(send(&emulator, &path).await.body.contains(BOARD));
    let anonymous =
        with("e", EMAIL, "guest@example.com") + "&embed_anonymous_token=true&embed_authorize_group=Embed+viewers";
    assert_eq!(claims(&send(&emulator, &anonymous).await)["email"], "guest@example.com");
    emulator.set_boldbi_secret("another");
    assert_refused(&send(&emulator, &query("f", "")).await, INVALID);
    assert_eq!(last_notes(&emulator), ["the embed secret was replaced"]);
    emulator.change_boldbi(|settings| settings.signed_query = false);
    let why = "This version takes the embed details as JSON in a POST";
    assert_refused(&send(&emulator, &query("g", "")).await, why);
}
