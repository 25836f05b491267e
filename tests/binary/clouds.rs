//! Where Microsoft Entra and Power BI are: clouds, managed identities, and the vendor's own variables.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidemint::emulator::{Fault, Operation};

use crate::support::credentials::{Cluster, certificate};
use crate::support::power_bi::{PowerBi, asked};
use crate::support::{Vendor, run};

#[test]
fn row_h22_app_service_knows_who_we_are() {
    let vendor = Vendor::start();
    let scene = PowerBi { auth: "auth: {managed_identity: true}".to_owned(), ..PowerBi::of(&vendor) };
    let header = vendor.entra().identity_header.clone();
    let variables = |header: String| {
        vec![("IDENTITY_ENDPOINT", format!("{}/msi/token", vendor.url())), ("IDENTITY_HEADER", header)]
    };
    let sidecar = scene.start(&vendor, &variables(header.clone()));
    let reply = sidecar.renew("u-1");
    // From expires_on, a time in a text: there is no expires_in.
    assert!(reply.json()["expires_in"].as_i64().is_some_and(|left| left > 86_000), "{}", reply.text());
    let entry = asked(&vendor, Operation::ManagedIdentity).remove(0);
    assert_eq!((entry.method.as_str(), entry.path.as_str()), ("GET", "/msi/token"));
    assert_eq!(entry.query["api-version"], "2019-08-01");
    assert_eq!(entry.query["resource"], "https://analysis.windows.net/powerbi/api");
    assert!(!entry.query.contains_key("client_id") && entry.headers.contains_key("x-identity-header"));
    // One of several.
    let id = vendor.entra().user_assigned[0].clone();
    let named = PowerBi { auth: format!("auth: {{managed_identity: true, client_id: {id}}}"), ..scene.clone() };
    vendor.clear_journal();
    assert_eq!(named.start(&vendor, &variables(header)).renew("u-1").status, 200);
    assert_eq!(asked(&vendor, Operation::ManagedIdentity)[0].query["client_id"], id);
    // And none.
    let reply = scene.start(&vendor, &variables("wrong-header-value".into())).renew("u-1");
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_credentials_rejected"), "{}", reply.text());
    assert!(reply.text().contains("managed identity") && !reply.text().contains("wrong-header-value"));
}

#[test]
fn row_h23_the_metadata_service_is_asked_again_while_it_is_updated() {
    for status in [410, 404] {
        let vendor = Vendor::start();
        vendor.inject(Fault::status("managed_identity", status).times(2));
        let scene = PowerBi { auth: "auth: {managed_identity: true}".to_owned(), ..PowerBi::of(&vendor) };
        let sidecar = scene.start(&vendor, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", vendor.url())]);
        let reply = sidecar.renew("u-1");
        assert_eq!(reply.status, 200, "{status}: {}", reply.text());
        let asked = asked(&vendor, Operation::ManagedIdentity);
        assert_eq!(asked.len(), 3, "{status}");
        assert!(asked.windows(2).all(|pair| pair[1].at - pair[0].at >= Duration::from_millis(90)));
        let last = &asked[2];
        assert_eq!(
            (last.path.as_str(), last.headers["metadata"].as_str()),
            ("/metadata/identity/oauth2/token", "true")
        );
        assert_eq!(last.query["api-version"], "2018-02-01");
        assert_eq!(last.query["resource"], "https://analysis.windows.net/powerbi/api");
    }
}

/// A proxy that lets nobody through and remembers where they wanted to go.
struct Recorder {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut line = String::new();
                let head = BufReader::new(&stream).read_line(&mut line);
                let place = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                notes.lock().expect("no thread panics").push(place);
                // Whoever has gone already does not care.
                let _ = head.and_then(|_| stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        Recorder { url, asked }
    }

    /// Each place once, in order.
    fn places(&self) -> Vec<String> {
        let mut places = std::mem::take(&mut *self.asked.lock().expect("no thread panics"));
        places.dedup();
        places
    }
}

#[test]
fn row_h54_a_cloud_is_an_authority_a_scope_and_an_api() {
    let (vendor, proxy) = (Vendor::start(), Recorder::start());
    let check = |auth: &str, cloud: &str| {
        let place = format!("tenant_id: t, cloud: {cloud}");
        let upstream = "retry: {attempts: 1}".to_owned();
        let files = PowerBi { auth: auth.to_owned(), place, upstream, ..PowerBi::of(&vendor) }.files(&vendor);
        let variables = [("HTTPS_PROXY", proxy.url.clone()), ("AZURE_POD_IDENTITY_AUTHORITY_HOST", vendor.url())];
        let ended = run(&["check", "--live", "--config", &files.config()], variables);
        assert_eq!(ended.code, Some(1), "{ended:?}");
    };
    for (cloud, login, resource, api) in [
        ("public", "login.microsoftonline.com", "analysis.windows.net", "api.powerbi.com"),
        ("usgov_gcc", "login.microsoftonline.com", "analysis.usgovcloudapi.net", "api.powerbigov.us"),
        ("usgov_high", "login.microsoftonline.us", "high.analysis.usgovcloudapi.net", "api.high.powerbigov.us"),
        ("usgov_dod", "login.microsoftonline.us", "mil.analysis.usgovcloudapi.net", "api.mil.powerbigov.us"),
        ("china", "login.chinacloudapi.cn", "analysis.chinacloudapi.cn", "api.powerbi.cn"),
    ] {
        check("auth: {client_id: c, client_secret_file: FOLDER/secret}", cloud);
        assert_eq!(proxy.places(), [format!("CONNECT {login}:443")], "{cloud}");
        // A managed identity needs no Entra, so what comes next is the API.
        vendor.clear_journal();
        check("auth: {managed_identity: true}", cloud);
        assert_eq!(proxy.places(), [format!("CONNECT {api}:443")], "{cloud}");
        let entry = asked(&vendor, Operation::ManagedIdentity).remove(0);
        assert_eq!(entry.query["resource"], format!("https://{resource}/powerbi/api"), "{cloud}");
    }
}

/// What the vendor's SDKs read is enough for the credential and the tenant.
#[test]
fn the_vendors_own_variables_are_enough() {
    let (own, cluster) = (certificate(), Cluster::new());
    let vendor = cluster.vendor();
    vendor.set_entra_certificates(&[&own.public]).expect("an RSA certificate");
    let url = vendor.url();
    let scene =
        PowerBi { auth: String::new(), place: format!("api_url: '{url}', app_url: '{url}'"), ..PowerBi::of(&vendor) };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let entra = vendor.entra();
    for (name, value, proof) in [
        ("AZURE_CLIENT_SECRET", entra.client_secret.clone(), "secret"),
        ("AZURE_CLIENT_CERTIFICATE_PATH", path("pair.pem", &format!("{}{}", own.private, own.public)), "certificate"),
        ("AZURE_FEDERATED_TOKEN_FILE", path("jwt", &cluster.token(1, 600)), "federation"),
    ] {
        let variables = [
            ("AZURE_TENANT_ID", entra.tenant_id.clone()),
            ("AZURE_CLIENT_ID", entra.client_id.clone()),
            ("AZURE_AUTHORITY_HOST", format!("{url}/")),
            (name, value),
        ];
        vendor.clear_journal();
        let sidecar = scene.start(&vendor, &variables);
        assert_eq!(sidecar.renew("u-1").status, 200, "{name}");
        assert_eq!(asked(&vendor, Operation::EntraToken)[0].notes, [format!("authenticated by {proof}")]);
    }
}
