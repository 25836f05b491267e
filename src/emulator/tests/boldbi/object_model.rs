//! The object-model flow.

use std::time::Duration;

use super::*;
use crate::emulator::{BoldBiUser, Fault, Operation};

#[tokio::test]
async fn the_answer_is_the_documented_object() {
    let emulator = emulator().await;
    let answer = authorize(&emulator, json!({"dashboard": {"id": BOARD}})).await;
    let data = answer.json()["Data"].clone();
    assert_eq!((&data["email"], &data["username"]), (&EMAIL.into(), &"viewer".into()));
    assert_eq!((&data["token_type"], data.get("expires_in")), (&"bearer".into(), None));
    let inner = |name: &str| serde_json::from_str::<Value>(data[name].as_str().expect("a text")).expect("JSON in it");
    assert_eq!(inner("UserDetail")["Email"], EMAIL);
    assert_eq!((&inner("ItemDetail")["Id"], &inner("ItemDetail")["Name"]), (&BOARD.into(), &"Supply chain".into()));
    assert_eq!(part(&access_token(&answer), 0), json!({"alg": "HS256", "typ": "JWT"}));
    let claims = claims(&answer);
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(86_400));
    let site = format!("{}/bi/site/site1", emulator.url());
    assert_eq!((&claims["iss"], &claims["aud"], &claims["nbf"]), (&json!(site), &json!(site), &claims["iat"]));
    assert_eq!((&claims["upn"], &claims["custom_attribute"]), (&"viewer".into(), &"{}".into()));
    let journal = emulator.journal();
    assert_eq!((journal[0].operation, &journal[0].notes[..]), (Operation::BoldBiAuthorize, &[][..]));
    assert_eq!(journal[0].body.as_ref().map(|body| body["email"] == EMAIL), Some(true));
    let listed = get(&emulator, "/_emulator/requests", &[]).await.body;
    assert!(!listed.contains(SECRET) && listed.contains("\"embedsecret\":\"sha256:"));
}

#[tokio::test]
async fn every_form_of_the_address_is_taken() {
    let emulator = emulator().await;
    for (path, server, identifier, issuer) in [
        ("/bi/api/site/site1/embed/authorize", "https://bold.example.com/bi", "site/site1", "/bi/site/site1"),
        ("/bi/api/embed/authorize", "https://bold.example.com/bi/", "", "/bi"),
        ("/bi/api//embed/authorize", "https://bold.example.com/bi", "", "/bi"),
        ("/api/embed/authorize", "https://bold.example.com", "", ""),
        ("/api//embed/authorize", "https://bold.example.com", "", ""),
    ] {
        let body = details(json!({"serverurl": server, "siteidentifier": identifier}));
        let answer = authorize_at(&emulator, path, &body).await;
        assert_eq!(claims(&answer)["iss"], format!("{}{issuer}", emulator.url()), "{path}");
        assert_eq!(last_notes(&emulator), [""; 0], "{path}");
    }
    let elsewhere = details(json!({"serverurl": "https://bold.example.com", "siteidentifier": "site/site2"}));
    access_token(&authorize_at(&emulator, "/bi/api/site/site1/embed/authorize", &elsewhere).await);
    assert_eq!(last_notes(&emulator).len(), 2);
    assert_eq!(authorize_at(&emulator, "/bi/api/site/site2/embed/authorize", &elsewhere).await.status, 404);
}

