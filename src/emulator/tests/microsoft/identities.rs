//! Which identity a token needs: the rows of powerbi-boldbi.md section A9 that are about service principals (row H55).
//! The others (V4, V10, and the other half of some) are about master users.

use super::*;

/// What a row names by number in its bodies: `{plain}` and the like.
fn filled(emulator: &Emulator, body: &Value) -> Value {
    let settings = emulator.powerbi();
    let of = |kind: &DatasetKind| dataset(emulator, |one| one == kind);
    let roles = || vec!["Customer".to_owned(), "Manager".to_owned()];
    let paginated = |dataset: Option<String>| {
        let kind = ReportKind::Paginated(dataset);
        settings.reports.iter().find(|one| one.kind == kind).expect("such a report").id.clone()
    };
    let (plain, secured) = (plain(emulator), secured(emulator));
    let old = settings.datasets.iter().find(|one| one.workspace_id == settings.classic_workspace_id).expect("one");
    let names = [
        ("{rdl}", paginated(None)),
        ("{rdl-plain}", paginated(Some(plain.clone()))),
        ("{rdl-secured}", paginated(Some(secured.clone()))),
        ("{report}", report_on(emulator, &plain)),
        ("{report-secured}", report_on(emulator, &secured)),
        ("{plain}", plain),
        ("{secured}", secured),
        ("{no-roles}", of(&DatasetKind::Secured { roles: Vec::new() })),
        ("{on-premises}", of(&DatasetKind::OnPremises)),
        ("{azure}", of(&DatasetKind::AzureAnalysis)),
        ("{sso}", of(&DatasetKind::SingleSignOn { roles: Vec::new() })),
        ("{sso-secured}", of(&DatasetKind::SingleSignOn { roles: roles() })),
        ("{classic}", old.id.clone()),
        ("{classic-workspace}", settings.classic_workspace_id.clone()),
        ("{me}", emulator.entra().object_id.clone()),
    ];
    let text = names.iter().fold(body.to_string(), |text, (name, id)| text.replace(name, id));
    serde_json::from_str(&text).expect("still JSON")
}

