//! Makes vendors from their config: clients for their hosts, and the credentials for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, BaseUrl, Config, EntraIdentity, Environment, IdentityEndpoint, SecretRef, System};
use crate::identity::{KeySet, KeySource};
use crate::lease::{Source, Want};
use crate::lifecycle::Tasks;
use crate::limit::fleet::{Link, probe};
use crate::model::{Clock, Code, Fault, Urgency};
use crate::secrets::{Vault, read_text};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::UpstreamMetrics;
use crate::upstream::{Client, Target};
use crate::vendor::bold_bi::BoldBi;
use crate::vendor::databricks::Databricks;
use crate::vendor::entra::{Application, Endpoint, Entra, Identity, Managed};
use crate::vendor::power_bi::PowerBi;
use crate::vendor::{Credential, Proof, Vendor};

/// What it takes to make a vendor.
pub(super) struct Workshop<'a> {
    pub(super) vault: &'a Vault,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Arc<UpstreamMetrics>,
}

/// The vendors of a config, without anything that serves: for `check --live`.
///
/// # Errors
/// One sentence: a secret that is not there, roots of trust that cannot be read.
pub async fn vendors(config: &Config, environment: Environment) -> Result<BTreeMap<String, Arc<Vendor>>, String> {
    let clock = Clock::system();
    let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
    let vault = Vault::new(clock.clone(), Tasks::new(), metrics.clone(), environment);
    let mut vendors = BTreeMap::new();
    for (name, upstream) in &config.upstreams {
        let workshop = Workshop { vault: &vault, clock: &clock, metrics: &Arc::new(metrics.upstream(name)) };
        vendors.insert(name.clone(), Arc::new(workshop.vendor(upstream).await?));
    }
    Ok(vendors)
}

/// A connection to the Redis of a fleet, without anything that serves: for `check --live`.
///
/// # Errors
/// One sentence, with what to change.
pub async fn fleet_link(fleet: &config::Fleet, environment: Environment) -> Result<Link, String> {
    let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
    let vault = Vault::new(Clock::system(), Tasks::new(), metrics, environment);
    let password = match &fleet.password {
        Some(password) => Some(vault.open("fleet.password", password).await?),
        None => None,
    };
    probe(fleet, password, &Tasks::new()).await
}

/// The keys of the viewers' issuer, without anything that serves: for `check --live`.
///
/// # Errors
/// Why there are none.
pub async fn issuer_keys(issuer: &Arc<config::Issuer>) -> Result<KeySet, Fault> {
    let broken = |error: String| Fault::new(Code::Internal, error);
    let metrics = Metrics::new().map_err(|error| broken(error.to_string()))?.issuer("viewers.jwt");
    if let Some(source) = KeySource::new(issuer, Clock::system(), Arc::new(metrics)).map_err(broken)? {
        let want = Want { urgency: Urgency::Waited, life: Duration::ZERO, held: None };
        return source.fetch(want).await.map(|(keys, _)| keys);
    }
    let config::KeysFrom::File(path) = &issuer.keys else { return Err(broken("there are no keys".into())) };
    let unusable = |message: String| Fault::new(Code::Malformed, format!("{}: {message}", path.display()));
    let text = read_text(path).await.map_err(|(_, message)| unusable(message))?;
    KeySet::parse(text.as_bytes()).map_err(unusable)
}

impl Workshop<'_> {
    /// The vendor of an upstream.
    pub(super) async fn vendor(&self, config: &config::Upstream) -> Result<Vendor, String> {
        match &config.system {
            System::Databricks(system) => {
                let credential = self.credential(config, &system.client_id, &system.proof).await?;
                let client = self.client(config, &system.host)?;
                let databricks = Databricks::new(client, credential, system.workspace_id.clone());
                Ok(Vendor::Databricks(Box::new(databricks)))
            }
            System::PowerBi(system) => {
                let entra = self.entra(config, &system.entra).await?;
                let client = self.client(config, &system.api)?;
                Ok(Vendor::PowerBi(Box::new(PowerBi::new(system.clone(), client, entra, self.clock.clone()))))
            }
            System::BoldBi(system) => {
                let proof = Proof::Secret(self.open(config, "auth", &system.secret).await?);
                let credential = Credential::new(String::new(), proof, self.clock.clone());
                let client = self.client(config, &system.host)?;
                Ok(Vendor::BoldBi(Box::new(BoldBi::new(system.clone(), client, credential, self.clock.clone()))))
            }
        }
    }

    async fn entra(&self, config: &config::Upstream, entra: &config::Entra) -> Result<Entra, String> {
        let client = self.client(config, entra.identity.host())?;
        let identity = match &entra.identity {
            EntraIdentity::Application { authority, tenant_id, client_id, proof } => {
                let credential = self.credential(config, client_id, proof).await?;
                let authority = authority.to_string();
                let application = Application::new(&authority, tenant_id.clone(), credential, self.clock.clone());
                Identity::Application(application)
            }
            EntraIdentity::Managed { client_id, endpoint } => {
                let (endpoint, proof) = match endpoint {
                    IdentityEndpoint::Imds(_) => (Endpoint::Imds, Proof::Presence),
                    IdentityEndpoint::AppService { path, header, .. } => {
                        (Endpoint::AppService(path.clone()), Proof::Secret(self.open(config, "auth", header).await?))
                    }
                };
                let credential = Credential::new(String::new(), proof, self.clock.clone());
                Identity::Managed(Managed::new(client_id.clone(), endpoint, credential))
            }
        };
        Ok(Entra::new(client, entra.scope.clone(), identity))
    }

    async fn credential(
        &self,
        config: &config::Upstream,
        client_id: &str,
        proof: &config::Proof,
    ) -> Result<Credential, String> {
        let proof = match proof {
            config::Proof::Secret(secret) => Proof::Secret(self.open(config, "auth", secret).await?),
            config::Proof::Federated(path) => Proof::Federated(path.clone()),
            config::Proof::Certificate { certificate, private_key } => {
                let file = |path: &std::path::PathBuf| SecretRef::File(path.clone());
                let certificate = self.open(config, "auth.certificate", &file(certificate)).await?;
                let key = match private_key {
                    Some(key) => Some(self.open(config, "auth.private_key", &file(key)).await?),
                    None => None,
                };
                Proof::Certificate(certificate, key)
            }
        };
        Ok(Credential::new(client_id.to_owned(), proof, self.clock.clone()))
    }

    async fn open(
        &self,
        config: &config::Upstream,
        key: &str,
        secret: &SecretRef,
    ) -> Result<crate::secrets::SecretLease, String> {
        self.vault.open(&format!("upstreams.{}.{key}", config.name), secret).await
    }

    fn client(&self, config: &config::Upstream, host: &BaseUrl) -> Result<Client, String> {
        Client::new(Target::new(config, host), self.clock.clone(), Arc::clone(&self.metrics.calls))
            .map_err(|error| format!("upstreams.{}: {error}", config.name))
    }
}
