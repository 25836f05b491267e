//! The rows of `reference/powerbi-boldbi.md` section H that are about single messages of Entra.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;
use crate::config::{BaseUrl, Retry, Timeouts};
use crate::model::{Code, Moment};
use crate::secrets::SecretLease;
use crate::telemetry::Metrics;
use crate::upstream::{Reply, Target};
use crate::vendor::credential::Proof;

const SENT: Moment = Moment { wall: 1_795_284_000_000_000_000, boot: 0 };
const SCOPE: &str = "https://analysis.windows.net/powerbi/api/.default";

fn reply_of(status: u16, body: impl Into<bytes::Bytes>) -> Reply {
    Reply { sent: SENT, status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() }
}

fn error(status: u16, error: &str, number: u64) -> Fault {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: secret words\r\nTrace ID: 7f-1\r\n"),
        "error_codes": [number],
        "trace_id": "7f-1",
    });
    reply::token(&reply_of(status, body.to_string())).unwrap_err()
}

fn application(proof: Proof) -> Application {
    let clock = Clock::driven_by(|| std::time::Duration::ZERO);
    let credential = Credential::new("app-1".into(), proof, clock.clone());
    Application::new("https://login.microsoftonline.com", "tenant-1".into(), credential, clock)
}

fn form(call: &crate::upstream::Call) -> std::collections::BTreeMap<String, String> {
    form_urlencoded::parse(&call.body).into_owned().collect()
}

#[test]
fn by_secret_the_form_is_that_of_the_vendor() {
    let application = application(Proof::Secret(SecretLease::fixed("unused")));
    let call = wire::token_call(&application, SCOPE, &Secret::new("s+e&c=r%t é".into())).unwrap();
    assert_eq!(call.path, "/tenant-1/oauth2/v2.0/token");
    let form = form(&call);
    assert_eq!(form["client_secret"], "s+e&c=r%t é");
    assert_eq!((form["client_id"].as_str(), form["scope"].as_str()), ("app-1", SCOPE));
    assert_eq!((form["grant_type"].as_str(), form.len()), ("client_credentials", 4));
    assert!(call.headers.iter().all(|(name, _)| name == "content-type"));
}

#[test]
fn row_h20_by_federation_the_foreign_token_is_the_assertion() {
    let application = application(Proof::Federated("/unused".into()));
    let call = wire::token_call(&application, SCOPE, &Secret::new("a.b.c".into())).unwrap();
    let form = form(&call);
    assert_eq!(form["client_assertion"], "a.b.c");
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!form.contains_key("client_secret"));
}

/// An RSA key takes its time to make.
static KEY: LazyLock<(String, Vec<u8>)> = LazyLock::new(|| {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::KeyPair;
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
    (section("PRIVATE KEY", der.as_ref()), key.public_key().as_ref().to_vec())
});

