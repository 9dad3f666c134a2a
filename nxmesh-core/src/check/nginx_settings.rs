//! What settings of an nginx as a whole have to be in themselves.

use std::collections::BTreeSet;

use super::Found;
use crate::model::{NginxSettingsSpec, WorkerProcesses};

pub(super) fn check(spec: &NginxSettingsSpec, found: &mut Found) {
    if let Some(WorkerProcesses::Count(count)) = spec.worker_processes
        && !(1..=1024).contains(&count)
    {
        found.say(
            "/spec/worker_processes/count",
            "there are 1 to 1024 workers, for example { count: 4 }",
        );
    }
    if spec
        .worker_connections
        .is_some_and(|count| !(16..=1 << 20).contains(&count))
    {
        found.say(
            "/spec/worker_connections",
            "a worker has 16 to 1048576 connections, for example 4096",
        );
    }
    if spec
        .worker_open_files
        .is_some_and(|count| !(64..=4 << 20).contains(&count))
    {
        found.say(
            "/spec/worker_open_files",
            "a worker has 64 to 4194304 open files, for example 65536",
        );
    }
    if spec
        .worker_priority
        .is_some_and(|priority| !(-20..=20).contains(&priority))
    {
        found.say("/spec/worker_priority", "a priority is -20 to 20");
    }
    media_types(spec, found);
    if let (Some(connections), Some(files)) = (spec.worker_connections, spec.worker_open_files)
        && files < connections
    {
        found.say(
            "/spec/worker_open_files",
            "each connection is an open file, so this is not less than worker_connections",
        );
    }
}

fn media_types(spec: &NginxSettingsSpec, found: &mut Found) {
    if spec.media_types.len() > 1000 {
        found.say("/spec/media_types", "there are at most 1000 media types");
    }
    let mut seen = BTreeSet::new();
    for (index, media) in spec.media_types.iter().enumerate() {
        let at = format!("/spec/media_types/{index}/extensions");
        if !(1..=100).contains(&media.extensions.len()) {
            found.say(
                &at,
                "a media type has 1 to 100 extensions, for example [html, htm]",
            );
        }
        if let Some(twice) = media.extensions.iter().find(|it| !seen.insert(*it)) {
            found.tell(
                at,
                format!("the extension {twice} stands in this list twice"),
            );
        }
    }
}
