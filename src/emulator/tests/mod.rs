//! The emulator over real loopback sockets, asked by a client of a few lines that shares nothing with it.

mod app;
mod boldbi;
mod embed;
mod faults;
mod federation;
mod microsoft;
mod token;

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Emulator, Settings};

const DASHBOARD: &str = "01f12716a3c41b5e9d7c2f60a1b2c3d4";

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    fn text(&self, name: &str) -> String {
        self.json()[name].as_str().expect("the field is there and is a string").to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

async fn emulator() -> Emulator {
    Emulator::start(Settings::default()).await.expect("a free port and a key")
}

/// One request to the workspace, on a connection of its own.
async fn ask(emulator: &Emulator, line: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Answer> {
    ask_at(&emulator.addr().to_string(), line, headers, body).await
}

/// An answer that ends before its `Content-Length` is an error. A chunked body is left as it came.
async fn ask_at(host: &str, line: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(host).await?;
    let length = body.len();
    let mut request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("\r\n{body}"));
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await?;
    let raw = String::from_utf8_lossy(&raw).into_owned();
    let (head, body) = raw.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    let promised: usize = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if answer.body.len() < promised { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

async fn get(emulator: &Emulator, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(emulator, &format!("GET {path}"), headers, "").await.expect("an answer")
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn own_basic(emulator: &Emulator) -> String {
    let settings = emulator.databricks();
    basic(&settings.client_id, &settings.client_secret)
}

async fn token(emulator: &Emulator, authorization: Option<&str>, form: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    ask(emulator, "POST /oidc/v1/token", &headers, &body).await.expect("an answer")
}

async fn service_token(emulator: &Emulator) -> String {
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    token(emulator, Some(&own_basic(emulator)), &form).await.text("access_token")
}

async fn token_info(emulator: &Emulator, service: &str, dashboard: &str, query: &str) -> Answer {
    let path = format!("/api/2.0/lakeview/dashboards/{dashboard}/published/tokeninfo?{query}");
    get(emulator, &path, &[("Authorization", &format!("Bearer {service}"))]).await
}

/// The form of the scoped mint: every field of tokeninfo, `authorization_details` as a string.
fn mint_form(info: &Value, without: &[&str]) -> Vec<(String, String)> {
    let fields = info.as_object().expect("tokeninfo is an object");
    let kept = fields.iter().filter(|(name, _)| !without.contains(&name.as_str()));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut form: Vec<_> = kept.map(|(name, value)| (name.clone(), text(value))).collect();
    form.push(("grant_type".to_owned(), "client_credentials".to_owned()));
    form
}

async fn mint(emulator: &Emulator, info: &Value, without: &[&str]) -> Answer {
    let form = mint_form(info, without);
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    token(emulator, Some(&own_basic(emulator)), &form).await
}

/// All three calls, for one viewer of one value.
async fn viewer_token(emulator: &Emulator, value: &str) -> String {
    let service = service_token(emulator).await;
    let query = format!("external_viewer_id=v-1&external_value={value}");
    let info = token_info(emulator, &service, DASHBOARD, &query).await.json();
    mint(emulator, &info, &[]).await.text("access_token")
}

/// Header or payload of a JWT, unverified.
fn part(jwt: &str, place: usize) -> Value {
    let part = jwt.split('.').nth(place).expect("three parts");
    let raw = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&raw).expect("a JSON object")
}
