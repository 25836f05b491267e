//! The rows B1 to B16 of `reference/powerbi-boldbi.md` section H, as far as single messages go.

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, Item, System};
use crate::model::{Moment, Token, Viewer};
use crate::upstream::{Call, Reply};
use crate::vendor::Beside;

/// 2026-11-21T18:00:00Z
const NOW: i64 = 1_795_284_000;
const SENT: Moment = Moment { wall: NOW * 1_000_000_000, boot: 0 };
const NONCE: &str = "00000000-0000-4000-8000-000000000001";
const BOARD: &str = "c5bab292-0ee6-4ee7-9dfa-d6b3cffed7ff";

fn site(keys: &str, embed: &str) -> (config::BoldBi, BoldBiItem) {
    let text = format!(
        "upstreams: {{b: {{kind: boldbi, auth: {{embed_secret_env: S}}, {keys}}}}}
embeds: {{e: {{upstream: b, dashboard_id: {BOARD}{embed}}}}}
"
    );
    let config = config::from_text(&text, &Environment::default()).unwrap();
    let System::BoldBi(system) = &config.upstreams["b"].system else { panic!("another kind") };
    let Item::BoldBi(item) = &config.embeds["e"].item else { panic!("another kind") };
    (system.clone(), (**item).clone())
}

const ON_PREMISES: &str = "url: https://bi.example.com/bi, site: site1";

fn viewer(id: &str) -> Viewer {
    let attributes = [("region".to_owned(), "emea".to_owned())].into();
    Viewer { id: id.into(), value: Some("b, c".into()), roles: vec!["y".into(), "x".into(), "y".into()], attributes }
}

fn posted(keys: &str, embed: &str) -> (String, Value) {
    let (system, item) = site(keys, embed);
    let viewer = viewer("ann@example.com");
    let call = wire::object_call(&system, &Secret::new("s3cret".into()), &values::of(&item, &viewer).unwrap()).unwrap();
    assert_eq!(call.method, "POST");
    assert!(call.headers.iter().all(|(name, value)| name == "content-type" && value == "application/json"));
    (call.path.clone(), serde_json::from_slice(&call.body).unwrap())
}

#[test]
fn row_b1_the_secret_is_in_the_body_and_nowhere_else() {
    let (path, body) = posted(ON_PREMISES, "");
    assert_eq!(path, "/bi/api/site/site1/embed/authorize");
    let expected = json!({
        "serverurl": "https://bi.example.com/bi", "siteidentifier": "site/site1", "email": "ann@example.com",
        "embedsecret": "s3cret", "dashboard": {"id": BOARD},
    });
    assert_eq!(body, expected);
}

#[test]
fn row_b15_the_cloud_has_no_site_and_no_double_slash() {
    for url in ["https://acme.boldbi.com/bi", "https://acme.boldbi.com/bi/"] {
        let (path, body) = posted(&format!("url: {url}, site: ''"), "");
        assert_eq!(path, "/bi/api/embed/authorize");
        assert_eq!((&body["serverurl"], &body["siteidentifier"]), (&"https://acme.boldbi.com/bi".into(), &"".into()));
    }
    assert_eq!(posted("url: https://acme.boldbi.com, site: ''", "").0, "/api/embed/authorize");
    assert_eq!(posted("url: https://h/bi, site: site/eu", "").0, "/bi/api/site/eu/embed/authorize");
}

const ALL: &str = ", email: viewer.value,
  custom_attributes: {region: viewer.attributes.region, team: viewer.roles, tier: {fixed: gold}},
  datasource_filters: [{name: Region, value: viewer.attributes.region, operator: '='}, {name: Year, value: {fixed: ['2025', '2026']}, operator: NOT IN}],
  dashboard_parameters: [{name: Who, value: viewer.id}]";

