//! What the vendor made of the proofs that it was shown, and which of them are worth another try.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Fault, Moment, Secret};

/// Rejected credentials are not offered again before they change or so long has passed.
const BACKOFF: Duration = Duration::from_secs(30);

/// The memory of one credential.
#[derive(Default)]
pub(super) struct Memory {
    /// The proof that the vendor took last.
    good: Option<Arc<Secret>>,
    /// The last one of each proof: the present one, and the one before if that was tried too.
    rejections: Vec<Rejection>,
    /// When a rejected proof was last tried again before its time.
    last_chance: Option<Moment>,
}

struct Rejection {
    proof: Arc<Secret>,
    at: Moment,
    fault: Fault,
    extent: Extent,
    /// Whether the alarm about it was raised.
    is_told: bool,
}

/// For whom a mint is that shows the proof.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// What is shown.
    pub embed: &'a str,
    /// To whom.
    pub viewer: &'a str,
}

/// For whom a rejection holds, where it may be about them rather than about the proof.
#[derive(PartialEq, Eq)]
enum Extent {
    /// One viewer was rejected, for this embed.
    Viewer {
        embed: Box<str>,
        viewer: Box<str>,
    },
    /// Two were, both for this embed, whose config may be wrong.
    Embed(Box<str>),
    Everybody,
}

impl Extent {
    fn holds_for(&self, asker: Option<Asker<'_>>) -> bool {
        match (self, asker) {
            (Extent::Everybody, _) => true,
            (Extent::Viewer { viewer, .. }, Some(asker)) => **viewer == *asker.viewer,
            (Extent::Embed(embed), Some(asker)) => **embed == *asker.embed,
            (_, None) => false,
        }
    }

    /// After one more rejection in a row.
    fn after(before: Option<&Extent>, asker: Asker<'_>) -> Extent {
        let (embed, viewer) = (asker.embed.into(), asker.viewer.into());
        match before {
            None => Extent::Viewer { embed, viewer },
            Some(Extent::Viewer { viewer: other, .. }) if *other == viewer => Extent::Viewer { embed, viewer },
            Some(Extent::Viewer { embed: other, .. } | Extent::Embed(other)) if *other == embed => Extent::Embed(embed),
            Some(_) => Extent::Everybody,
        }
    }
}

impl Rejection {
    fn is_recent(&self, now: Moment) -> bool {
        now.since(self.at) < BACKOFF
    }

    fn is_total(&self, now: Moment) -> bool {
        self.is_recent(now) && self.extent == Extent::Everybody
    }
}

impl Memory {
    /// The rejection that is remembered, if it holds for this asker. Where another proof serves meanwhile
    /// (`has_before`), one asker at a time finds out whether the vendor takes this one now.
    pub(super) fn verdict(
        &mut self,
        proof: &Secret,
        asker: Option<Asker<'_>>,
        has_before: bool,
        now: Moment,
    ) -> Option<Fault> {
        let another_serves = has_before && self.good.as_ref().is_some_and(|good| !good.same_as(proof));
        let rejection = self.rejections.iter_mut().find(|one| one.proof.same_as(proof))?;
        if rejection.is_recent(now) {
            return rejection.extent.holds_for(asker).then(|| rejection.fault.clone().remembered());
        }
        if another_serves && rejection.extent == Extent::Everybody {
            (rejection.at, rejection.is_told) = (now, false);
        }
        None
    }

    /// The proof that the vendor took last, if that is another one and worth a try.
    pub(super) fn one_before(&self, proof: &Secret, asker: Option<Asker<'_>>, now: Moment) -> Option<Arc<Secret>> {
        let good = self.good.clone().filter(|good| !good.same_as(proof))?;
        let holds = |one: &Rejection| one.is_recent(now) && one.proof.same_as(&good) && one.extent.holds_for(asker);
        (!self.rejections.iter().any(holds)).then_some(good)
    }

    /// Whether a remembered rejection is to be forgotten, by all who come from now on: once in a while only, since the
    /// one before may have been rejected for the sake of a viewer. Who comes after the first one finds it forgotten.
    pub(super) fn has_another_chance(&mut self, proof: &Secret, now: Moment) -> bool {
        if !self.rejections.iter().any(|one| one.is_recent(now) && one.proof.same_as(proof)) {
            return true;
        }
        if self.last_chance.is_some_and(|then| now.since(then) < BACKOFF) {
            return false;
        }
        self.last_chance = Some(now);
        self.still_good(proof);
        true
    }

    /// The vendor took the proof that is in use.
    pub(super) fn taken(&mut self, proof: &Arc<Secret>) {
        if self.good.as_ref().is_some_and(|good| good.same_as(proof)) {
            return self.still_good(proof);
        }
        self.rejections.clear();
        self.last_chance = None;
        self.good = Some(Arc::clone(proof));
    }

    /// What was held against a proof is over.
    pub(super) fn still_good(&mut self, proof: &Secret) {
        self.rejections.retain(|rejection| !rejection.proof.same_as(proof));
    }

    /// The vendor rejected a proof.
    pub(super) fn rejected(&mut self, proof: &Arc<Secret>, asker: Option<Asker<'_>>, fault: &Fault, now: Moment) {
        let was_good = self.good.as_ref().is_some_and(|good| good.same_as(proof));
        let at = self.rejections.iter().position(|one| one.proof.same_as(proof));
        let before = at.map(|at| self.rejections.swap_remove(at)).filter(|before| before.is_recent(now));
        // Those of proofs that are neither here nor there any more.
        let good = self.good.clone();
        self.rejections.retain(|one| one.is_recent(now) || good.as_ref().is_some_and(|good| good.same_as(&one.proof)));
        let extent = match asker.filter(|_| was_good) {
            Some(asker) => Extent::after(before.as_ref().map(|before| &before.extent), asker),
            None => Extent::Everybody,
        };
        let is_told = before.is_some_and(|before| before.is_told);
        let proof = Arc::clone(proof);
        self.rejections.push(Rejection { proof, at: now, fault: fault.clone(), extent, is_told });
    }

    /// Whether a rejection is still to be told; once it is, it is not.
    pub(super) fn tells(&mut self, proof: &Secret) -> bool {
        let untold = self.rejections.iter_mut().find(|one| one.proof.same_as(proof) && !one.is_told);
        untold.is_some_and(|rejection| {
            rejection.is_told = true;
            true
        })
    }

    /// The rejection that keeps everybody from being served; where the one before may serve, it must be rejected too.
    pub(super) fn total_rejection(&self, has_before: bool, now: Moment) -> Option<Fault> {
        let total = |proof: &Secret| self.rejections.iter().any(|one| one.is_total(now) && one.proof.same_as(proof));
        let one_serves = has_before && self.good.as_ref().is_some_and(|good| !total(good));
        let rejection = self.rejections.iter().rev().find(|one| one.is_total(now)).filter(|_| !one_serves)?;
        Some(rejection.fault.clone())
    }
}