fn section(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// Whether it is a certificate is the vendor's business; to us it is bytes with a digest.
fn certificate() -> String {
    section("CERTIFICATE", b"a certificate")
}

#[test]
fn row_h18_a_certificate_signs_a_new_assertion_each_time() {
    let pem = Secret::new(format!("{}{}", KEY.0, certificate()));
    let endpoint = "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token";
    let now = SENT.unix_seconds();
    let signed = assertion::sign(&pem, endpoint, "app-1", now).unwrap();
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap()).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(crate::model::secret::sha256(b"a certificate"));
    assert_eq!(header, json!({"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint}));
    let mut rules = Validation::new(Algorithm::PS256);
    rules.set_audience(&[endpoint]);
    rules.validate_exp = false;
    let key = DecodingKey::from_rsa_der(&KEY.1);
    let claims = |jwt: &str| jsonwebtoken::decode::<Value>(jwt, &key, &rules).unwrap().claims;
    let first = claims(&signed);
    assert_eq!((first["iss"].as_str(), first["sub"].as_str()), (Some("app-1"), Some("app-1")));
    let (nbf, exp) = (first["nbf"].as_i64().unwrap(), first["exp"].as_i64().unwrap());
    assert!(nbf <= now && (300..=600).contains(&(exp - now)), "{nbf} {exp}");
    let second = claims(&assertion::sign(&pem, endpoint, "app-1", now).unwrap());
    assert_ne!(first["jti"], second["jti"]);
}

#[test]
fn unusable_certificates_and_keys_are_named_without_their_content() {
    let sign = |pem: String| assertion::sign(&Secret::new(pem), "e", "c", 0).unwrap_err().detail().to_owned();
    assert!(sign(KEY.0.clone()).contains("no certificate"));
    assert!(sign(certificate()).contains("no private key"));
    let encrypted = section("ENCRYPTED PRIVATE KEY", b"x");
    assert!(sign(format!("{}{encrypted}", certificate())).contains("encrypted"));
    let nonsense = section("PRIVATE KEY", b"dose-of-secret");
    let said = sign(format!("{}{nonsense}", certificate()));
    assert!(said.contains("no RSA key") || said.contains("cannot sign"), "{said}");
}

#[test]
fn rows_h8_and_h9_lives_are_believed_as_numbers_and_texts() {
    let ttl = |body: &str| reply::token(&reply_of(200, body.to_owned())).map(|(_, life)| life.ttl().as_secs());
    assert_eq!(ttl(r#"{"token_type":"Bearer","expires_in":5399,"access_token":"t"}"#).ok(), Some(5399));
    assert_eq!(ttl(r#"{"token_type":"Bearer","expires_in":"3599","access_token":"t"}"#).ok(), Some(3599));
    let body = r#"{"token_type":"Bearer","expires_in":7200,"refresh_in":1800,"access_token":"t"}"#;
    let (_, life) = reply::token(&reply_of(200, body)).unwrap();
    assert_eq!(life.refresh_after(), Some(std::time::Duration::from_secs(1800)));
}

#[test]
fn rows_h14_to_h17_a_person_must_act_and_is_told_what_to_do() {
    for (status, name, number, says) in [
        (401, "invalid_client", 7_000_215, "Value, not its Secret ID"),
        (401, "invalid_client", 7_000_222, "has expired"),
        (400, "unauthorized_client", 700_016, "check client_id and tenant_id"),
        (400, "invalid_request", 90_002, "no such tenant"),
        (401, "invalid_client", 700_027, "is not registered"),
        (401, "invalid_client", 700_024, "clock"),
        (401, "invalid_client", 700_213, "Federated"),
        (401, "unauthorized_client", 7_000_112, "disabled"),
        (400, "invalid_resource", 500_011, "scope"),
        (400, "invalid_scope", 70_011, "scope"),
        (400, "access_denied", 53_003, "Conditional Access"),
        (400, "something_new", 999, "check tenant_id"),
    ] {
        let fault = error(status, name, number);
        assert_eq!(fault.code(), Code::CredentialsRejected, "{number}");
        let detail = fault.detail();
        assert!(detail.contains(says), "{detail}");
        assert!(detail.contains(&format!("AADSTS{number}")) && detail.contains("7f-1"), "{detail}");
        assert!(!detail.contains("secret words"), "the vendor's free text is not passed on");
    }
}

#[test]
fn row_h13_throttling_is_plain_text_and_passes() {
    let fault = reply::token(&reply_of(429, "Too Many Requests")).unwrap_err();
    assert_eq!(fault.code(), Code::Throttled);
    assert_eq!(error(400, "temporarily_unavailable", 90_033).code(), Code::Unavailable);
    assert_eq!(error(500, "server_error", 1).code(), Code::Unavailable);
}

#[test]
fn nonsense_is_malformed_and_redirects_name_their_host() {
    for body in ["", "<html>", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":"t","expires_in":0}"#] {
        assert_eq!(reply::token(&reply_of(200, body)).unwrap_err().code(), Code::Malformed, "{body}");
    }
    let mut moved = reply_of(307, "");
    moved.headers.insert("location", "https://elsewhere.example/x?code=1".parse().unwrap());
    let fault = reply::token(&moved).unwrap_err();
    assert_eq!(fault.code(), Code::Malformed);
    assert!(fault.detail().contains("elsewhere.example") && fault.detail().contains("authority"));
    assert!(!fault.detail().contains("code=1"));
}

fn managed_with(endpoint: Endpoint, client_id: Option<&str>) -> Managed {
    let credential = Credential::new(String::new(), Proof::Presence, Clock::system());
    Managed::new(client_id.map(Into::into), endpoint, credential)
}

#[test]
fn row_h22_app_service_is_asked_in_its_way() {
    let managed = managed_with(Endpoint::AppService("/MSI/token".into()), Some("user 1"));
    let call = managed.call(SCOPE, &Secret::new("the-header".into())).unwrap();
    let resource = "https%3A%2F%2Fanalysis%2Ewindows%2Enet%2Fpowerbi%2Fapi";
    assert_eq!(call.path, format!("/MSI/token?api-version=2019-08-01&resource={resource}&client_id=user%201"));
    assert!(call.headers.iter().any(|(name, value)| name == "x-identity-header" && value.is_sensitive()));
    let body = r#"{"access_token":"t","expires_on":"1795287600","token_type":"Bearer","resource":"r"}"#;
    let (_, life) = managed::token(&reply_of(200, body)).unwrap();
    assert_eq!(life.ttl().as_secs(), 3600);
}

#[test]
fn row_h23_the_metadata_service_may_not_be_ready() {
    let call = managed_with(Endpoint::Imds, None).call(SCOPE, &Secret::new(String::new())).unwrap();
    assert!(call.path.starts_with("/metadata/identity/oauth2/token?api-version=2018-02-01&resource="));
    assert!(call.headers.iter().any(|(name, value)| name == "metadata" && value == "true"));
    assert!(call.headers.iter().all(|(name, _)| name != "x-identity-header"));
    for status in [404, 410, 500, 503] {
        assert_eq!(managed::token(&reply_of(status, "")).unwrap_err().code(), Code::Unavailable, "{status}");
    }
    assert_eq!(managed::token(&reply_of(429, "")).unwrap_err().code(), Code::Throttled);
    assert_eq!(managed::token(&reply_of(400, "{}")).unwrap_err().code(), Code::CredentialsRejected);
    let body = r#"{"access_token":"t","expires_in":"86399","expires_on":"1795370399","token_type":"Bearer"}"#;
    assert_eq!(managed::token(&reply_of(200, body)).unwrap().1.ttl().as_secs(), 86_399);
}

#[tokio::test]
async fn what_entra_says_of_itself_needs_no_network_to_be_asked_for() {
    let target = Target {
        name: "contoso".into(),
        host: BaseUrl { https: false, authority: "127.0.0.1:1".into() },
        timeouts: Timeouts { connect: std::time::Duration::from_secs(1), request: std::time::Duration::from_secs(1) },
        retry: Retry { attempts: 1, max_backoff: std::time::Duration::from_secs(1) },
        ca_file: None,
    };
    let metrics = Metrics::new().unwrap().upstream("contoso").calls;
    let client = Client::new(target, Clock::system(), metrics).unwrap();
    let entra = Entra::new(client, SCOPE.into(), Identity::Managed(managed_with(Endpoint::Imds, None)));
    assert!(entra.paused_for().is_none() && entra.reach().await.is_ok());
    assert_eq!(entra.token(Urgency::Waited).await.unwrap_err().code(), Code::Unavailable);
}
