//! The rows of `reference/databricks.md` section 10 that are about single messages.

use http::{HeaderMap, StatusCode};

use super::reply::{token, token_info};
use super::wire::{scoped_form, token_call, token_info_call};
use super::*;
use crate::model::{Clock, Moment, Viewer};
use crate::upstream::Reply;
use crate::vendor::credential::Proof;

const SENT: Moment = Moment { wall: 1_795_284_000_000_000_000, boot: 0 };

fn reply(status: u16, body: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply { sent: SENT, status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

fn redirect(to: &str) -> Reply {
    let mut reply = reply(302, "");
    reply.headers.insert(http::header::LOCATION, to.parse().unwrap());
    reply
}

fn ttl_of(body: &str) -> Result<u64, Code> {
    token(&reply(200, body)).map(|(_, life)| life.ttl().as_secs()).map_err(|fault| fault.code())
}

fn jwt(payload: &str) -> String {
    use base64::Engine;
    format!("e30.{}.c2ln", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload))
}

#[test]
fn row_24_and_rank_12_expires_in_in_all_its_forms() {
    let of = |value: &str| ttl_of(&format!(r#"{{"access_token":"t","token_type":"bearer","expires_in":{value}}}"#));
    for good in ["3600", "\"3600\"", "3600.0", "\"3600.5\"", "3600.9"] {
        assert_eq!(of(good), Ok(3600), "{good}");
    }
    for bad in ["0", "-1", "null", "\"\"", "\"1h\"", "1e400", "[]", "{}", "\"-5\"", "\"inf\"", "\"nan\"", "true", "0.5"]
    {
        assert_eq!(of(bad), Err(Code::Malformed), "{bad}");
    }
    for endless in ["1000000000000", "18446744073709551615", "1e300"] {
        assert_eq!(of(endless), Ok(86_400), "{endless}");
    }
}

#[test]
fn row_25_without_expires_in_the_token_must_say_it() {
    assert_eq!(ttl_of(r#"{"access_token":"opaque"}"#), Err(Code::Malformed));
    let body = format!(r#"{{"access_token":"{}"}}"#, jwt(r#"{"exp":1795284900}"#));
    assert_eq!(ttl_of(&body), Ok(900));
}

#[test]
fn row_26_the_smaller_of_expires_in_and_exp_wins() {
    let body = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, jwt(r#"{"exp":1795284600}"#));
    assert_eq!(ttl_of(&body), Ok(600));
    let body = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, jwt(r#"{"exp":5}"#));
    assert_eq!(ttl_of(&body), Err(Code::Malformed), "expired when issued");
}

#[test]
fn row_23_what_is_no_token_is_not_believed() {
    for body in [
        "<html><body>Sign in</body></html>",
        "",
        "[]",
        "null",
        "\"t\"",
        "{}",
        "{",
        r#"{"access_token":""}"#,
        r#"{"access_token":5,"expires_in":3600}"#,
        r#"{"access_token":"a b","expires_in":3600}"#,
        r#"{"access_token":"a\r\nX: y","expires_in":3600}"#,
        r#"{"access_token":"t","token_type":"mac","expires_in":9}"#,
    ] {
        assert_eq!(ttl_of(body), Err(Code::Malformed), "{body}");
    }
}

#[test]
fn token_errors_by_status_and_shape() {
    let code = |status, body| token(&reply(status, body)).err().map(|fault| fault.code()).unwrap();
    // row 19
    assert_eq!(
        code(401, r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#),
        Code::CredentialsRejected
    );
    assert_eq!(code(400, r#"{"error":"invalid_client"}"#), Code::CredentialsRejected);
    // row 20, 21
    assert_eq!(code(429, ""), Code::Throttled);
    assert_eq!(code(503, r#"{"error_code":"TEMPORARILY_UNAVAILABLE","message":"try later"}"#), Code::Unavailable);
    assert_eq!(code(500, "<pre>oops</pre>"), Code::Unavailable);
    // row 22
    assert_eq!(code(400, ""), Code::Rejected);
    // row 42
    assert_eq!(code(400, r#"{"error":"invalid_grant"}"#), Code::CredentialsRejected);
    assert_eq!(code(400, r#"{"error":"invalid_scope"}"#), Code::Rejected);
    assert_eq!(code(403, "{}"), Code::Denied);
}

#[test]
fn token_info_errors_by_status_and_code() {
    let code = |status, body| token_info(&reply(status, body)).err().map(|fault| fault.code()).unwrap();
    assert_eq!(code(401, r#"{"message":"Invalid Token"}"#), Code::CredentialsRejected);
    assert_eq!(code(403, r#"{"error_code":"PERMISSION_DENIED"}"#), Code::Denied); // row 29
    assert_eq!(code(404, r#"{"error_code":"RESOURCE_DOES_NOT_EXIST"}"#), Code::UpstreamNotFound); // row 30
    assert_eq!(code(400, r#"{"error_code":"INVALID_PARAMETER_VALUE"}"#), Code::Rejected);
    assert_eq!(code(429, r#"{"error_code":"RESOURCE_EXHAUSTED"}"#), Code::Throttled); // row 31
    assert_eq!(code(502, "<title>Bad gateway</title>"), Code::Unavailable); // row 32
    assert_eq!(code(200, "<html>"), Code::Malformed);
}

#[test]
fn row_33_redirects_are_named_and_not_followed() {
    let fault = token_info(&redirect("/login.html?error=private-link-validation-error")).err().unwrap();
    assert!(fault.detail().contains("private link"), "{fault}");
    let fault = token(&redirect("https://other.example.com/oidc?token=abc")).err().unwrap();
    assert!(fault.detail().contains("other.example.com") && !fault.detail().contains("abc"), "{fault}");
    assert_eq!(fault.code(), Code::Malformed);
}

#[test]
fn row_34_a_numeric_error_code_is_a_code() {
    let fault = token_info(&reply(403, r#"{"error_code":403,"message":"no"}"#)).err().unwrap();
    assert!(fault.detail().contains("code 403"), "{fault}");
}

#[test]
fn the_vendors_free_text_is_not_passed_on() {
    let body = r#"{"error":"invalid_client emea","error_description":"viewer u-1 value emea","error_code":"A B","message":"emea"}"#;
    for fault in [token(&reply(401, body)).err(), token_info(&reply(403, body)).err()] {
        assert!(!fault.unwrap().detail().contains("emea"));
    }
}

#[test]
fn rows_12_13_14_every_field_of_token_info_goes_on() {
    let body = r#"{"custom_claim":"urn:aibi:external_data:a b:v:d","scope":"x y","foo":"bar","n":5,"big":12345678901234567890123,
        "none":null,"yes":true,"grant_type":"evil","client_secret":"evil",
        "authorization_details":[{"type":"é","unknown":{"deep":[1,2.50]}}]}"#;
    let info = token_info(&reply(200, body)).ok().unwrap();
    let call =
        token_call(Operation::Mint, &secret_credential(), &Secret::new("s".into()), &scoped_form(&info)).unwrap();
    let form: std::collections::BTreeMap<_, _> = form_urlencoded::parse(&call.body).into_owned().collect();
    let expected = [
        ("authorization_details", r#"[{"type":"é","unknown":{"deep":[1,2.50]}}]"#),
        ("big", "12345678901234567890123"),
        ("custom_claim", "urn:aibi:external_data:a b:v:d"),
        ("foo", "bar"),
        ("grant_type", "client_credentials"),
        ("n", "5"),
        ("scope", "x y"),
        ("yes", "true"),
    ];
    assert_eq!(form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    let without = token_info(&reply(200, r#"{"scope":"x"}"#)).ok().unwrap();
    assert_eq!(without.fields().count(), 1, "row 13: no custom_claim, none sent");
}

#[test]
fn row_15_values_are_encoded_without_ambiguity() {
    let item = crate::config::Item::Databricks { dashboard_id: "01f1".into() };
    let viewer = Viewer { id: "v/1".into(), value: Some("a b&c=é+~".into()), ..Viewer::default() };
    let mint = Mint { embed: "e", item: &item, details: None, viewer: &viewer };
    let call = token_info_call(&Token::new("t"), Some("123"), &mint).unwrap();
    assert_eq!(
        call.path,
        "/api/2.0/lakeview/dashboards/01f1/published/tokeninfo?external_viewer_id=v%2F1&external_value=a%20b%26c%3D%C3%A9%2B~"
    );
    assert!(call.headers.iter().any(|(name, value)| name == "x-databricks-workspace-id" && value == "123"));
    let viewer = Viewer { value: None, ..viewer.clone() };
    let without = Mint { viewer: &viewer, ..mint };
    assert!(!token_info_call(&Token::new("t"), None, &without).unwrap().path.contains("external_value"));
}

#[test]
fn row_39_a_federated_identity_sends_no_authorization() {
    let credential = Credential::new("app-id".into(), Proof::Federated("/unused".into()), Clock::system());
    let form = super::wire::Form::new().with("scope", "all-apis");
    let call = token_call(Operation::ServiceToken, &credential, &Secret::new("jwt".into()), &form).unwrap();
    assert!(call.headers.iter().all(|(name, _)| name != "authorization"));
    assert_eq!(
        &call.body[..],
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
          &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=jwt&client_id=app-id&scope=all-apis"
    );
}

#[test]
fn row_1_a_secret_goes_into_basic_and_is_marked_sensitive() {
    let form = super::wire::Form::new().with("scope", "all-apis");
    let call = token_call(Operation::ServiceToken, &secret_credential(), &Secret::new("dose".into()), &form).unwrap();
    assert_eq!(&call.body[..], b"grant_type=client_credentials&scope=all-apis");
    let (_, basic) = call.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    assert_eq!(basic.to_str().unwrap(), "Basic aWQ6ZG9zZQ==");
    assert!(basic.is_sensitive() && !format!("{:?}", call.headers).contains("aWQ6"));
}

fn secret_credential() -> Credential {
    // Never read in these tests: the proof is handed in.
    Credential::new("id".into(), Proof::Secret(crate::secrets::SecretLease::fixed("s")), Clock::system())
}