/// 200, or another status and some of the text.
type Expected = Result<(), (u16, &'static str)>;

/// The form for several items.
async fn assert_rows(rows: &[(&str, Value, Expected)]) {
    let emulator = emulator().await;
    let bearer = bearer(&emulator).await;
    for (row, body, expected) in rows {
        let answer = post(&emulator, &bearer, "/GenerateToken", &[], &filled(&emulator, body)).await;
        match expected {
            Ok(()) => assert_eq!(answer.status, 200, "{row}: {}", answer.body),
            Err((status, text)) => {
                assert_eq!(answer.status, *status, "{row}: {}", answer.body);
                assert!(answer.body.contains(text), "{row}: {}", answer.body);
            }
        }
    }
}

fn with(dataset: &str, identities: Value) -> Value {
    json!({"datasets": [{"id": dataset}], "identities": identities})
}

const NEEDS: Expected = Err((400, "requires effective identity to be provided"));
const NO_ROLES: Expected = Err((400, "requires roles to be included in provided effective identity"));
const NOT_WANTED: Expected = Err((400, "shouldn't have effective identity"));

#[tokio::test]
async fn datasets_in_the_cloud() {
    assert_rows(&[
        ("V1", json!({"datasets": [{"id": "{plain}"}]}), Ok(())),
        ("V2", with("{plain}", json!([{"username": "emea", "datasets": ["{plain}"]}])), NOT_WANTED),
        ("V2, for nothing", with("{plain}", json!([{"username": "emea"}])), NOT_WANTED),
        ("V3", json!({"datasets": [{"id": "{secured}"}]}), NEEDS),
        ("V3, by its report", json!({"reports": [{"id": "{report-secured}"}]}), NEEDS),
        ("V5", with("{secured}", json!([{"username": "emea", "datasets": ["{secured}"]}])), NO_ROLES),
        (
            "V6",
            with("{secured}", json!([{"username": "emea", "roles": ["Customer"], "datasets": ["{secured}"]}])),
            Ok(()),
        ),
        (
            "V6, unknown role",
            with("{secured}", json!([{"username": "emea", "roles": ["Nobody"], "datasets": ["{secured}"]}])),
            Ok(()),
        ),
        (
            "V7",
            with("{secured}", json!([{"roles": ["Customer"], "datasets": ["{secured}"]}])),
            Err((400, "requires username")),
        ),
        ("V8", with("{secured}", json!([{"username": "emea", "roles": ["Customer"]}])), Err((400, "must name"))),
        ("no roles in the model", json!({"datasets": [{"id": "{no-roles}"}]}), NEEDS),
        ("the same", with("{no-roles}", json!([{"username": "emea", "datasets": ["{no-roles}"]}])), Ok(())),
    ])
    .await;
}

#[tokio::test]
async fn paginated_reports() {
    let read = |id: &str| json!({"id": id, "xmlaPermissions": "ReadOnly"});
    let user = |targets: Value| {
        let mut identity = json!({"username": "emea", "roles": ["Customer"]});
        identity.as_object_mut().expect("an object").extend(targets.as_object().expect("an object").clone());
        identity
    };
    let both = json!([user(json!({"datasets": ["{secured}"]})), user(json!({"reports": ["{rdl-secured}"]}))]);
    assert_rows(&[
        ("V9", json!({"reports": [{"id": "{rdl}"}]}), Ok(())),
        (
            "V11",
            json!({"reports": [{"id": "{rdl}"}], "identities": [{"username": "John Smith", "reports": ["{rdl}"]}]}),
            Ok(()),
        ),
        (
            "V12",
            json!({"reports": [{"id": "{rdl-secured}"}], "datasets": [read("{secured}")], "identities": both}),
            Ok(()),
        ),
        ("V12, plain", json!({"reports": [{"id": "{rdl-plain}"}], "datasets": [read("{plain}")]}), Ok(())),
        (
            "V12, not for reading",
            json!({"reports": [{"id": "{rdl-plain}"}], "datasets": [{"id": "{plain}"}]}),
            Err((400, "ReadOnly")),
        ),
        (
            "V12, one identity",
            json!({"reports": [{"id": "{rdl-secured}"}], "datasets": [read("{secured}")], "identities": [both[0]]}),
            NEEDS,
        ),
        (
            "an interactive report has none of its own",
            json!({"reports": [{"id": "{report}"}], "identities": [{"username": "emea", "reports": ["{report}"]}]}),
            Err((400, "not paginated")),
        ),
    ])
    .await;
}

#[tokio::test]
async fn live_connections() {
    let as_me = json!([{"username": "{me}", "customData": "emea", "datasets": ["{azure}"]}]);
    assert_rows(&[
        ("V13", json!({"datasets": [{"id": "{on-premises}"}]}), NEEDS),
        ("V14", with("{on-premises}", json!([{"username": "a\\b", "datasets": ["{on-premises}"]}])), Ok(())),
        (
            "letters on premises",
            with("{on-premises}", json!([{"username": "a b", "datasets": ["{on-premises}"]}])),
            Err((400, "characters that are not allowed")),
        ),
        ("V15", json!({"datasets": [{"id": "{azure}"}]}), NEEDS),
        (
            "V16",
            with("{azure}", json!([{"username": "emea", "datasets": ["{azure}"]}])),
            Err((400, "identical to the caller's principal name")),
        ),
        ("V17", with("{azure}", as_me), Ok(())),
    ])
    .await;
}

#[tokio::test]
async fn on_premises_the_caller_has_to_be_an_admin_of_the_gateway() {
    let mut settings = Settings::default();
    settings.powerbi.gateway_admin = false;
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let body = with("{on-premises}", json!([{"username": "emea", "datasets": ["{on-premises}"]}]));
    let refused = generate(&emulator, &filled(&emulator, &body)).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("ReadOverrideEffectiveIdentity"), "{}", refused.body);
}

#[tokio::test]
async fn single_sign_on() {
    let blob = json!({"value": "eyJhbGciOiJub25lIn0.e30."});
    let source = json!([{"identityBlob": "eyJhbGciOiJub25lIn0.e30.",
        "datasources": [{"datasourceType": "Sql", "connectionDetails": {"server": "s", "database": "d"}}]}]);
    let of_source = |dataset: &str, identities: Value| json!({"datasets": [{"id": dataset}], "datasourceIdentities": source, "identities": identities});
    let named = json!([{"username": "emea", "roles": ["Customer"], "datasets": ["{sso-secured}"]}]);
    let mut named_with_blob = named.clone();
    named_with_blob[0]["identityBlob"] = blob.clone();
    const NO_BLOB: Expected = Err((400, "identityBlob"));
    assert_rows(&[
        ("V18", json!({"datasets": [{"id": "{sso}"}]}), NO_BLOB),
        ("V18, a name", with("{sso}", json!([{"username": "emea", "datasets": ["{sso}"]}])), NO_BLOB),
        ("V19", with("{sso}", json!([{"identityBlob": blob, "datasets": ["{sso}"]}])), Ok(())),
        ("V19, by source", of_source("{sso}", json!([])), Ok(())),
        ("V20, only the blob", of_source("{sso-secured}", json!([])), NEEDS),
        (
            "V20, only the blob",
            with("{sso-secured}", json!([{"identityBlob": blob, "datasets": ["{sso-secured}"]}])),
            Err((400, "requires username")),
        ),
        ("V20, only the name", with("{sso-secured}", named.clone()), NO_BLOB),
        ("V21", with("{sso-secured}", named_with_blob), Ok(())),
        ("V21, by source", of_source("{sso-secured}", named), Ok(())),
        (
            "a source without its blob",
            json!({"datasets": [{"id": "{sso}"}], "datasourceIdentities": [{"datasources": []}]}),
            Err((400, "identityBlob")),
        ),
    ])
    .await;
}

