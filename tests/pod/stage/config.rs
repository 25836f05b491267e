//! Config files as a pod has them: in a volume, with the secret in another one.

use super::pod::VENDOR;
use super::{Pod, Volume, seen_from};
use crate::support::Vendor;

/// Where the chart mounts them.
pub const CONFIG: &str = "/etc/sidemint";
pub const SECRETS: &str = "/var/run/secrets/sidemint";

/// A config of Databricks, and the vendor's secret. `more` are sections, or keys of them.
pub fn databricks(pod: &Pod, vendor: &Vendor, more: &str) -> (Volume, Volume) {
    let host = format!("http://{}", seen_from(pod, vendor));
    of(vendor, &format!("host: {host}, allow_insecure_http: true"), more)
}

/// The same by a name and over TLS, with the vendor's own authority.
pub fn databricks_over_tls(vendor: &Vendor) -> (Volume, Volume) {
    let host = format!("https://{VENDOR}:{}", vendor.addr().port());
    let (mut config, secret) = of(vendor, &format!("host: '{host}', ca_file: {CONFIG}/ca.pem"), "");
    config.add("ca.pem", vendor.ca_pem().expect("it has TLS"));
    (config, secret)
}

/// The same at another place.
pub fn of(vendor: &Vendor, place: &str, more: &str) -> (Volume, Volume) {
    let databricks = vendor.databricks();
    let (workspace, client, dashboard) = (&databricks.workspace_id, &databricks.client_id, vendor.dashboard());
    let text = format!(
        "{more}
upstreams:
  acme:
    {{kind: databricks, {place}, workspace_id: \"{workspace}\",
     auth: {{client_id: \"{client}\", client_secret_file: {SECRETS}/databricks}}}}
embeds:
  sales: {{upstream: acme, dashboard_id: \"{dashboard}\"}}
"
    );
    let secret = Volume::new(&[("databricks", &databricks.client_secret)]).at(SECRETS);
    (Volume::new(&[("config.yaml", &text)]).at(CONFIG), secret)
}

/// A config of Bold BI that listens at a socket, and the vendor's secret.
pub fn bold_bi(pod: &Pod, vendor: &Vendor, listen: &str, cache: &str) -> (Volume, Volume) {
    let boldbi = vendor.boldbi();
    let (place, dashboard) = (seen_from(pod, vendor), &boldbi.dashboards.first().expect("there is one").id);
    let text = format!(
        "server: {{listen: '{listen}', unix_socket: {{mode: '0666'}}}}
cache: {{max_size: {cache}}}
log: {{audit: false}}
upstreams:
  acme:
    {{kind: boldbi, url: 'http://{place}/bi', site: site1, allow_insecure_http: true,
     auth: {{embed_secret_file: {SECRETS}/bold}}}}
embeds:
  sales: {{upstream: acme, dashboard_id: {dashboard}, custom_attributes: {{region: viewer.value}}}}
"
    );
    let secret = Volume::new(&[("bold", &boldbi.embed_secret)]).at(SECRETS);
    (Volume::new(&[("config.yaml", &text)]).at(CONFIG), secret)
}
