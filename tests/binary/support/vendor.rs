//! The emulator, on a runtime that outlives the tests.

use std::ops::Deref;
use std::sync::OnceLock;

use sidemint::emulator::{DatabricksSettings, Emulator, Settings};
use tokio::runtime::Runtime;

use super::secrecy;

/// A vendor of this test alone.
pub struct Vendor(Emulator);

impl Vendor {
    /// As the defaults have it.
    pub fn start() -> Vendor {
        Vendor::with(Settings::default())
    }

    /// With TLS of its own authority.
    pub fn with_tls() -> Vendor {
        Vendor::with(Settings { tls: true, ..Settings::default() })
    }

    /// With another workspace.
    pub fn of(databricks: DatabricksSettings) -> Vendor {
        Vendor::with(Settings { databricks, ..Settings::default() })
    }

    /// With settings of choice.
    pub fn with(settings: Settings) -> Vendor {
        let vendor = Vendor(runtime().block_on(Emulator::start(settings)).expect("the emulator starts"));
        let (databricks, entra, boldbi) = (vendor.databricks(), vendor.entra(), vendor.boldbi());
        for secret in [&databricks.client_secret, &entra.client_secret, &entra.identity_header, &boldbi.embed_secret] {
            secrecy::hide_secret("a secret of the vendor", secret);
        }
        vendor
    }

    /// The first dashboard.
    pub fn dashboard(&self) -> &str {
        &self.databricks().dashboards.first().expect("there is a dashboard").id
    }

    /// How many requests came in all.
    pub fn asked(&self) -> usize {
        self.journal().len()
    }
}

impl Deref for Vendor {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.0
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
    })
}
