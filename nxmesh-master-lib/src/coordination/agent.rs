//! One agent as the master knows it: its record, its session, what was offered
//! to it and what became of that.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use nxmesh_core::{
    contract::storage::AgentRecord,
    digest::Digest,
    model::{AgentHealth, Version},
    wire::master_message::Payload,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{content::Content, counted::Counted, keys::Offering, slices::Target};

/// An enrolled agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) record: AgentRecord,
    /// The newest version it is known to have taken on.
    pub(super) accepted: Option<Version>,
    /// The slice of that version, if it is known: what a delta may start from.
    pub(super) accepted_digest: Option<Digest>,
    /// Whether the next offer has to be whole.
    pub(super) needs_whole: bool,
    /// Whether it may be at work on a version the master has no answer about.
    pub(super) in_doubt: bool,
    pub(super) session: Option<Live>,
    /// Starts of it before the newest. One that comes back was never over: then
    /// there are two.
    pub(super) earlier_boots: VecDeque<String>,
    /// Since when it has no session, if it has none.
    pub(super) away_since: Instant,
    pub(super) offer: Option<Outstanding>,
    pub(super) refusal: Option<Refusal>,
    /// What it measured last; not stored.
    pub(super) measured: Option<Box<AgentHealth>>,
    /// What it counted last; not stored.
    pub(super) counted: Option<Box<Counted>>,
    /// About the key on offer, if there is one.
    pub(super) key_offering: Offering,
}

/// The session an agent has now.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) number: u64,
    /// The key it was opened with.
    pub(super) key_id: String,
    /// Whether it can be offered another.
    pub(super) rotates: bool,
    /// Told when there may be something to send.
    pub(super) wake: Arc<Notify>,
    /// Commands and acknowledgements that are to be sent.
    pub(super) messages: VecDeque<Payload>,
    /// Cancelled when another session takes over.
    pub(super) fence: CancellationToken,
}

/// An offer that has no final answer yet.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) version: Version,
    pub(super) digest: Digest,
    pub(super) content: Arc<Content>,
    /// When it counts as lost.
    pub(super) until: Instant,
}

/// A version that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) version: Version,
    /// The slice that failed, if it is known.
    pub(super) digest: Option<Digest>,
    /// How often it failed in a row.
    pub(super) failures: u32,
    /// When to offer it again; `None` for never.
    pub(super) retry_at: Option<Instant>,
}

/// What to do about an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Offer the target as this version, whole or as a delta.
    Offer(Version),
    /// Look again then.
    Wait(Instant),
    /// Nothing, until something changes.
    Rest,
}

impl Agent {
    pub(super) fn new(record: AgentRecord, now: Instant) -> Self {
        let facts = &record.facts;
        let refusal = facts.failure.as_ref().map(|failure| Refusal {
            version: failure.version,
            digest: None,
            failures: 1,
            retry_at: failure.retryable.then_some(now),
        });
        Self {
            accepted: facts.staged.max(facts.applied),
            accepted_digest: None,
            needs_whole: false,
            in_doubt: false,
            session: None,
            earlier_boots: VecDeque::new(),
            away_since: now,
            offer: None,
            refusal,
            measured: None,
            counted: None,
            key_offering: Offering::default(),
            record,
        }
    }

    /// Whether it is known to serve `target` and to be at nothing else.
    pub(super) fn serves(&self, target: &Target) -> bool {
        self.record.facts.applied_digest == Some(target.slice.digest())
            && self.offer.is_none()
            && !self.in_doubt
    }

    /// Whether no virtual host chooses it, nor ever did: then it is left alone
    /// rather than told to serve nothing, which would cost its nginx a reload.
    pub(super) fn is_untouched(&self, target: &Target) -> bool {
        let facts = &self.record.facts;
        target.slice.documents().is_empty()
            && facts.applied.is_none()
            && facts.sent.is_none()
            && self.accepted.is_none()
    }

    /// The version under which it may be offered `target`: never below one it
    /// took on or was sent, and never one it took on with other content. A slice
    /// cut anew bears the version of what remains in it, so after a removal it
    /// may look as old as what the agent has: then it is offered as `head`.
    /// `None` if the agent knows more than the history holds, which happens when
    /// the history was cut.
    pub(super) fn version_of(&self, target: &Target, head: Version) -> Option<Version> {
        let Some(floor) = self.accepted.max(self.record.facts.sent) else {
            return Some(target.version);
        };
        let taken_otherwise = self.accepted == Some(target.version)
            && self.accepted_digest != Some(target.slice.digest());
        if target.version >= floor && !taken_otherwise {
            Some(target.version)
        } else {
            Some(head).filter(|head| *head >= floor)
        }
    }

    /// Compares what it serves with what it is to serve.
    pub(super) fn decide(&self, target: &Target, head: Version, now: Instant) -> Decision {
        if let Some(offer) = &self.offer
            && now < offer.until
        {
            return Decision::Wait(offer.until);
        }
        if self.record.facts.drained || self.serves(target) || self.is_untouched(target) {
            return Decision::Rest;
        }
        let Some(version) = self.version_of(target, head) else {
            return Decision::Rest;
        };
        match self.refusal_of(target, version).map(|it| it.retry_at) {
            Some(None) => Decision::Rest,
            Some(Some(at)) if now < at => Decision::Wait(at),
            _ => Decision::Offer(version),
        }
    }

    /// The refusal that holds for `target` offered as `version`.
    fn refusal_of(&self, target: &Target, version: Version) -> Option<&Refusal> {
        self.refusal.as_ref().filter(|refusal| {
            refusal.version == version
                || (refusal.digest == Some(target.slice.digest())
                    && refusal.version >= target.version)
        })
    }

    /// The slice a delta may start from: the newest it took on, as long as
    /// that is known and every offer since was answered.
    pub(super) fn base(&self) -> Option<Digest> {
        let certain = !self.needs_whole && self.offer.is_none() && !self.in_doubt;
        self.accepted_digest.filter(|_| certain)
    }

    /// Notes that `version` is offered.
    pub(super) fn offered(
        &mut self,
        version: Version,
        digest: Digest,
        content: Arc<Content>,
        until: Instant,
    ) {
        let facts = &mut self.record.facts;
        facts.sent = facts.sent.max(Some(version));
        self.offer = Some(Outstanding {
            version,
            digest,
            content,
            until,
        });
    }

    /// Notes that a version failed; `pause` is the ceiling-bound wait before
    /// the next attempt for a number of failures in a row, `None` for a
    /// permanent failure.
    pub(super) fn refused(
        &mut self,
        version: Version,
        digest: Option<Digest>,
        now: Instant,
        pause: Option<impl FnOnce(u32) -> Duration>,
    ) {
        let before = self
            .refusal
            .take()
            .filter(|it| it.version == version || (digest.is_some() && it.digest == digest));
        let failures = before.map_or(0, |it| it.failures).saturating_add(1);
        self.refusal = Some(Refusal {
            version,
            digest,
            failures,
            retry_at: pause.map(|pause| now + pause(failures)),
        });
    }

    /// Tells the session, if there is one, to look again.
    pub(super) fn wake(&self) {
        if let Some(live) = &self.session {
            live.wake.notify_one();
        }
    }
}
