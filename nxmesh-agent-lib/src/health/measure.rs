//! The machine, nginx's connections, and the certificates it shows.

use std::{path::PathBuf, time::Duration};

use nxmesh_core::model::{ConnectionCounts, ServedCertificate, Version};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{board::Board, system::System, varied};
use crate::{
    apply::certificates::{MAX_CERTIFICATES, served},
    config::AgentOptions,
    nginx::stub_status::{self, StubStatus},
    status::AgentStatus,
};

/// Between two looks, however often nginx is led to something new.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn again_and_again(options: AgentOptions, board: Board) {
    let apply = &options.apply;
    let socket = apply.layout.probe_socket();
    let socket = stub_status::is_built_in(apply.render.modules.as_deref()).then_some(socket);
    let mut status = board.exchange.status.subscribe();
    let mut system = System::default();
    // So that the first look has one before it.
    system.look(apply.layout.state_dir());
    let mut last = Instant::now();
    loop {
        let applied = status.borrow().applied;
        measure(
            &board,
            &mut system,
            apply.layout.state_dir().to_owned(),
            &socket,
        )
        .await;
        let (soon, next) = (
            last + LEAST_PAUSE,
            Instant::now() + varied(options.health.interval),
        );
        tokio::select! {
            () = sleep_until(next) => {}
            () = serves_other(&mut status, applied) => sleep_until(soon).await,
        }
        last = Instant::now();
    }
}

/// Waits until another version is served.
async fn serves_other(status: &mut watch::Receiver<AgentStatus>, applied: Option<Version>) {
    let other = status.wait_for(|status| status.applied != applied);
    if other.await.is_err() {
        // The agent is at its end, and this future about to be dropped.
        std::future::pending::<()>().await;
    }
}

async fn measure(board: &Board, system: &mut System, state_dir: PathBuf, socket: &Option<PathBuf>) {
    // A disk that hangs holds up no more than this.
    let mut looked = std::mem::take(system);
    let looking = tokio::task::spawn_blocking(move || {
        let seen = looked.look(&state_dir);
        (looked, seen)
    });
    let Ok((looked, seen)) = looking.await else {
        return;
    };
    *system = looked;
    let connections = match socket {
        Some(socket) => stub_status::read(socket).await.ok().map(counts),
        None => None,
    };
    let slice = board.exchange.accepted.borrow().clone();
    let certificates: Vec<ServedCertificate> = match slice {
        Some(slice) if board.exchange.status.borrow().ready => {
            served(slice.resources(), MAX_CERTIFICATES).await
        }
        _ => Vec::new(),
    };
    board.exchange.status.send_modify(|status| {
        let health = &mut status.health;
        health.system = Some(seen);
        health.connections = connections;
        if health.certificates != certificates {
            health.certificates = certificates;
            status.health_turns += 1;
        }
    });
}

fn counts(seen: StubStatus) -> ConnectionCounts {
    ConnectionCounts {
        accepted: seen.accepted,
        handled: seen.handled,
        requests: seen.requests,
        reading: seen.reading,
        writing: seen.writing,
        waiting: seen.waiting,
    }
}
