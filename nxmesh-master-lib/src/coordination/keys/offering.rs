//! A key on offer to one agent.

use std::time::Duration;

use bytes::Bytes;
use nxmesh_core::{
    api::{KeyView, NextKeyView},
    contract::storage::AgentKeys,
    wire::KeyOffer,
};
use tokio::time::Instant;

use super::super::agent::Agent;

/// How it goes with the key that is on offer to an agent.
#[derive(Debug, Default)]
pub(in super::super) struct Offering {
    /// How often it was sent.
    sent: u32,
    /// When to send it again; at once if it was not.
    again_at: Option<Instant>,
    /// Why the agent could not take it, as it told last.
    pub(super) problem: Option<String>,
}

/// What to do about the key on offer.
#[derive(Debug)]
pub(in super::super) enum OfferStep {
    /// Send it; it counts as sent from now on.
    Send(KeyOffer),
    /// Look again then.
    Wait(Instant),
    /// Nothing.
    Rest,
}

impl Agent {
    /// What to do in session `number`. Offers that are not answered are repeated
    /// with pauses from `first`, which double up to `most`.
    pub(in super::super) fn offer_key(
        &mut self,
        number: u64,
        now: Instant,
        (first, most): (Duration, Duration),
    ) -> OfferStep {
        let live = self.session.as_ref().filter(|live| live.number == number);
        let (Some(live), Some(next)) = (live, &self.record.keys.secondary) else {
            return OfferStep::Rest;
        };
        if !live.rotates || live.key_id == next.id {
            return OfferStep::Rest;
        }
        let offering = &mut self.key_offering;
        if let Some(at) = offering.again_at
            && now < at
        {
            return OfferStep::Wait(at);
        }
        let doubled = 1_u32.checked_shl(offering.sent).unwrap_or(u32::MAX);
        offering.sent = offering.sent.saturating_add(1);
        offering.again_at = Some(now + first.saturating_mul(doubled).min(most));
        OfferStep::Send(KeyOffer {
            key_id: next.id.clone(),
            session_key: Bytes::copy_from_slice(next.secret.expose()),
        })
    }

    /// The key it signs with, and the one on offer.
    pub(in super::super) fn key_view(&self) -> KeyView {
        let AgentKeys { primary, secondary } = &self.record.keys;
        KeyView {
            id: primary.id.clone(),
            since: primary.since,
            next: secondary.as_ref().map(|next| NextKeyView {
                id: next.id.clone(),
                since: next.since,
                problem: self.key_offering.problem.clone(),
            }),
        }
    }

    /// Whether it can be offered a key now that has none on offer.
    pub(super) fn can_change_key(&self) -> bool {
        let live = self.session.as_ref();
        self.record.keys.secondary.is_none() && live.is_some_and(|live| live.rotates)
    }

    /// Whether it uses the key on offer, which could not be stored as its only one.
    pub(super) fn uses_key_on_offer(&self) -> bool {
        let next = self.record.keys.secondary.as_ref();
        let live = self.session.as_ref();
        next.zip(live)
            .is_some_and(|(next, live)| live.key_id == next.id)
    }
}