#[test]
fn row_b6_filters_parameters_and_attributes_come_from_the_viewer() {
    let (_, body) = posted(ON_PREMISES, ALL);
    assert_eq!(body["email"], "b, c");
    assert_eq!(
        body["customattributes"],
        json!([{"name": "region", "value": "emea"}, {"name": "team", "value": ["x", "y"]}, {"name": "tier", "value": "gold"}])
    );
    assert_eq!(
        body["datasourcefilters"],
        json!([
            {"name": "Region", "value": "emea", "operator": "="},
            {"name": "Year", "value": ["2025", "2026"], "operator": "NOT IN"},
        ])
    );
    assert_eq!(body["dashboardparameters"], json!([{"name": "Who", "value": "ann@example.com"}]));
}

#[test]
fn row_b14_anonymous_and_group_based_variants() {
    let (_, body) = posted(ON_PREMISES, ", anonymous_group: Readers");
    assert_eq!(body["anonymous"], json!({"isenabled": true, "groupname": "Readers"}));
    let (_, body) = posted(ON_PREMISES, ", group_access: {provider: portal, user: viewer.value, import_users: true}");
    let expected =
        json!({"isenabled": true, "userid": "b, c", "authprovidername": "portal", "isenableduserimport": true});
    assert_eq!(body["groupbasedauthorization"], expected);
}

#[test]
fn what_the_viewer_lacks_is_no_filter_left_out() {
    let (system, item) = site(ON_PREMISES, ALL);
    let full = viewer("a");
    assert!(check_values(&item, &system, &full).is_ok());
    let without = [
        Viewer { value: None, ..full.clone() },
        Viewer { roles: Vec::new(), ..full.clone() },
        Viewer { attributes: Default::default(), ..full.clone() },
        Viewer { attributes: [("region".to_owned(), String::new())].into(), ..full.clone() },
        Viewer { attributes: [("region".to_owned(), " not  in (x)".to_owned())].into(), ..full.clone() },
        Viewer { value: Some(String::new()), ..full },
    ];
    for viewer in without {
        assert_eq!(check_values(&item, &system, &viewer).unwrap_err().code(), Code::InvalidViewer);
    }
}

fn signed(embed: &str, viewer: &Viewer, secret: &str) -> Call {
    let (system, item) = site(&format!("{ON_PREMISES}, flow: signed_query"), embed);
    let values = values::of(&item, viewer).unwrap();
    wire::signed_call(&system, &Secret::new(secret.into()), &values, NOW, NONCE).unwrap()
}

/// The signature was computed with `openssl dgst -sha256 -hmac 'bold-secret-ü' -binary | base64`.
#[test]
fn rows_b10_and_b11_the_bytes_that_are_sent_are_signed() {
    let call = signed("", &viewer("ann+bi&co@example.com"), "bold-secret-ü");
    let expected = format!(
        "/bi/api/site/site1/embed/authorize?embed_nonce={NONCE}&embed_dashboard_id={BOARD}\
         &embed_user_email=ann%2Bbi%26co@example.com&embed_server_timestamp={NOW}\
         &embed_signature=lldncrhCrHJdS1AcsmQFRaXwZA0AvKurvyfUV5vlmcg="
    );
    assert_eq!((call.method.as_str(), call.path, call.body.len()), ("GET", expected, 0));
}

