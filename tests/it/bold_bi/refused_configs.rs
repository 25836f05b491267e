//! Configs that could only lead to a no of the vendor, or to rows for the wrong eyes.

use sidemint::config::{self, Environment};

const GOOD: &str = "url: 'https://bi.example.com/bi', site: site1, auth: {embed_secret_env: S}";

/// What is said about an upstream of these keys, and an embed of those.
fn said(upstream: &str, embed: &str) -> Vec<String> {
    let text =
        format!("upstreams:\n  acme: {{kind: boldbi, {upstream}}}\nembeds:\n  sales: {{upstream: acme, {embed}}}\n");
    match config::from_text(&text, &Environment::from([("S", "bold-embed-secret")])) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refuses(upstream: &str, embed: &str, key: &str, says: &str) {
    let said = said(upstream, embed);
    assert!(said.iter().any(|line| line.contains(key) && line.contains(says)), "{key} … {says}: {said:?}");
    assert!(!said.iter().any(|line| line.contains("canary")), "{said:?}");
}

#[track_caller]
fn refuses_upstream(keys: &str, key: &str, says: &str) {
    refuses(keys, "dashboard_id: d", &format!("upstreams.acme.{key}"), says);
}

#[track_caller]
fn refuses_embed(keys: &str, key: &str, says: &str) {
    refuses(GOOD, &format!("dashboard_id: d, {keys}"), &format!("embeds.sales.{key}"), says);
}

#[track_caller]
fn refuses_when_signed(keys: &str, key: &str) {
    let embed = format!("dashboard_id: d, {keys}");
    refuses(&format!("{GOOD}, flow: signed_query"), &embed, &format!("embeds.sales.{key}"), "");
}

#[track_caller]
fn takes(upstream: &str, keys: &str) {
    assert_eq!(said(upstream, &format!("dashboard_id: d{keys}")), Vec::<String>::new());
}

#[test]
fn where_and_what_with_is_said() {
    takes(GOOD, "");
    refuses_upstream("site: site1, auth: {embed_secret_env: S}", "url", "https://bi.example.com/bi");
    refuses_upstream("url: 'https://bi.example.com', auth: {embed_secret_env: S}", "site", "for Bold BI Cloud");
    refuses_upstream("url: 'https://bi.example.com', site: site1", "auth", "embed_secret_file or embed_secret_env");
    for auth in [
        "{}",
        "{embed_secret_env: S, embed_secret_file: /s}",
        "{embed_secret_env: S, client_id: c}",
        "{client_id: c, client_secret_env: S}",
        "{managed_identity: true}",
    ] {
        let keys = format!("url: 'https://bi.example.com', site: site1, auth: {auth}");
        refuses(&keys, "dashboard_id: d", "auth", "embed_secret");
    }
    // A secret in the file itself.
    refuses(
        "url: 'https://bi.example.com', site: s, auth: {embed_secret: canary}",
        "dashboard_id: d",
        "",
        "embed_secret",
    );
    refuses(&format!("{GOOD}, flow: object"), "dashboard_id: d", "", "object_model");
}

#[test]
fn a_url_is_a_host_and_a_path() {
    let at = |url: &str, more: &str| format!("url: '{url}', site: site1, auth: {{embed_secret_env: S}}{more}");
    for url in [
        "https://bi.example.com/bi?x=1",
        "https://bi.example.com/bi#x",
        "https://bi.example.com//bi",
        "https://bi.example.com/bi/../x",
        "https://bi.example.com/b%69",
        "https://user:canary@bi.example.com/bi",
        "bi.example.com/bi",
        "ftp://bi.example.com/bi",
        "https:///bi",
        "",
    ] {
        refuses_upstream(&at(url, ""), "url", "");
    }
    refuses_upstream(&at("http://bi.example.com/bi", ""), "url", "allow_insecure_http");
    takes(&at("http://bi.example.com/bi", ", allow_insecure_http: true"), "");
    for url in [
        "https://bi.example.com",
        "https://bi.example.com/",
        "https://bi.example.com:8443/a/b/",
        "http://127.0.0.1:1/bi",
    ] {
        takes(&at(url, ""), "");
    }
}

#[test]
fn a_site_is_a_name() {
    let of = |site: &str| format!("url: 'https://bi.example.com/bi', site: '{site}', auth: {{embed_secret_env: S}}");
    for site in ["a/b", "/site1", "site1/", "site/", "site/site/site1", "a b", "..", "a?b", "site%31"] {
        refuses_upstream(&of(site), "site", "such as site1");
    }
    for site in ["", "site1", "site/site1", "Sales-EU_2"] {
        takes(&of(site), "");
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    for key in ["host: 'https://x.example.com'", "workspace_id: w", "tenant_id: t", "cloud: public", "scope: s"] {
        let name = key.split(':').next().unwrap_or_default();
        refuses_upstream(&format!("{GOOD}, {key}"), name, "boldbi");
    }
    for key in [
        "workspace_id: w",
        "report_id: r",
        "dataset_id: d",
        "dataset_ids: [d]",
        "tile_id: t",
        "create: true",
        "access_level: view",
        "allow_save_as: false",
        "profile_id: p",
        "rls: {username: viewer.id}",
    ] {
        let name = key.split(':').next().unwrap_or_default();
        refuses_embed(key, name, "boldbi");
    }
    refuses(GOOD, "email: viewer.id", "embeds.sales.dashboard_id", "URL");
    refuses(GOOD, "dashboard_id: a/b", "embeds.sales.dashboard_id", "URL");
    let power_bi = "tenant_id: t, auth: {client_id: c, client_secret_env: S}";
    let text = format!(
        "upstreams:\n  acme: {{kind: powerbi, {power_bi}, url: 'https://x.example.com', site: s, flow: signed_query}}\n\
         embeds:\n  sales: {{upstream: acme, workspace_id: w, report_id: r, custom_attributes: {{a: viewer.id}}}}\n"
    );
    let problems = config::from_text(&text, &Environment::from([("S", "x")])).map(|_| ()).expect_err("foreign keys");
    let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for key in ["acme.url", "acme.site", "acme.flow", "sales.custom_attributes"] {
        assert!(said.contains(key), "{key} in {said}");
    }
}

/// A misspelt field must not become a fixed value, which would be everybody's.
#[test]
fn a_value_comes_from_a_field_of_the_viewer_or_is_said_to_be_fixed() {
    for origin in ["viewer.vlaue", "viewer.name", "emea", "viewer.attributes", "viewer.attributes.", "viewer", "''"] {
        refuses_embed(&format!("custom_attributes: {{region: {origin}}}"), "custom_attributes", "viewer.value");
        refuses_embed(&format!("datasource_filters: [{{name: region, value: {origin}}}]"), "datasource_filters", "");
        refuses_embed(
            &format!("dashboard_parameters: [{{name: region, value: {origin}}}]"),
            "dashboard_parameters",
            "",
        );
    }
    for wrong in ["{fixde: x}", "{fixed: x, more: y}", "[a]", "[viewer.value]", "[[a]]", "[{fixed: a}]", "5", "{}"] {
        refuses(GOOD, &format!("dashboard_id: d, custom_attributes: {{region: {wrong}}}"), "", "viewer.value");
    }
    refuses(GOOD, "dashboard_id: d, custom_attributes: {region: {fixed: a, fixed: b}}", "", "line 4");
    for fixed in ["''", "[]", "[a, '']", "IN(a)", "'NOT IN (a)'"] {
        refuses_embed(&format!("custom_attributes: {{region: {{fixed: {fixed}}}}}"), "custom_attributes", "fixed");
    }
    for name in ["''", "'a&b'", "'a=b'", "'a\"b'", "'a{b'"] {
        refuses_embed(&format!("custom_attributes: {{{name}: viewer.value}}"), "custom_attributes", "a name");
        refuses_embed(
            &format!("datasource_filters: [{{name: {name}, value: viewer.value}}]"),
            "datasource_filters",
            "a name",
        );
    }
    // No list is equal to a column's value.
    for list in ["viewer.roles", "{fixed: [a, b]}"] {
        let filter = format!("[{{name: a, value: {list}, operator: =}}]");
        refuses_embed(&format!("datasource_filters: {filter}"), "datasource_filters", "IN or NOT IN");
        refuses_embed(&format!("dashboard_parameters: {filter}"), "dashboard_parameters", "IN or NOT IN");
    }
    takes(GOOD, ", datasource_filters: [{name: a, value: {fixed: [a]}, operator: =}]");
    refuses(GOOD, "dashboard_id: d, email: viewer.name", "", "viewer.id");
    refuses(
        GOOD,
        "dashboard_id: d, datasource_filters: [{name: a, value: viewer.value, operator: LIKE}]",
        "",
        "NOT IN",
    );
    takes(GOOD, ", custom_attributes: {a: viewer.id, 'b c': viewer.attributes.x, d: {fixed: [x, 'y, z']}}");
    takes(GOOD, ", dashboard_parameters: [{name: a, value: viewer.roles, operator: NOT IN}]");
}

#[test]
fn a_viewer_is_anonymous_or_has_groups() {
    refuses_embed("anonymous_group: g, group_access: {provider: p}", "anonymous_group", "group_access");
    refuses(GOOD, "dashboard_id: d, group_access: {user: viewer.id}", "", "provider");
    takes(GOOD, ", anonymous_group: g");
    takes(GOOD, ", group_access: {provider: p, user: viewer.value, import_users: true}");
}

/// The older flow has no escapes in filters, and how it writes the list of a parameter is told nowhere.
#[test]
fn the_older_flow_carries_less() {
    for value in ["viewer.roles", "{fixed: [a, b]}"] {
        refuses_when_signed(&format!("dashboard_parameters: [{{name: a, value: {value}}}]"), "dashboard_parameters");
        takes(GOOD, &format!(", dashboard_parameters: [{{name: a, value: {value}}}]"));
    }
    refuses_when_signed("dashboard_parameters: [{name: a, value: viewer.value, operator: IN}]", "dashboard_parameters");
    for fixed in ["'a,b'", "'a&b'", "'a=b'", "'a}]'", "'(a'", "[a, 'b;c']", "'a\"b'", "\"a'b\""] {
        let keys = format!("datasource_filters: [{{name: a, value: {{fixed: {fixed}}}}}]");
        refuses_when_signed(&keys, "datasource_filters");
        takes(GOOD, &format!(", {keys}"));
    }
    // One attribute is JSON in either flow, several in one are a list that nothing is escaped in.
    for (fixed, carried) in [("'a,b'", true), ("\"a'b\"", true), ("[a, 'b,c']", false), ("[a, \"b'c\"]", false)] {
        let keys = format!("custom_attributes: {{a: {{fixed: {fixed}}}}}");
        if !carried {
            refuses_when_signed(&keys, "custom_attributes");
        }
        takes(GOOD, &format!(", {keys}"));
    }
}

#[test]
fn names_are_there_once_whatever_their_case() {
    for (keys, key) in [
        ("custom_attributes: {region: viewer.value, Region: viewer.id}", "custom_attributes"),
        ("datasource_filters: [{name: a b, value: viewer.id}, {name: A B, value: viewer.value}]", "datasource_filters"),
        ("dashboard_parameters: [{name: a, value: viewer.id}, {name: a, value: viewer.id}]", "dashboard_parameters"),
    ] {
        refuses_embed(keys, key, "has a name twice");
    }
    refuses_embed("custom_attributes: {' region': viewer.value}", "custom_attributes", "spaces within");
    takes(
        GOOD,
        ", custom_attributes: {region: viewer.value}, datasource_filters: [{name: Region, value: viewer.value}]",
    );
}

#[test]
fn a_url_ends_where_the_application_does() {
    for path in ["/bi/site/site1", "/bi/site/site1/", "/bi/api"] {
        refuses_upstream(
            &format!("url: 'https://bi.example.com{path}', site: site1, auth: {{embed_secret_env: S}}"),
            "url",
            "the site has its own key",
        );
    }
    refuses_upstream(&format!("{GOOD}, signed_text: decoded"), "signed_text", "goes with flow: signed_query only");
}

#[test]
fn a_signed_query_is_one_text() {
    let keys = "datasource_filters: [{name: a, value: viewer.id}], dashboard_parameters: [{name: A, value: viewer.id}]";
    refuses_when_signed(keys, "dashboard_parameters");
    takes(GOOD, &format!(", {keys}"));
    let decoded = format!("{GOOD}, flow: signed_query, signed_text: decoded");
    for (keys, key) in [
        ("custom_attributes: {a: {fixed: R&D}}", "custom_attributes"),
        ("anonymous_group: Pub & lic", "anonymous_group"),
        ("group_access: {provider: a+b}", "group_access"),
    ] {
        refuses(&decoded, &format!("dashboard_id: d, {keys}"), &format!("embeds.sales.{key}"), "");
        takes(&format!("{GOOD}, flow: signed_query"), &format!(", {keys}"));
    }
}

#[test]
fn what_is_empty_is_left_out() {
    refuses_embed("anonymous_group: ''", "anonymous_group", "is empty");
    refuses_embed("group_access: {provider: ' '}", "group_access", "empty provider");
}

#[test]
fn a_lifetime_is_worth_a_mint() {
    for wrong in ["59s", "1s", "25h"] {
        refuses_embed(&format!("lifetime: {wrong}"), "lifetime", "from 1m to 24h");
    }
    for good in ["1m", "24h", "0s"] {
        takes(GOOD, &format!(", lifetime: {good}"));
    }
    refuses_embed("min_ttl: 5m, stale_until: 6m", "stale_until", "min_ttl");
}