/// Rows V22 to V24 and V26, and H33 and H34.
#[tokio::test]
async fn limits_and_places() {
    let many =
        |count: usize| json!({"reports": vec![json!({"id": "{report}"}); count], "datasets": [{"id": "{plain}"}]});
    let who = |username: &str, roles: Vec<String>| {
        with("{secured}", json!([{"username": username, "roles": roles, "datasets": ["{secured}"]}]))
    };
    let role = |length: usize| "r".repeat(length);
    assert_rows(&[
        (
            "V22",
            with("{plain}", json!([{"username": "emea", "roles": ["Customer"], "datasets": ["{secured}"]}])),
            Err((400, "which the token is not for")),
        ),
        ("V23, the most", many(50), Ok(())),
        ("V23", many(51), Err((400, "50 are allowed"))),
        ("V24, the most", who(&"u".repeat(256), vec![role(50); 50]), Ok(())),
        ("V24, user name", who(&"u".repeat(257), vec![role(50)]), Err((400, "256"))),
        ("V24, roles", who("emea", vec![role(1); 51]), Err((400, "50 roles"))),
        ("V24, role", who("emea", vec![role(51)]), Err((400, "longer than 50"))),
        ("V24, comma", who("emea", vec!["a,b".to_owned()]), Err((400, "comma"))),
        ("V26", json!({"datasets": [{"id": "{classic}"}]}), Err((403, "PowerBINotAuthorizedException"))),
        (
            "V26, to save in",
            json!({"datasets": [{"id": "{plain}"}], "targetWorkspaces": [{"id": "{classic-workspace}"}]}),
            Err((403, "PowerBINotAuthorizedException")),
        ),
        ("no such report", json!({"reports": [{"id": "{azure}"}]}), Err((404, "PowerBIEntityNotFound"))),
        ("no such workspace", json!({"targetWorkspaces": [{"id": "{plain}"}]}), Err((404, "PowerBIFolderNotFound"))),
    ])
    .await;
}

/// The same rules hold for the forms of one item, which take one identity only. Row V25 among them.
#[tokio::test]
async fn the_forms_of_one_item_know_the_same_rules() {
    let emulator = emulator().await;
    let bearer = bearer(&emulator).await;
    let group = format!("/groups/{}", emulator.powerbi().workspace_id);
    let (secured, old) = (secured(&emulator), &emulator.powerbi().classic_workspace_id);
    let report = report_on(&emulator, &secured);
    let at_report = format!("{group}/reports/{report}/GenerateToken");
    let emea = json!({"username": "emea", "roles": ["Customer"], "datasets": [secured]});
    let create = json!({"accessLevel": "Create", "datasetId": secured, "identities": [emea]});
    let dashboard = &emulator.powerbi().dashboards[1].id;
    let two = json!({"accessLevel": "View", "identities": [emea, emea]});
    for (path, body, status, text) in [
        (&at_report, json!({"accessLevel": "View"}), 400, "requires effective identity to be provided"),
        (&at_report, json!({"accessLevel": "View", "identities": [emea]}), 200, "tokenId"),
        (&at_report, two.clone(), 400, "multiple identities is not supported"),
        (&format!("{group}/reports/GenerateToken"), create, 200, "tokenId"),
        (&format!("{group}/datasets/{secured}/GenerateToken"), json!({}), 400, "requires effective identity"),
        (&format!("{group}/dashboards/{dashboard}/GenerateToken"), json!({}), 400, "requires effective identity"),
        (&format!("{group}/dashboards/{dashboard}/GenerateToken"), two, 200, "tokenId"),
        (&format!("/groups/{old}/reports/{report}/GenerateToken"), json!({}), 403, "PowerBINotAuthorized"),
        (&format!("{group}/reports/{secured}/GenerateToken"), json!({}), 404, "PowerBIEntityNotFound"),
    ] {
        let answer = post(&emulator, &bearer, path, &[], &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert!(answer.body.contains(text), "{path} {body}: {}", answer.body);
    }
}

#[tokio::test]
async fn tokens_for_data_sources_are_not_written_down() {
    let emulator = emulator().await;
    let body = json!({"identities": [{"identityBlob": {"value": "secret-1"}}],
        "datasourceIdentities": [{"identityBlob": "secret-2"}]});
    generate(&emulator, &body).await;
    let shown = emulator.journal().pop().expect("the last request").body.expect("a body").to_string();
    assert!(shown.contains("sha256:") && !shown.contains("secret-"), "{shown}");
}