#[test]
fn row_b10_a_nonce_is_a_random_uuid() {
    let (one, other) = (nonce().unwrap(), nonce().unwrap());
    assert_ne!(one, other);
    let shape = |text: &str| text.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect::<String>();
    assert_eq!(shape(&one), "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    assert_eq!(&one[14..15], "4");
    assert!(matches!(&one[19..20], "8" | "9" | "a" | "b"));
}

#[test]
fn row_b14_variants_and_values_of_the_signed_flow() {
    let viewer = Viewer { value: Some("bob@example.com".into()), ..viewer("a") };
    let query = |embed: &str| {
        let path = signed(embed, &viewer, "s").path;
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let query = path.split_once('?').unwrap().1;
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect::<std::collections::BTreeMap<_, _>>()
    };
    let anonymous = query(", anonymous_group: Readers");
    assert_eq!((&anonymous["embed_anonymous_token"][..], &anonymous["embed_authorize_group"][..]), ("true", "Readers"));
    let group = query(", group_access: {provider: portal, import_users: true}");
    let members = ["embed_group_access", "embed_auth_provider", "embed_user_id", "embed_user_import"];
    assert_eq!(members.map(|name| &group[name][..]), ["true", "portal", "a", "true"]);
    let all = query(ALL);
    assert_eq!(all["embed_custom_attribute"], r#"[{"region":"emea","team":"IN('x','y')","tier":"gold"}]"#);
    assert_eq!(all["embed_datasource_filter"], "[{&&Who=a&Region=emea&Year=NOTIN(2025,2026)}]");
}

proptest! {
    /// Whatever a viewer is called: the query has its members, each with the value that was meant, and
    /// the signature is over the bytes before it.
    #[test]
    fn row_b11_no_value_injects_a_member(id in "\\PC{1,40}", secret in "\\PC{1,20}") {
        let path = signed("", &viewer(&id), &secret).path;
        let query = path.split_once('?').unwrap().1;
        prop_assert!(path.parse::<http::uri::PathAndQuery>().is_ok() && query.is_ascii());
        let (text, signature) = query.split_once("&embed_signature=").unwrap();
        let members: Vec<(&str, &str)> = text.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        prop_assert_eq!(names, ["embed_nonce", "embed_dashboard_id", "embed_user_email", "embed_server_timestamp"]);
        let email = percent_encoding::percent_decode_str(members[2].1).decode_utf8().unwrap();
        prop_assert_eq!(email.as_ref(), &id);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        use base64::Engine;
        let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
        prop_assert!(aws_lc_rs::hmac::verify(&key, text.as_bytes(), &signature).is_ok());
    }

    /// Values of lists and filters are refused where the older flow would find an end in them.
    #[test]
    fn row_b11_no_value_ends_a_filter(value in "\\PC{1,20}") {
        let filter = ", datasource_filters: [{name: Region, value: viewer.value}]";
        let (system, item) = site(&format!("{ON_PREMISES}, flow: signed_query"), filter);
        let viewer = Viewer { id: "a".into(), value: Some(value.clone()), ..Viewer::default() };
        if check_values(&item, &system, &viewer).is_ok() {
            let has_delimiter = value.contains(['&', '%', '+', '#', '=', '{', '}', '[', ']', '(', ')', '\'', '"', ',', ';', '\\']);
            prop_assert!(!has_delimiter);
        }
    }
}

#[test]
fn row_b11_what_json_can_carry_needs_no_care() {
    let signed_query = format!("{ON_PREMISES}, flow: signed_query");
    let (object, filter) = site(ON_PREMISES, ", datasource_filters: [{name: Region, value: viewer.value}]");
    let (query, attribute) = site(&signed_query, ", custom_attributes: {region: viewer.value}");
    for value in ["A & B", "a=b", "O'Neill", "[x]", "(x)", "x,y", "INN (x)", "\"", "ü", "+", "%26", "\\"] {
        let viewer = Viewer { id: "a".into(), value: Some(value.into()), ..Viewer::default() };
        for (item, system) in [(&filter, &object), (&attribute, &object), (&attribute, &query)] {
            assert!(check_values(item, system, &viewer).is_ok(), "{value}");
        }
        let path = signed(", custom_attributes: {region: viewer.value}", &viewer, "s").path;
        let sent = path.split('&').find_map(|pair| pair.strip_prefix("embed_custom_attribute=")).unwrap();
        let sent = percent_encoding::percent_decode_str(sent).decode_utf8().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), json!([{"region": value}]));
    }
    let roles = |role: &str| Viewer { id: "a".into(), roles: vec![role.into(), "x".into()], ..Viewer::default() };
    let (_, list) = site(ON_PREMISES, ", custom_attributes: {team: viewer.roles}");
    for role in ["a','b", "a)", "a,b"] {
        assert!(check_values(&list, &object, &roles(role)).is_ok());
        assert!(check_values(&list, &query, &roles(role)).is_err(), "{role}");
    }
}

