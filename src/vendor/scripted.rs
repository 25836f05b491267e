//! A vendor that does what a test says, at once and in memory: for hours of virtual time, where real
//! sockets and a paused clock never meet. Its rule for the life of viewer tokens is Power BI's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Details, MintFault, Minted};
use crate::lease::Grant;
use crate::model::{Clock, Code, Fault, Lifetime, Moment, Token};

/// What it does, and what it did.
pub struct Scripted {
    clock: Clock,
    /// What it does.
    pub script: Mutex<Script>,
    /// When service tokens were asked for.
    pub service_calls: Mutex<Vec<Moment>>,
    /// When viewer tokens were asked for.
    pub mints: Mutex<Vec<Moment>>,
    issued: AtomicUsize,
}

/// What it does.
#[derive(Clone, Copy)]
pub struct Script {
    /// Of service tokens.
    pub service_life: Duration,
    /// `refresh_in` of service tokens.
    pub refresh_in: Option<Duration>,
    /// Whether it issues service tokens.
    pub issuer_is_down: bool,
    /// Whether it mints.
    pub minter_is_down: bool,
    /// Whether it takes service tokens for good ones.
    pub refuses: bool,
    /// Whether it takes the next one for a good one.
    pub refuse_next: bool,
    /// How long a mint takes.
    pub mint_takes: Duration,
}

impl Scripted {
    /// One whose service tokens live an hour.
    pub fn new(clock: Clock) -> Scripted {
        let script = Script {
            service_life: Duration::from_secs(3600),
            refresh_in: None,
            issuer_is_down: false,
            minter_is_down: false,
            refuses: false,
            refuse_next: false,
            mint_takes: Duration::ZERO,
        };
        Scripted {
            clock,
            script: Mutex::new(script),
            service_calls: Mutex::default(),
            mints: Mutex::default(),
            issued: AtomicUsize::new(0),
        }
    }

    fn begin(&self, calls: &Mutex<Vec<Moment>>) -> (Script, Moment) {
        let now = self.clock.now();
        calls.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        (*self.script.lock().unwrap_or_else(PoisonError::into_inner), now)
    }

    fn name(&self, kind: &str) -> Token {
        Token::new(&format!("{kind}-{}", self.issued.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn service_token(&self) -> Result<(Token, Lifetime), Fault> {
        let (script, now) = self.begin(&self.service_calls);
        if script.issuer_is_down {
            return Err(Fault::new(Code::Unavailable, "the issuer is down"));
        }
        let life = Lifetime::new(now, script.service_life);
        Ok((self.name("service"), script.refresh_in.map_or(life, |after| life.to_be_renewed_after(after))))
    }

    pub(super) fn details(&self) -> Details {
        Details { reports: Vec::new(), page: "{".into() }
    }

    pub(super) async fn mint(&self, service: &Grant<Token>, longest: Option<u32>) -> Result<Minted, MintFault> {
        let (script, now) = self.begin(&self.mints);
        tokio::time::sleep(script.mint_takes).await;
        if script.minter_is_down {
            return Err(MintFault::Other(Fault::new(Code::Timeout, "the minter is down")));
        }
        let once = std::mem::take(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner).refuse_next);
        if script.refuses || once {
            return Err(MintFault::ServiceTokenRefused(Fault::new(Code::Denied, "the minter refuses")));
        }
        let longest = longest.map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
        let end = Some(service.lifetime.expires_at());
        let lifetime = Lifetime::smaller_of(now, longest, end).unwrap_or(Lifetime::new(now, Duration::ZERO));
        Ok(Minted { token: self.name("viewer"), lifetime, lacks_claim: false, beside: None })
    }
}
