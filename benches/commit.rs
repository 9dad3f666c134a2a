//! How long a commit takes on SQLite, from `begin` until it is on disk.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nxmesh_core::{
    contract::storage::{Expected, NewChange, NewRevision, Storage},
    model::{Resource, value::WorkspaceName},
    testkit::sample,
};
use nxmesh_master_lib::storage::{AtRestKey, SqlStorage};

const BUDGET: Duration = Duration::from_millis(10);
const COMMITS: usize = 1000;
const WRITERS: usize = 8;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Beside the sources rather than in /tmp, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let url = format!("sqlite://{}/nxmesh.db?mode=rwc", folder.path().display());
    let storage = SqlStorage::connect(&url, &AtRestKey::new([7; AtRestKey::BYTES])).await?;

    let mut alone = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        alone.push(commit(&storage, vec![sample::upstream("shop").into()]).await?);
    }
    report("one resource changed, one writer", alone);

    let start = Instant::now();
    let together = (0..WRITERS).map(|_| {
        let storage = storage.clone();
        tokio::spawn(async move {
            for _ in 0..COMMITS / WRITERS {
                commit(&storage, vec![sample::upstream("shop").into()]).await?;
            }
            anyhow::Ok(())
        })
    });
    for writer in together.collect::<Vec<_>>() {
        writer.await??;
    }
    let rate = COMMITS as f64 / start.elapsed().as_secs_f64();
    println!("the same, {WRITERS} writers at once: {rate:.0} commits/s");

    let mut certificates = Vec::new();
    for _ in 0..COMMITS / 10 {
        certificates.push(commit(&storage, vec![sample::certificate("shop").into()]).await?);
    }
    report("one certificate changed, one writer", certificates);

    let fleet: Vec<Resource> = sample::fleet(1000)
        .iter()
        .map(|(_, resource)| Resource::clone(resource))
        .collect();
    let count = fleet.len();
    let span = commit(&storage, fleet).await?;
    println!("{count} resources added in one revision: {span:.1?}");
    Ok(())
}

async fn commit(storage: &SqlStorage, resources: Vec<Resource>) -> anyhow::Result<Duration> {
    let changes = resources
        .into_iter()
        .map(|resource| NewChange {
            key: resource.key(),
            expected: Expected::Any,
            after: Some(Arc::new(resource)),
        })
        .collect();
    let revision = NewRevision {
        workspace: WorkspaceName::default(),
        author: "bench".to_owned(),
        message: String::new(),
        at: 0,
        changes,
    };
    let start = Instant::now();
    let mut unit = storage.begin().await?;
    unit.revisions().append(revision).await?;
    unit.commit().await?;
    Ok(start.elapsed())
}

fn report(what: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    let at = |percent: usize| spans[(spans.len() - 1) * percent / 100];
    println!(
        "{what}: p50 {:.2?}, p99 {:.2?} of {} commits (budget: p50 at most {BUDGET:?})",
        at(50),
        at(99),
        spans.len()
    );
}
