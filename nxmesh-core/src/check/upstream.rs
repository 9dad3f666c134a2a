//! What an upstream has to be in itself.

use std::collections::BTreeSet;

use super::Found;
use crate::model::{Balance, UpstreamSpec};

pub(super) fn check(spec: &UpstreamSpec, found: &mut Found) {
    if !spec.servers.iter().any(|server| !server.backup) {
        found.say(
            "/spec/servers",
            "an upstream has at least one server that is not a backup, for example { address: \"10.0.0.11:8080\" }",
        );
    }
    if spec
        .keepalive
        .is_some_and(|connections| !(1..=10_000).contains(&connections))
    {
        found.say(
            "/spec/keepalive",
            "keepalive is 1 to 10000 connections, for example 64",
        );
    }
    if spec.snippets.len() > 20 {
        found.say(
            "/spec/snippets",
            "there are at most 20 snippets in one place",
        );
    }
    let by_turn = matches!(spec.balance, Balance::RoundRobin | Balance::LeastConn);
    let mut addresses = BTreeSet::new();
    for (index, server) in spec.servers.iter().enumerate() {
        if server.weight == Some(0) {
            found.say(
                format!("/spec/servers/{index}/weight"),
                "a weight is 1 to 65535, for example 3",
            );
        }
        if server.backup && !by_turn {
            found.say(
                format!("/spec/servers/{index}/backup"),
                "backups are possible with round_robin and least_conn only",
            );
        }
        if !addresses.insert(&server.address) {
            found.say(
                format!("/spec/servers/{index}/address"),
                "a server is written once per upstream",
            );
        }
    }
}
