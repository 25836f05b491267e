//! Config files.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Vendor, secrecy};

/// What a test changes of the usual config. Each text goes into its section as it is.
#[derive(Clone, Default)]
pub struct Settings {
    pub server: &'static str,
    pub admin: &'static str,
    pub log: &'static str,
    pub upstream: String,
    pub embed: &'static str,
    /// Whole sections.
    pub more: String,
    /// Variables of the process.
    pub variables: Vec<(&'static str, String)>,
}

/// A folder with a config and the secret that it names.
pub struct Files {
    folder: TempDir,
}

impl Files {
    /// A config for this vendor, with the vendor's secret in a file.
    pub fn new(vendor: &Vendor, settings: &Settings) -> Files {
        let files = Files { folder: tempfile::tempdir().expect("a folder can be made") };
        files.write("secret", &vendor.databricks().client_secret);
        files.write("config.yaml", &files.text(vendor, settings));
        files
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file. What is in it is a secret, unless it is a config.
    pub fn write(&self, name: &str, text: &str) {
        match name.rsplit_once('.') {
            Some((_, "yaml")) => secrecy::said::config(text),
            _ => secrecy::hide_secret("a secret in a file", text),
        }
        std::fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The path of the config.
    pub fn config(&self) -> String {
        self.path("config.yaml").display().to_string()
    }

    /// The text of a config.
    pub fn text(&self, vendor: &Vendor, settings: &Settings) -> String {
        let comma = |text: &str| if text.is_empty() { String::new() } else { format!(", {text}") };
        let databricks = vendor.databricks();
        format!(
            "server: {{listen: \"127.0.0.1:0\"{}}}
admin: {{listen: \"127.0.0.1:0\"{}}}
log: {{{}}}
{}
upstreams:
  acme:
    kind: databricks
    host: {}
    workspace_id: \"{}\"
    auth: {{client_id: \"{}\", client_secret_file: {}}}
{}
embeds:
  sales: {{upstream: acme, dashboard_id: \"{}\"{}}}
",
            comma(settings.server),
            comma(settings.admin),
            settings.log,
            settings.more,
            vendor.url(),
            databricks.workspace_id,
            databricks.client_id,
            self.path("secret").display(),
            settings.upstream.lines().map(|line| format!("    {line}\n")).collect::<String>(),
            vendor.dashboard(),
            comma(settings.embed),
        )
    }
}
