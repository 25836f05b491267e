//! Callers over a unix socket: what they are taken for.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::{Setup, Stage, emulator};

const METADATA: &str = "/v1/upstreams/acme/databricks-metadata";

/// A sidecar at these places, of which `unix:SOCKET` is a path of its own.
async fn stage(setup: Setup, listen: &str) -> (Stage, PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("api.sock");
    let vendor = emulator().await;
    let listen = listen.replace("SOCKET", &path.display().to_string());
    let text = setup.yaml(&vendor).replacen("listen: 127.0.0.1:0", &format!("listen: {listen}"), 1);
    (setup.with_text(vendor, &text).await, path, folder)
}

/// The whole answer, as text.
async fn get(path: &Path, target: &str, headers: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("it listens");
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("it answers");
    text
}

fn sdk(stage: &Stage) -> String {
    format!("X-Databricks-Metadata-Version: 1\r\nX-Databricks-Host: {}\r\n", stage.vendor.url())
}

/// Who comes over a path is of this machine, whatever else is listened to; who comes over an address may be a relay
/// where one that is not loopback is open.
#[tokio::test]
async fn row_57_an_sdk_needs_no_caller_secret_over_a_path() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let secret = folder.path().join("caller");
    std::fs::write(&secret, "correct-horse-battery").expect("a file can be written");
    let keys = format!("caller_token_file: {}", secret.display());
    for listen in ["\"unix:SOCKET\"", "[\"unix:SOCKET\", \"0.0.0.0:0\"]"] {
        let setup = Setup::default().upstream("metadata_service: true").server(&keys);
        let (stage, path, _folder) = stage(setup, listen).await;
        let answer = get(&path, METADATA, &sdk(&stage)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("access_token"), "{answer}");
        // The secret is for all the rest.
        let refused = get(&path, "/v1/embeds/sales/token?viewer_id=v-1", "Sidemint-Request: true\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("caller_unauthenticated"), "{refused}");
        if let Some(address) = stage.app.addresses().iter().find_map(sidemint::config::Listen::tcp) {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], address.port()));
            let host = stage.vendor.url();
            let headers = [("x-databricks-metadata-version", "1"), ("x-databricks-host", host.as_str())];
            assert_eq!(stage.client.get(address, METADATA, &headers).await.status, 401);
        }
    }
}

/// Where a mesh may hand requests on, the other end of a path may be the mesh.
#[tokio::test]
async fn row_57_where_requests_may_be_handed_on_the_secret_is_asked_for_over_a_path_too() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let secret = folder.path().join("caller");
    std::fs::write(&secret, "correct-horse-battery").expect("a file can be written");
    let keys = format!("caller_token_file: {}, allow_forwarded: true", secret.display());
    let setup = Setup::default().upstream("metadata_service: true").server(&keys);
    let (stage, path, _folder) = stage(setup, "\"unix:SOCKET\"").await;
    let refused = get(&path, METADATA, &sdk(&stage)).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
}

#[tokio::test]
async fn t6_a_path_and_an_address_serve_the_same() {
    let (stage, path, _folder) = stage(Setup::default(), "[\"127.0.0.1:0\", \"unix:SOCKET\"]").await;
    let token = stage.renew("v-1", "emea").await.token();
    let target = "/v1/embeds/sales/token?viewer_id=v-1&purpose=renew";
    let headers = "Sidemint-Request: true\r\nSidemint-Viewer-Value: emea\r\n";
    let answer = get(&path, target, headers).await;
    assert!(answer.contains(&token), "{answer}");
}

/// A start that fails after the socket was made leaves nothing behind.
#[tokio::test]
async fn t6_a_start_that_fails_takes_its_socket_away() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("api.sock");
    let vendor = emulator().await;
    let setup = Setup::default().secret_file(&vendor, Path::new("/nowhere/secret"));
    let text = setup.yaml(&vendor).replacen("127.0.0.1:0", &format!("\"unix:{}\"", path.display()), 1);
    let variables = setup.variables(&vendor);
    let config = sidemint::config::from_text(&text, &variables).expect("a valid config");
    let error = sidemint::app::App::start(config, variables).await.err().expect("the secret is not there");
    assert!(error.contains("/nowhere/secret"), "{error}");
    assert!(!path.exists());
}