/// Which text the server signs is written nowhere. The signature was computed with openssl, as above.
#[test]
fn row_b10_the_decoded_text_is_signed_where_the_config_says_so() {
    let keys = format!("{ON_PREMISES}, flow: signed_query, signed_text: decoded");
    let (system, item) = site(&keys, ", custom_attributes: {region: viewer.value}");
    let of = |id: &str, value: &str| Viewer { id: id.into(), value: Some(value.into()), ..Viewer::default() };
    let emea = of("ann@example.com", "em ea");
    let values = values::of(&item, &emea).unwrap();
    let call = wire::signed_call(&system, &Secret::new("bold-secret-ü".into()), &values, NOW, NONCE).unwrap();
    let expected = format!(
        "/bi/api/site/site1/embed/authorize?embed_nonce={NONCE}&embed_dashboard_id={BOARD}\
         &embed_user_email=ann@example.com&embed_custom_attribute=%5B%7B%22region%22:%22em%20ea%22%7D%5D\
         &embed_server_timestamp={NOW}&embed_signature=seCgsE5zR+z5/tr17KxTQyljpGP0BOIEcvdA66T+jq0="
    );
    assert_eq!(call.path, expected);
    for (id, value) in [("a+b@example.com", "emea"), ("a&b", "emea"), ("ann", "a&b"), ("ann", "a%26b"), ("ann", "a#b")]
    {
        assert_eq!(
            check_values(&item, &system, &of(id, value)).unwrap_err().code(),
            Code::InvalidViewer,
            "{id} {value}"
        );
    }
}

#[test]
fn a_signed_query_has_a_longest_line() {
    let (system, item) =
        site(&format!("{ON_PREMISES}, flow: signed_query"), ", custom_attributes: {team: viewer.roles}");
    let roles = (0..400).map(|number| format!("role number {number:03}")).collect();
    let viewer = Viewer { id: "a".into(), roles, ..Viewer::default() };
    let values = values::of(&item, &viewer).unwrap();
    let refused = wire::signed_call(&system, &Secret::new("s".into()), &values, NOW, NONCE).err().unwrap();
    assert_eq!(refused.code(), Code::InvalidViewer);
}

#[test]
fn a_value_that_is_to_be_in_a_list_is_one() {
    let filter =
        ", datasource_filters: [{name: Region, value: viewer.value, operator: IN}, {name: R, value: viewer.value}]";
    let (_, body) = posted(ON_PREMISES, filter);
    let expected = json!([{"name": "Region", "value": ["b, c"], "operator": "IN"}, {"name": "R", "value": "b, c"}]);
    assert_eq!(body["datasourcefilters"], expected);
}

fn reply(status: u16, body: impl Into<bytes::Bytes>) -> Reply {
    Reply { sent: SENT, status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() }
}

fn jwt(exp: Option<i64>) -> String {
    use base64::Engine;
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = exp.map_or(json!({"iat": NOW}), |exp| json!({"iat": NOW, "exp": exp}));
    format!("{}.{}.c2ln", part(json!({"alg": "HS256"})), part(claims))
}

/// The life of the token in seconds, and whether somebody said so.
fn life(token: &str, more: Value) -> Result<(u64, bool), Code> {
    let mut data = json!({"access_token": token, "token_type": "bearer"});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({"ApiStatus": true, "Data": data, "Status": true}).to_string();
    let minted =
        reply::authorized(&reply(200, body.clone()), &viewer("ann@example.com")).map_err(|fault| fault.code())?;
    assert_eq!(minted.token.expose(), token);
    let Some(Beside::Answer(answer)) = &minted.beside else { panic!("the answer is not kept") };
    assert_eq!(answer.expose(), body);
    Ok((minted.lifetime.ttl().as_secs(), !minted.lacks_claim))
}

