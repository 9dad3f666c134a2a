//! Changes that a reload of nginx cannot make without dropping connections.

use std::fmt;

use crate::model::{
    Resource, ResourceKey, ResourceKind, ResourceSet, WorkerProcesses,
    value::{ListenAddress, Port},
};

/// A change that drops connections which wait to be taken: nginx closes the sockets
/// of each worker, with what is in their queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disruption {
    /// The document that changes.
    pub resource: ResourceKey,
    /// What changes in it.
    pub change: Disrupting,
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disrupting {
    /// A port gets sockets of each worker's own, or loses them.
    ReusePort {
        /// The port.
        port: Port,
        /// Whether it gets them.
        on: bool,
    },
    /// The number of workers, while ports have sockets of each worker's own.
    Workers,
}

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = &self.resource;
        match self.change {
            Disrupting::ReusePort { port, on } => {
                let word = if on { "gets" } else { "loses" };
                let port = port.get();
                write!(f, "{resource}: port {port} {word} reuse_port")?;
            }
            Disrupting::Workers => {
                write!(
                    f,
                    "{resource}: worker_processes changes, with reuse_port in use"
                )?;
            }
        }
        f.write_str("; the reload drops connections that wait to be taken")
    }
}

/// What of the way from `before` to `after` drops connections, by resource. Documents
/// that come or go drop none of others.
#[must_use]
pub fn disruptions(before: &ResourceSet, after: &ResourceSet) -> Vec<Disruption> {
    let mut found = Vec::new();
    for (key, new) in after.iter() {
        let Some(old) = before.get(key) else { continue };
        let (old, new) = (sockets(old), sockets(new));
        for (address, port, on) in new {
            let was = old.iter().find(|it| (it.0, it.1) == (address, port));
            if was.is_some_and(|was| was.2 != on) {
                let change = Disrupting::ReusePort { port, on };
                found.push(Disruption {
                    resource: key.clone(),
                    change,
                });
            }
        }
    }
    found.extend(workers(before, after));
    found
}

/// Where a server listens, and whether each worker does so by itself.
fn sockets(resource: &Resource) -> Vec<(Option<ListenAddress>, Port, bool)> {
    match resource {
        Resource::VirtualHost(host) => {
            let listen = host.spec.listen.iter();
            listen
                .map(|it| (it.address, it.port, it.reuse_port))
                .collect()
        }
        Resource::StreamServer(server) => {
            let listen = server.spec.listen.iter();
            listen
                .map(|it| (it.address, it.port, it.reuse_port))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Settings with another number of workers than before.
fn workers(before: &ResourceSet, after: &ResourceSet) -> Vec<Disruption> {
    let each_its_own = |set: &ResourceSet| {
        let mut all = set.iter().flat_map(|(_, resource)| sockets(resource));
        all.any(|(.., on)| on)
    };
    if !each_its_own(before) || !each_its_own(after) {
        return Vec::new();
    }
    let number = |set: &ResourceSet, key: &ResourceKey| match set.get(key).map(|it| &**it) {
        Some(Resource::NginxSettings(settings)) => settings
            .spec
            .worker_processes
            .unwrap_or(WorkerProcesses::Auto),
        _ => WorkerProcesses::Auto,
    };
    let settings = before.iter().chain(after.iter()).map(|(key, _)| key);
    let mut keys: Vec<&ResourceKey> = settings
        .filter(|key| key.kind == ResourceKind::NginxSettings)
        .collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| number(before, key) != number(after, key))
        .map(|key| Disruption {
            resource: key.clone(),
            change: Disrupting::Workers,
        })
        .collect()
}
