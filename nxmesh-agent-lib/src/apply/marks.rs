//! Servers of upstreams that are rendered as down, as the agent saw them fail.

use std::collections::BTreeMap;

use nxmesh_core::{
    bundle::Slice,
    model::{Resource, ResourceKey, ResourceKind, ResourceSet, value::ResourceName},
};
use serde::{Deserialize, Serialize};

use super::{
    Applied, Failure, Outcome, Pipeline, code, disk,
    steps::{self, Staged, Stopwatch},
};

/// A server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The upstream.
    pub upstream: ResourceName,
    /// As the document has it.
    pub address: String,
}

/// Servers that fail, and since when, in Unix milliseconds.
pub(crate) type Failing = BTreeMap<Server, u64>;

/// Those of the servers that fail that can be done without, sorted: of an upstream of
/// which all fail the one stays that was the last to. Only servers of upstreams with
/// a `health_check` count.
pub(crate) fn dispensable(resources: &ResourceSet, failing: &Failing) -> Vec<Server> {
    let mut found = Vec::new();
    // Those of one upstream stand together.
    let all: Vec<(&Server, &u64)> = failing.iter().collect();
    for these in all.chunk_by(|(one, _), (next, _)| one.upstream == next.upstream) {
        let name = these.first().map(|(server, _)| &server.upstream);
        let Some(upstream) = name.and_then(|name| resources.upstream(name)) else {
            continue;
        };
        if upstream.spec.health_check.is_none() {
            continue;
        }
        let servers = upstream.spec.servers.iter().filter(|it| !it.down);
        let used: Vec<&str> = servers.map(|it| it.address.as_str()).collect();
        let mut failed: Vec<_> = these
            .iter()
            .filter(|(it, _)| used.contains(&&*it.address))
            .collect();
        if failed.len() == used.len() {
            failed.sort_by_key(|(_, since)| *since);
            failed.pop();
        }
        found.extend(failed.into_iter().map(|(server, _)| (*server).clone()));
    }
    found.sort();
    found
}

/// The slice as it is rendered with these servers marked down.
pub(super) fn marked(slice: &Slice, servers: &[Server]) -> Option<Slice> {
    let mut resources: Option<ResourceSet> = None;
    for server in servers {
        let key = ResourceKey {
            kind: ResourceKind::Upstream,
            name: server.upstream.clone(),
        };
        let set = resources.get_or_insert_with(|| slice.resources().clone());
        if let Some(Resource::Upstream(upstream)) = set.get(&key).map(|it| &**it) {
            let mut upstream = upstream.clone();
            let named = upstream.spec.servers.iter_mut();
            for it in named.filter(|it| it.address.as_str() == server.address) {
                it.down = true;
            }
            set.insert(Resource::Upstream(upstream));
        }
    }
    resources.map(Slice::new)
}

impl Pipeline {
    /// Notes which servers of upstreams fail now; whether nginx serves with others
    /// marked down than should be.
    pub(crate) fn note_failing(&mut self, failing: Failing) -> bool {
        self.failing = failing;
        let (Some(applied), Some(slice)) = (&self.applied, &self.applied_slice) else {
            return false;
        };
        dispensable(slice.resources(), &self.failing) != applied.marked_down
    }

    /// Brings nginx to what it serves, with the servers marked down that fail now.
    /// The version stays the same.
    pub(crate) async fn mark(&mut self) -> Result<Applied, Outcome> {
        let mut watch = Stopwatch::start();
        self.settle_first().await.map_err(Outcome::Rejected)?;
        let (Some(applied), Some(slice)) = (self.applied.clone(), self.applied_slice.clone())
        else {
            let nothing = Failure::new(code::STAGE, "there is no version yet to change");
            return Err(Outcome::Rejected(nothing));
        };
        let mut unsynced = Vec::new();
        let staged = self.stage_version(
            applied.version,
            &slice,
            applied.partly,
            &mut unsynced,
            &mut watch,
        );
        let Staged {
            state,
            place,
            candidate,
        } = staged.await.map_err(Outcome::Rejected)?;
        let Some(candidate) = candidate else {
            self.applied_now(state.clone(), slice).await;
            return Ok(steps::applied(&state, false, watch));
        };
        let synced = self.file_work(move |_| {
            disk::sync(&unsynced).map_err(|error| {
                Failure::new(code::STAGE, format!("could not sync: {error}")).retryable()
            })
        });
        let ready = match synced.await {
            Ok(()) => self.check(candidate).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = ready {
            self.discard(&place.name).await;
            return Err(Outcome::Rejected(self.assign(failure, &place)));
        }
        watch.lap("check");
        self.lead_to(state, place, slice, watch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(check: &str) -> Slice {
        let text = format!(
            "kind: Upstream\nmetadata: {{ name: u }}\nspec:\n  {check}\n  servers:\n    \
             - {{ address: \"10.0.0.1:80\" }}\n    - {{ address: \"10.0.0.2:80\" }}\n    \
             - {{ address: \"10.0.0.3:80\", backup: true }}\n    \
             - {{ address: \"10.0.0.4:80\", down: true }}\n"
        );
        let parsed = nxmesh_core::document::parse("test", &text).unwrap();
        Slice::new(parsed.into_iter().map(|parsed| parsed.resource).collect())
    }

    fn chosen(check: &str, failing: &[(u8, u64)]) -> Vec<String> {
        let failing = failing.iter().map(|(last, since)| {
            let server = Server {
                upstream: "u".parse().unwrap(),
                address: format!("10.0.0.{last}:80"),
            };
            (server, *since)
        });
        let servers = dispensable(slice(check).resources(), &failing.collect());
        servers.into_iter().map(|it| it.address).collect()
    }

    #[test]
    fn the_last_one_to_fail_stays() {
        let check = "health_check: {}";
        assert!(chosen(check, &[]).is_empty());
        assert_eq!(chosen(check, &[(1, 5)]), ["10.0.0.1:80"]);
        assert_eq!(
            chosen(check, &[(1, 5), (2, 6)]),
            ["10.0.0.1:80", "10.0.0.2:80"]
        );
        let all = chosen(check, &[(1, 5), (2, 9), (3, 6)]);
        assert_eq!(all, ["10.0.0.1:80", "10.0.0.3:80"]);
        // One that is down by the document is none that could stay.
        let all = chosen(check, &[(1, 5), (2, 9), (3, 6), (4, 10)]);
        assert_eq!(all, ["10.0.0.1:80", "10.0.0.3:80"]);
        // Neither strangers nor upstreams that are not checked.
        assert!(chosen(check, &[(7, 5)]).is_empty());
        assert!(chosen("keepalive: 5", &[(1, 5)]).is_empty());
    }

    #[test]
    fn a_mark_changes_that_server_alone() {
        let slice = slice("health_check: {}");
        assert!(marked(&slice, &[]).is_none());
        let server = Server {
            upstream: "u".parse().unwrap(),
            address: "10.0.0.2:80".to_owned(),
        };
        let marked = marked(&slice, &[server]).unwrap();
        let upstream = marked.resources().upstream(&"u".parse().unwrap()).unwrap();
        let down: Vec<bool> = upstream.spec.servers.iter().map(|it| it.down).collect();
        assert_eq!(down, [false, true, false, true]);
        assert_ne!(marked.digest(), slice.digest());
    }
}