#[test]
fn rows_b3_to_b5_the_smallest_of_three_places_is_the_end() {
    let day = jwt(Some(NOW + 86_000));
    assert_eq!(life(&day, json!({"expires_in": 604_800})), Ok((86_000, true)), "B3");
    assert_eq!(life(&day, json!({"expires_in": "3600", ".expires": null})), Ok((3600, true)));
    let at = |text: &str| json!({".expires": text});
    for text in ["11/21/2026 7:29:05 PM", "11/21/2026 7:29:05\u{202f}PM", "11/21/2026 19:29:05", "2026-11-21T19:29:05Z"]
    {
        assert_eq!(life("opaque", at(text)), Ok((5345, true)), "B4: {text}");
        assert_eq!(life(&day, at(text)), Ok((5345, true)), "B4, below exp: {text}");
    }
    assert_eq!(life(&day, at("12/2/2026 12:29:05 AM")), Ok((86_000, true)), "B4, above exp");
    assert_eq!(life("opaque", json!({})), Ok((300, false)), "B5");
    // Its zone is told nowhere: what is over by UTC may be another zone's time, or the truth.
    for nonsense in ["11/21/2026 12:29:05 PM", "2/12/2026 12:29:05 PM", "soon", ""] {
        assert_eq!(life("opaque", at(nonsense)), Ok((300, false)), "B5: {nonsense}");
        assert_eq!(life(&day, at(nonsense)), Ok((300, false)), "B5: {nonsense}");
    }
    assert_eq!(life(&jwt(Some(NOW + 60)), at("soon")), Ok((60, false)));
    for nonsense in [json!(0), json!(-5), json!("1h"), json!("")] {
        assert_eq!(life("opaque", json!({"expires_in": nonsense})), Err(Code::Malformed));
    }
    assert_eq!(life(&jwt(Some(NOW - 1)), json!({"expires_in": 604_800})), Err(Code::Malformed));
    assert_eq!(life(&jwt(None), json!({"expires_in": 9_999_999})), Ok((86_400, true)), "no token is believed longer");
}

