//! Where the leases of viewer tokens are: bounded by bytes, and each key only once.
//!
//! moka bounds the memory; leases own time and flights. A lease without a token is not in moka but
//! in `pending`: moka may refuse a newcomer when it is full, and then two asks for one key would
//! not meet. Leases that failed are kept apart, so that a flood of keys that the vendor denies
//! pushes out no good token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::viewer::ViewerSource;
use crate::lease::Lease;

type ViewerLease = Arc<Lease<ViewerSource>>;
pub(super) type Key = Arc<[u8]>;

/// Failed leases that are remembered.
const MOST_FAILED: u64 = 10_000;
/// Longer than any failure is remembered.
const FAILED_FOR: Duration = Duration::from_secs(120);

pub(super) struct Store {
    tokens: Cache<Key, Entry>,
    failed: Cache<Key, ViewerLease>,
    pending: Mutex<HashMap<Key, ViewerLease>>,
}

#[derive(Clone)]
struct Entry {
    lease: ViewerLease,
    /// As it was when it came in; renewal brings a new entry.
    bytes: u32,
}

impl Store {
    pub(super) fn new(max_bytes: u64) -> Store {
        let tokens = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, entry: &Entry| entry.bytes)
            .eviction_listener(|_, entry: Entry, _| {
                entry.lease.source().upstream_metrics().viewer_token_out(entry.bytes)
            })
            .build();
        let failed = Cache::builder().max_capacity(MOST_FAILED).time_to_live(FAILED_FOR).build();
        Store { tokens, failed, pending: Mutex::default() }
    }

    /// The lease of a key that has a token: what a hit takes.
    pub(super) fn get(&self, key: &[u8]) -> Option<ViewerLease> {
        self.tokens.get(key).map(|entry| entry.lease)
    }

    /// The lease of a key, made if there is none.
    pub(super) fn get_or_make(&self, key: &[u8], make: impl FnOnce(Key) -> ViewerLease) -> ViewerLease {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = pending.get(key) {
            return Arc::clone(lease);
        }
        // It may have landed just now: tokens go into moka before they leave `pending`.
        if let Some(lease) = self.get(key).or_else(|| self.failed.get(key)) {
            return lease;
        }
        let key = Key::from(key);
        let lease = make(Arc::clone(&key));
        pending.insert(key, Arc::clone(&lease));
        lease
    }

    /// A flight of this lease has landed.
    pub(super) fn landed(&self, lease: &ViewerLease, succeeded: bool) {
        let key = lease.source().key();
        if succeeded {
            let bytes = lease.source().weight(lease.held().as_ref().map(|held| &*held.item));
            lease.source().upstream_metrics().viewer_token_in(bytes);
            self.tokens.insert(Arc::clone(key), Entry { lease: Arc::clone(lease), bytes });
            self.failed.invalidate(&key[..]);
        } else if lease.held().is_none() {
            self.failed.insert(Arc::clone(key), Arc::clone(lease));
        }
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&key[..]);
    }

    /// Frees a lease whose token has expired.
    pub(super) fn drop_expired(&self, source: &ViewerSource) {
        let key = &source.key()[..];
        if self.get(key).is_some_and(|lease| std::ptr::eq(lease.source(), source)) {
            self.tokens.invalidate(key);
        }
    }

    /// How many tokens, and their bytes. moka keeps books lazily, so it is told to do it now.
    pub(super) fn size(&self) -> (u64, u64) {
        self.tokens.run_pending_tasks();
        (self.tokens.entry_count(), self.tokens.weighted_size())
    }
}
