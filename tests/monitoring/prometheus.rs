//! A real Prometheus.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{free_port, until};
use super::support::{PATIENCE, Process, tool};

/// It scrapes and looks at the rules so often: ten times and more in the shortest window of the hurried rules, three seconds.
const EVERY: &str = "250ms";

/// The server, on a free port of this machine, with its data in a folder that goes with it.
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// An alert that fires.
#[derive(Debug)]
pub struct Firing {
    pub name: String,
    pub labels: Value,
    /// All its words.
    pub text: String,
}

impl Prometheus {
    /// With these rules, and these jobs with their targets.
    pub fn start(rules: &str, jobs: &[(&str, Vec<SocketAddr>)]) -> Prometheus {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let scrape: Vec<Value> = jobs
            .iter()
            .map(|(job, targets)| {
                let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
                json!({"job_name": job, "static_configs": [{"targets": targets}]})
            })
            .collect();
        let global = json!({"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY});
        let config = json!({"global": global, "rule_files": ["rules.yaml"], "scrape_configs": scrape});
        std::fs::write(path("rules.yaml"), rules).expect("a file can be written");
        std::fs::write(path("prometheus.yaml"), config.to_string()).expect("a file can be written");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new(tool("SIDEMINT_TEST_PROMETHEUS"));
        command.arg(format!("--config.file={}", path("prometheus.yaml")));
        command.arg(format!("--storage.tsdb.path={}", path("data")));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        let process = Process::spawn(command);
        let ready =
            || TcpStream::connect(address).is_ok() && get(address, "/-/ready").is_ok_and(|(status, _)| status == 200);
        until("Prometheus is ready", ready);
        Prometheus { address, _process: process, _folder: folder }
    }

    /// What an expression answers now.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let data = self.ask("/api/v1/query", &[("query", expression)]);
        let result = data["result"].as_array().cloned();
        result.unwrap_or_else(|| panic!("{expression} is no vector: {data}"))
    }

    /// The values of a label in these series.
    pub fn values(&self, label: &str, series: &str) -> Vec<Value> {
        let data = self.ask(&format!("/api/v1/label/{label}/values"), &[("match[]", series)]);
        data.as_array().cloned().unwrap_or_default()
    }

    /// The alerts of a job that fire.
    pub fn firing(&self, job: &str) -> Vec<Firing> {
        let data = self.ask("/api/v1/alerts", &[]);
        let all = data["alerts"].as_array().cloned().unwrap_or_default();
        let of_job = all.into_iter().filter(|alert| alert["labels"]["job"] == job && alert["state"] == "firing");
        let named = |alert: Value| {
            let name = alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
            Firing { name, text: alert["annotations"].to_string(), labels: alert["labels"].clone() }
        };
        of_job.map(named).collect()
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let answer = get(self.address, &format!("{path}?{query}"));
        let (_, body) = answer.unwrap_or_else(|error| panic!("{path} {parameters:?}: {error}"));
        let mut body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(body["status"], "success", "{parameters:?}: {body}");
        body["data"].take()
    }
}

/// In HTTP/1.0: the end of the answer is the end of the connection.
fn get(address: SocketAddr, target: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