#[test]
fn rows_b8_and_b9_only_a_token_is_a_success() {
    let token = jwt(Some(NOW + 3600));
    let good = json!({"ApiStatus": true, "Status": true, "Data": {"access_token": token}});
    assert!(reply::authorized(&reply(200, good.to_string()), &viewer("ann@example.com")).is_ok());
    let without_status = json!({"ApiStatus": true, "Data": {"access_token": token}});
    assert!(reply::authorized(&reply(200, without_status.to_string()), &viewer("ann@example.com")).is_ok());
    let cases: [(u16, &str, Code); 36] = [
        (200, r#"{"Status":false,"Message":"Something else"}"#, Code::Rejected),
        (200, r#"{"ApiStatus":true,"Status":false,"Data":{"access_token":"x"}}"#, Code::Rejected),
        (200, r#"{"ApiStatus":false,"Status":true,"Data":{"access_token":"x"}}"#, Code::Rejected),
        (200, r#"{"ApiStatus":true,"Status":true,"Data":{"access_token":""}}"#, Code::Rejected),
        (200, r#"{"ApiStatus":true,"Status":true,"Data":null}"#, Code::Rejected),
        (200, r#"{"errorMessage":"nope"}"#, Code::Rejected),
        (
            200,
            r#"{"Status":false,"Message":"Object reference not set to an instance of an object."}"#,
            Code::UpstreamNotFound,
        ),
        (200, r#"{"Status":false,"Message":"Invalid embed secret"}"#, Code::CredentialsRejected),
        (200, r#"{"Status":false,"Message":"EmbedCodeValidation failed"}"#, Code::CredentialsRejected),
        (200, r#"{"Status":false,"Message":"User does not exist"}"#, Code::Rejected),
        (200, "null", Code::Malformed),
        (200, "", Code::Malformed),
        (200, "{}", Code::Malformed),
        (200, "<!doctype html>", Code::Malformed),
        (201, r#"{"ApiStatus":true,"Status":true,"Data":{"access_token":"x"}}"#, Code::Rejected),
        (302, "", Code::Malformed),
        (401, "", Code::CredentialsRejected),
        (401, r#"{"Message":"The user is not authorized"}"#, Code::Rejected),
        (404, r#"{"Message":"User not found"}"#, Code::Rejected),
        (404, "<html>", Code::UpstreamNotFound),
        (200, r#"{"Status":false,"Message":"Secretary role not found"}"#, Code::Rejected),
        (200, r#"{"Status":false,"Message":"You do not have permission for Top Secret"}"#, Code::Denied),
        (200, r#"{"Status":false,"Message":"Custom attribute 'secret' is not known"}"#, Code::Rejected),
        (200, r#"{"Status":false,"Message":"Dashboard not found"}"#, Code::UpstreamNotFound),
        (200, r#"{"Status":false,"Message":"Embed is disabled for this site"}"#, Code::Denied),
        (200, r#"{"Status":false,"Message":"Timestamp expired"}"#, Code::Rejected),
        (200, r#"{"Status":false,"Message":"ANN@example.com: nope"}"#, Code::Rejected),
        (200, r#"{"Status":false,"Message":"Invalid Embed Secret of ann@example.com"}"#, Code::CredentialsRejected),
        (403, "", Code::Denied),
        (200, r#"{"Status":false,"Message":"Timeout expired, try again"}"#, Code::Unavailable),
        (200, r#"{"Status":false,"Message":"EmbedCodeValidation failed: the timestamp is old"}"#, Code::Rejected),
        (500, r#"{"Message":"Object reference not set to an instance of an object."}"#, Code::UpstreamNotFound),
        (500, r#"{"Message":"Something happened"}"#, Code::Unavailable),
        (500, "<html>", Code::Unavailable),
        (502, r#"{"Message":"Invalid embed secret"}"#, Code::Unavailable),
        (503, "", Code::Unavailable),
    ];
    for (status, body, code) in cases {
        let fault = reply::authorized(&reply(status, body), &viewer("ann@example.com")).err().unwrap();
        assert_eq!(fault.code(), code, "{status} {body}");
        assert!(!fault.detail().contains("nope"), "{}", fault.detail());
    }
}

/// A secret that is taken for a bad one stops all viewers. Nobody's own texts may do that.
#[test]
fn a_viewer_cannot_bring_the_secret_into_disrepute() {
    let body = r#"{"Status":false,"Message":"The role Invalid Secret is not known"}"#;
    let code = |viewer: &Viewer| reply::authorized(&reply(200, body), viewer).err().unwrap().code();
    let usual = viewer("ann");
    assert_eq!(code(&usual), Code::CredentialsRejected);
    let text = || "invalid SECRET".to_owned();
    for viewer in [
        Viewer { id: text(), ..usual.clone() },
        Viewer { value: Some(text()), ..usual.clone() },
        Viewer { roles: vec![text()], ..usual.clone() },
        Viewer { attributes: [("a".to_owned(), text())].into(), ..usual },
    ] {
        assert_eq!(code(&viewer), Code::Rejected);
    }
}

#[test]
fn a_redirect_is_named_by_its_host_if_it_has_one() {
    let told = |location: &str| {
        let mut reply = reply(302, "");
        reply.headers.insert("location", location.parse().unwrap());
        let fault = reply::authorized(&reply, &viewer("ann")).err().unwrap();
        assert_eq!(fault.code(), Code::Malformed);
        fault.detail().to_owned()
    };
    for (location, host) in [
        ("https://other.example/x", "other.example"),
        ("https://user:pass@other.example:99/", "other.example:99"),
        ("//u:p@other.example/x", "other.example"),
    ] {
        assert!(told(location).contains(&format!("redirects to {host},")), "{}", told(location));
        assert!(!told(location).contains('@'));
    }
    for location in ["login", "/login", "javascript:alert(1)", "../x", ""] {
        assert!(told(location).contains("redirects, which is not followed"), "{}", told(location));
    }
}

#[test]
fn a_token_that_would_break_out_is_refused() {
    let body = json!({"ApiStatus": true, "Data": {"access_token": "a\"b"}}).to_string();
    assert_eq!(reply::authorized(&reply(200, body), &viewer("ann@example.com")).err().unwrap().code(), Code::Malformed);
    assert!(Token::new("x").claims().is_none());
}

fn check(query: &str) -> Result<(), Code> {
    let (_, item) = site(ON_PREMISES, "");
    let body = json!({"embedQuerString": query, "dashboardServerApiUrl": "https://evil.example/bi/api/site/site1"});
    check_posted(&item, body.to_string().as_bytes()).map_err(|fault| fault.code())
}

/// The members are those of version 14.2.4, which leaves empty what it has nothing for.
#[test]
fn row_b12_what_the_page_client_posts_is_taken() {
    let usual = format!(
        "embed_nonce={NONCE}&embed_dashboard_id={BOARD}&embed_dashboard_ids=&embed_dashboard_path=&\
         embed_dashboard_paths=&pinboard_name=&embed_mode=view&embed_timestamp={NOW}&embed_expirationtime=86400"
    );
    assert_eq!(check(&usual), Ok(()));
    assert_eq!(check(&format!("embed_dashboard_id={}", BOARD.to_uppercase())), Ok(()));
    assert_eq!(check(""), Ok(()));
}

#[test]
fn row_b13_what_is_not_the_pages_business_is_refused() {
    for query in [
        "embed_user_email=other@example.com",
        "EMBED_USER_EMAIL=other@example.com",
        "embed%5Fuser_email=other@example.com",
        " embed_user_email=other@example.com",
        "embed_nonce=1&embed_user_email=other@example.com",
        "embed_custom_attribute=[{\"region\":\"apac\"}]",
        "embed_datasource_filter=[{&&Region=apac}]",
        "embed_signature=c2ln",
        "embed_server_timestamp=1",
        "embed_group_access=true",
        "embed_user_id=other",
        "embed_anonymous_token=true",
        "embed_authorize_group=Admins",
        "embed_dashboard_id=another",
        "embed_dashboard_ids=another",
        "embed_dashboard_path=/Sales/Other",
        "embed_dashboardview_id=v",
        "embed_widget_list=w",
        "embed_datasource_id=d",
        "embed_of_a_later_version=x",
        "pinboard_name=p",
        "isMultiTab=true",
        "isPinUpdate=true",
    ] {
        assert_eq!(check(query), Err(Code::InvalidParameters), "{query}");
    }
}

#[test]
fn row_b13_a_body_of_another_shape_is_refused() {
    let (_, item) = site(ON_PREMISES, "");
    let code = |body: &str| check_posted(&item, body.as_bytes()).map_err(|fault| fault.code());
    assert_eq!(code(r#"{"embedQueryString":"embed_nonce=1","more":1}"#), Ok(()));
    for body in [
        "{}",
        "[]",
        "\"embed_nonce=1\"",
        r#"{"embedQuerString":5}"#,
        r#"{"embedQuerString":"","embedQueryString":"embed_user_email=a"}"#,
        r#"{"embedQuerString":"","embedQuerString":""}"#,
        r#"{"embedQuerString":"","viewer":{"id":"other"}}"#,
    ] {
        assert_eq!(code(body), Err(Code::InvalidParameters), "{body}");
    }
    assert_eq!(code("embed_nonce=1"), Err(Code::MalformedRequest));
}

#[test]
fn what_the_page_needs() {
    let block = |keys: &str| {
        let (system, item) = site(keys, "");
        serde_json::from_slice::<Value>(&block(&system, &item)).unwrap()
    };
    let expected = json!({
        "kind": "boldbi", "server_url": "https://bi.example.com/bi", "site": "site1",
        "site_url": "https://bi.example.com/bi/site/site1", "dashboard_id": BOARD,
    });
    assert_eq!(block(ON_PREMISES), expected);
    let cloud = block("url: https://acme.boldbi.com/bi, site: ''");
    assert_eq!((&cloud["site"], &cloud["site_url"]), (&"".into(), &"https://acme.boldbi.com/bi".into()));
}
