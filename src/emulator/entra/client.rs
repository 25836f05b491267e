//! Who asks the token endpoint, and how that is proved.

use super::{Directory, assertion, errors};
use crate::emulator::wire::{Asked, Reply, form_decoded};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Secret,
    Certificate,
    Federation,
}

impl Proof {
    /// The name in the notes of the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Federation => "federation",
        }
    }
}

/// Checks the client of a token request.
pub(super) fn authenticate(directory: &Directory, asked: &Asked) -> Result<Proof, Reply> {
    let field = |name: &str| asked.form.get(name).cloned();
    let basic = asked.basic().map(|(id, secret)| (form_decoded(&id), form_decoded(&secret)));
    let Some(id) = basic.as_ref().map(|(id, _)| id.clone()).or_else(|| field("client_id")) else {
        return Err(errors::error(900_144, "'client_id'"));
    };
    if !id.eq_ignore_ascii_case(&directory.settings.client_id) {
        return Err(errors::error(700_016, &format!("Application with identifier '{id}'.")));
    }
    if !directory.live().enabled {
        return Err(errors::error(7_000_112, &format!("Application '{id}'.")));
    }
    if let Some(jwt) = field("client_assertion") {
        if field("client_assertion_type").as_deref() != Some(JWT_BEARER) {
            return Err(errors::plain(7_000_218));
        }
        return assertion::verify(directory, asked, &jwt);
    }
    let Some(secret) = basic.map(|(_, secret)| secret).or_else(|| field("client_secret")) else {
        return Err(errors::plain(7_000_218));
    };
    let live = directory.live();
    // A secret that has expired is still recognised: the two errors tell an operator different things.
    if live.expired_secrets.contains(&secret) {
        Err(errors::error(7_000_222, &format!("App '{id}'.")))
    } else if live.secrets.contains(&secret) {
        Ok(Proof::Secret)
    } else {
        Err(errors::error(7_000_215, &format!("App '{id}'.")))
    }
}