#[tokio::test]
async fn names_have_no_letter_case_and_are_given_once() {
    let emulator = emulator().await;
    let body = json!({"ServerUrl": "http://127.0.0.1/bi", "siteIdentifier": "Site/Site1", "Email": "Viewer@Example.com",
        "EmbedSecret": SECRET, "Dashboard": {"Id": BOARD.to_uppercase()},
        "customAttributes": [{"Name": "region", "Value": "emea"}]});
    let answer = authorize_at(&emulator, "/BI/Api/Site/Site1/Embed/Authorize", &body).await;
    assert_eq!(claims(&answer)["custom_attribute"], r#"{"region":"emea"}"#);
    assert_eq!((answer.json()["Data"]["email"].as_str(), last_notes(&emulator)), (Some(EMAIL), vec![]));
    let listed = get(&emulator, "/_emulator/requests", &[]).await.body;
    assert!(!listed.contains(SECRET));
    assert_refused(
        &authorize(&emulator, json!({"Email": "reader@example.com"})).await,
        "email is given more than once",
    );
    access_token(&authorize(&emulator, json!({"useremail": "reader@example.com"})).await);
    assert_eq!(last_notes(&emulator), ["there is no member useremail"]);
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_the_vendors_shape() {
    let emulator = emulator().await;
    for (more, message) in [
        (json!({"embedsecret": "another"}), "Invalid embed secret key"),
        (json!({"embedsecret": null}), "embedsecret is required"),
        (json!({"email": "nobody@example.com"}), "User not found"),
        (json!({"email": ""}), "email is required"),
        (json!({"serverurl": 7}), "serverurl is required"),
        (json!({"siteidentifier": null}), "siteidentifier is required"),
        (json!({"dashboard": {"id": "c5bab292-0ee6-4ee7-9dfa-000000000000"}}), NO_OBJECT),
        (json!({"dashboard": {}}), "id is required"),
        (json!({"dashboard": BOARD}), "dashboard must be an object"),
        (json!({"customattributes": {"region": "emea"}}), "customattributes must be a list of objects"),
        (json!({"datasourcefilters": [{"name": "region"}]}), "datasourcefilters: region has no value"),
        (json!({"dashboardparameters": [{"value": 1}]}), "dashboardparameters: every item needs a name"),
    ] {
        assert_refused(&authorize(&emulator, more).await, message);
    }
    let post = "POST /bi/api/site/site1/embed/authorize";
    let json = [("Content-Type", "application/json")];
    assert_eq!(ask(&emulator, post, &json, "[]").await.expect("an answer").status, 400);
    assert_eq!(ask(&emulator, post, &[("Content-Type", "text/plain")], "{}").await.expect("an answer").status, 415);
    let put = "PUT /bi/api/site/site1/embed/authorize";
    assert_eq!(ask(&emulator, put, &json, "{}").await.expect("an answer").status, 405);
}

#[tokio::test]
async fn viewers_come_in_without_an_account_by_group_or_provider() {
    let emulator = emulator().await;
    let stranger = |more: Value| {
        let mut more = more;
        more["email"] = "guest@example.com".into();
        more
    };
    let anonymous = |group: &str, on: bool| stranger(json!({"anonymous": {"isenabled": on, "groupname": group}}));
    let answer = authorize(&emulator, anonymous("Embed viewers", true)).await;
    assert_eq!(claims(&answer)["email"], "guest@example.com");
    assert_refused(&authorize(&emulator, anonymous("Others", true)).await, "Group not found");
    assert_refused(&authorize(&emulator, anonymous("Embed viewers", false)).await, "User not found");
    let groups = |provider: &str, import: bool| {
        let groups = json!({"isenabled": true, "userid": "u-7", "authprovidername": provider,
            "isenableduserimport": import});
        stranger(json!({"groupbasedauthorization": groups}))
    };
    let user = authorize(&emulator, groups("portal", true)).await.json()["Data"]["UserDetail"].to_string();
    assert!(user.contains("u-7"), "{user}");
    assert_refused(&authorize(&emulator, groups("portal", false)).await, "User not found");
    assert_refused(&authorize(&emulator, groups("other", true)).await, "Authentication provider not found");
    let mut both = groups("portal", true);
    both["anonymous"] = json!({"isenabled": true, "groupname": "Embed viewers"});
    let why = "anonymous and groupbasedauthorization exclude each other";
    assert_refused(&authorize(&emulator, both).await, why);
}

#[tokio::test]
async fn filters_are_minted_into_the_token() {
    let emulator = emulator().await;
    let more = json!({
        "datasourcefilters": [{"name": "region", "value": ["emea", "apac"]}],
        "dashboardparameters": [{"name": "CustomerId", "value": [1001, 1002], "operator": "not in"}],
        "customattributes": [{"name": "region", "value": "emea"}, {"name": "tier", "value": 2}],
    });
    let claims = claims(&authorize(&emulator, more).await);
    let inner = |name: &str| serde_json::from_str::<Value>(claims[name].as_str().expect("a text")).expect("JSON in it");
    assert_eq!(inner("custom_attribute"), json!({"region": "emea", "tier": 2}));
    assert_eq!(inner("datasource_filter"), json!([{"name": "region", "operator": "IN", "values": ["emea", "apac"]}]));
    assert_eq!(inner("dashboard_parameter")[0]["operator"], "NOT IN");
}

#[tokio::test]
async fn the_end_of_a_token_is_told_as_the_settings_have_it() {
    let emulator = emulator().await;
    let data = |answer: Answer| answer.json()["Data"].clone();
    let told = data(authorize(&emulator, json!({})).await)[".expires"].clone();
    let told = told.as_str().expect("a time").to_owned();
    assert!(told.ends_with(" AM") || told.ends_with(" PM"), "{told}");
    emulator.change_boldbi(|settings| (settings.expires_in, settings.dot_expires) = (true, false));
    let older = data(authorize(&emulator, json!({})).await);
    assert_eq!((&older["expires_in"], older.get(".expires")), (&604_800.into(), None));
    emulator.set_boldbi_token_life(Duration::from_secs(60));
    let claims = claims(&authorize(&emulator, json!({})).await);
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(60));
    emulator.change_boldbi(|settings| (settings.expires_in, settings.opaque_tokens) = (false, true));
    let opaque = authorize(&emulator, json!({})).await;
    assert!(!access_token(&opaque).contains('.') && !opaque.body.contains("expires"));
}

#[tokio::test]
async fn a_new_secret_ends_the_old_one_and_versions_differ() {
    let emulator = emulator().await;
    emulator.set_boldbi_secret("another");
    assert_refused(&authorize(&emulator, json!({})).await, "Invalid embed secret key");
    assert_eq!(last_notes(&emulator), ["the embed secret was replaced"]);
    access_token(&authorize(&emulator, json!({"embedsecret": "another"})).await);
    emulator.change_boldbi(|settings| {
        settings.other_secrets.push(SECRET.to_owned());
        settings.users.push(BoldBiUser { email: "a+b&c@example.com".to_owned(), name: "Third".to_owned() });
        settings.dashboard_required = true;
    });
    let third = json!({"email": "a+b&c@example.com", "dashboard": {"id": BOARD}});
    assert_eq!(claims(&authorize(&emulator, third).await)["email"], "a+b&c@example.com");
    assert_refused(&authorize(&emulator, json!({})).await, "dashboard is required");
    emulator.change_boldbi(|settings| settings.object_model = false);
    let why = "EmbedCodeValidation failed: the request has no embed_signature";
    assert_refused(&authorize(&emulator, json!({})).await, why);
}

#[tokio::test]
async fn faults_bend_and_replace_answers() {
    let emulator = emulator().await;
    let fault = |fault: &str| {
        let fault: Fault = serde_json::from_str(fault).expect("a fault");
        emulator.inject(Fault { operation: "boldbi_authorize".to_owned(), ..fault }.times(1))
    };
    for (given, status, body) in [
        (r#"{"body": "boldbi", "message": "No"}"#, 200, r#"{"Message":"No","Status":false}"#),
        (r#"{"body": "boldbi", "message": "No", "status": 401}"#, 401, r#"{"Message":"No","Status":false}"#),
        (r#"{"body": "boldbi_error", "message": "No", "status": 500}"#, 500, r#"{"errorMessage":"No"}"#),
        (r#"{"body": "null", "status": 200}"#, 200, "null"),
        (
            r#"{"body": "html", "status": 404, "message": "Gone"}"#,
            404,
            "<html><head><title>Sign in</title></head><body><pre>Gone</pre></body></html>",
        ),
        (r#"{"body": "empty", "status": 403}"#, 403, ""),
    ] {
        fault(given);
        let answer = authorize(&emulator, json!({})).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{given}");
    }
    fault(r#"{"token_life": 320, "expires_in": "320", "extra_fields": {"Message": null}}"#);
    let bent = authorize(&emulator, json!({})).await;
    let life = |claims: Value| claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
    assert_eq!((life(claims(&bent)), &bent.json()["Data"]["expires_in"]), (Some(320), &"320".into()));
    assert!(bent.body.contains(r#""Message":null"#));
    fault(r#"{"jwt_exp_life": 600, "expiration": "2/12/2026 12:29:05 PM", "drop_custom_claim": true}"#);
    let split = authorize(&emulator, json!({"customattributes": [{"name": "region", "value": "emea"}]})).await;
    assert_eq!((life(claims(&split)), &claims(&split)["custom_attribute"]), (Some(600), &"{}".into()));
    assert_eq!(split.json()["Data"][".expires"], "2/12/2026 12:29:05 PM");
    fault(r#"{"expiration": "omit"}"#);
    assert!(!authorize(&emulator, json!({})).await.body.contains("expires"));
    fault(r#"{"garbage": true}"#);
    let garbage = authorize(&emulator, json!({})).await;
    assert!(garbage.status == 200 && serde_json::from_str::<Value>(&garbage.body).is_err());
    assert_eq!(emulator.count(Operation::BoldBiAuthorize), 10);
}
