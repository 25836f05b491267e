//! Who is compared: each a process of its own that passes requests on to the target with a token of the same length.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::support;
use crate::support::process::{self, Child, Ports};
use crate::support::vendor::{TOKEN_LENGTH, Vendor};

/// Where scripts/setup-bench puts the programs of others.
const TOOLS: &str = ".tools/bench";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    Nginx,
    Sidemint,
    Haproxy,
    Envoy,
}

impl Contestant {
    /// The measure of the others comes first.
    pub const ALL: [Contestant; 4] = [Contestant::Nginx, Contestant::Sidemint, Contestant::Haproxy, Contestant::Envoy];

    pub fn name(self) -> &'static str {
        match self {
            Contestant::Nginx => "nginx",
            Contestant::Sidemint => "sidemint",
            Contestant::Haproxy => "haproxy",
            Contestant::Envoy => "envoy",
        }
    }

    /// What it says of itself. Fails where it is not installed.
    pub fn version(self) -> Result<String> {
        let flag = if matches!(self, Contestant::Nginx | Contestant::Haproxy) { "-v" } else { "--version" };
        let said = Command::new(self.program()?).arg(flag).env("LD_LIBRARY_PATH", libraries()).output();
        let said = said.with_context(|| format!("{} does not start: run scripts/setup-bench", self.name()))?;
        let said = [said.stdout, said.stderr].concat();
        let line = String::from_utf8_lossy(&said).trim().lines().next().unwrap_or_default().trim().to_owned();
        ensure!(!line.is_empty(), "{} does not tell its version: run scripts/setup-bench", self.name());
        Ok(line)
    }

    /// Starts it, and returns when it listens.
    pub fn start(self, wrapper: &[&str], vendor: &Vendor, target: u16) -> Result<Child> {
        match self {
            Contestant::Sidemint => support::proxying(wrapper, &process::binary(), vendor, target),
            Contestant::Nginx | Contestant::Haproxy | Contestant::Envoy => self.start_configured(wrapper, target),
        }
    }

    fn start_configured(self, wrapper: &[&str], target: u16) -> Result<Child> {
        let (ports, folder) = (Ports::free()?, tempfile::tempdir()?);
        let path = folder.path().to_str().context("the folder for temporary files is no UTF-8")?.to_owned();
        // Envoy tells the language by the name.
        let file = format!("{path}/config.yaml");
        std::fs::write(&file, self.config(ports.listen, target, &path))?;
        if self == Contestant::Envoy {
            std::fs::write(format!("{path}/token.yaml"), secret())?;
        }
        let (program, libraries) = (self.program()?, format!("LD_LIBRARY_PATH={}", libraries()));
        let mut command = vec!["env", &libraries];
        command.extend(wrapper);
        command.push(&program);
        match self {
            Contestant::Nginx => command.extend(["-e", "stderr", "-p", &path, "-c", &file]),
            Contestant::Haproxy => command.extend(["-db", "-f", &file]),
            Contestant::Envoy => {
                command.extend(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
                command.extend(["--service-node", "proxy", "--service-cluster", "proxy", "--config-path", &file]);
            }
            Contestant::Sidemint => {}
        }
        let child = Child::start(&[], &command, ports, folder)?;
        support::client::Connection::open_patiently(ports.listen)
            .with_context(|| format!("{}: {}", self.name(), child.stderr().unwrap_or_default()))?;
        Ok(child)
    }

    fn program(self) -> Result<String> {
        if self == Contestant::Sidemint {
            return process::binary().into_os_string().into_string().ok().context("the binary's path is no UTF-8");
        }
        let program = format!("{TOOLS}/bin/{}", self.name());
        ensure!(Path::new(&program).exists(), "there is no {program}: run scripts/setup-bench");
        Ok(program)
    }

    fn config(self, port: u16, target: u16, folder: &str) -> String {
        match self {
            Contestant::Nginx => nginx(port, target, folder),
            Contestant::Haproxy => haproxy(port, target),
            Contestant::Envoy => envoy(port, target, folder),
            Contestant::Sidemint => String::new(),
        }
    }
}

fn libraries() -> String {
    format!("{TOOLS}/lib")
}

/// As long as the vendor's.
fn token() -> String {
    "0".repeat(TOKEN_LENGTH)
}

/// Without a master: what one worker takes is what the process takes. The buffers hold a body of 100 KiB; with those
/// that it has by default it would go through temporary files, and lose half of its rate.
fn nginx(port: u16, target: u16, folder: &str) -> String {
    let places: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
{places}    access_log off;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    upstream target {{
        server 127.0.0.1:{target};
        keepalive 64;
        keepalive_timeout 300s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://target;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Authorization \"Bearer {token}\";
            proxy_buffers 16 16k;
            proxy_buffer_size 16k;
            proxy_busy_buffers_size 128k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
",
        token = token()
    )
}

fn haproxy(port: u16, target: u16) -> String {
    format!(
        "global
    nbthread 1
    maxconn 1024
defaults
    mode http
    http-reuse always
    timeout connect 2s
    timeout client 300s
    timeout server 300s
frontend proxy
    bind 127.0.0.1:{port}
    default_backend target
backend target
    http-request set-header Authorization \"Bearer {token}\"
    server target 127.0.0.1:{target}
",
        token = token()
    )
}

/// Without the headers that it adds on its own, and without the numbers that it gives to requests: nobody else here
/// has them.
fn envoy(port: u16, target: u16, folder: &str) -> String {
    const TYPES: &str = "type.googleapis.com/envoy.extensions";
    format!(
        r#"static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: proxy
          codec_type: HTTP1
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: target}}}}]
          http_filters:
          - name: envoy.filters.http.credential_injector
            typed_config:
              "@type": {TYPES}.filters.http.credential_injector.v3.CredentialInjector
              overwrite: true
              credential:
                name: envoy.http.injected_credentials.generic
                typed_config:
                  "@type": {TYPES}.http.injected_credentials.generic.v3.Generic
                  credential: {{name: token, sds_config: {{path_config_source: {{path: "{folder}/token.yaml"}}}}}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": {TYPES}.filters.http.router.v3.Router
              suppress_envoy_headers: true
  clusters:
  - name: target
    type: STATIC
    connect_timeout: 2s
    load_assignment:
      cluster_name: target
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {target}}}}}}}
"#
    )
}

/// What Envoy's filter injects, as its secret discovery service reads it from a file.
fn secret() -> String {
    format!(
        r#"resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: token
  generic_secret: {{secret: {{inline_string: "Bearer {}"}}}}
"#,
        token()
    )
}
