//! What the controller shows and tells of its work.

use std::sync::Arc;

use nxmesh_core::{
    contract::reloader::Generation,
    digest::Digest,
    model::{self, ApplyFailure, HeldBack, Version},
    wire::{ConfigPhase, ConfigStatus},
};

use super::run::Controller;
use crate::{
    apply::Failure,
    status::{AgentStatus, NginxStatus},
    transport::message,
};

impl Controller {
    /// Shows what the pipeline has persisted.
    pub(super) fn publish_versions(&self) {
        let accepted = self.pipeline.accepted();
        let applied = self.pipeline.applied();
        let slice = self.pipeline.accepted_slice();
        self.exchange.accepted.send_if_modified(|known| {
            let same = known.as_ref().map(|slice| slice.digest()) == slice.map(|s| s.digest());
            if !same {
                *known = slice.cloned().map(Arc::new);
            }
            !same
        });
        self.exchange.status.send_modify(|status| {
            status.accepted = accepted;
            let whole = applied.and_then(|applied| applied.whole());
            status.applied = whole.map(|(version, _)| version);
            status.applied_digest = whole.map(|(_, digest)| digest);
            let marked_down = applied.map(|applied| applied.marked_down.clone());
            status.note_marked_down(marked_down.unwrap_or_default());
        });
        // Also after a restart: what is held back stays so.
        if let Some(applied) = applied
            && let Some(partly) = &applied.partly
        {
            let phase = model::ConfigPhase::HeldBack;
            let held_back = partly.held_back.clone();
            self.publish_failure(applied.version, phase, &partly.failure(), held_back);
        }
    }

    pub(super) fn publish_failure(
        &self,
        version: Version,
        phase: model::ConfigPhase,
        failure: &Failure,
        held_back: Vec<HeldBack>,
    ) {
        let failure = ApplyFailure {
            version,
            phase,
            code: failure.code.to_owned(),
            message: failure.message.clone(),
            retryable: failure.retryable,
            resource: failure.resource.as_ref().map(ToString::to_string),
            held_back,
        };
        self.exchange
            .status
            .send_modify(|status: &mut AgentStatus| {
                // An old version that came late says nothing about the newest.
                if status.applied <= Some(version) {
                    status.failure = Some(failure);
                }
            });
    }

    pub(super) fn told(
        &self,
        version: Version,
        digest: Digest,
        phase: ConfigPhase,
    ) -> ConfigStatus {
        let status = self.exchange.status.borrow();
        message::config_status(version, message::digest(digest), phase, &status)
    }

    pub(super) fn nginx_status(&self, generation: Option<&Generation>) -> NginxStatus {
        NginxStatus {
            running: generation.is_some(),
            master_pid: generation.map(|generation| generation.master_pid),
            workers: generation.map_or(0, |generation| generation.workers.len()),
            draining: generation.map_or(0, |generation| generation.draining),
            problem: None,
            silent_since: self.care.silent_since,
            restarts: self.care.restarts,
            breaker: self.care.shown,
        }
    }
}
