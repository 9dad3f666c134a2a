//! The death of the process at any moment.

use std::{
    env,
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use nxmesh_core::{
    contract::storage::{ListAgents, Storage},
    testkit::sample,
};
use nxmesh_master_lib::storage::SqlStorage;

use super::{Place, history, put, revision};

const ROUNDS: u32 = 25;
/// Tells the child which folder to write in.
const FOLDER: &str = "NXMESH_TEST_KILL_FOLDER";
const THIS_TEST: &str = "storage::kill::what_was_told_survives_kill_9";

/// A child commits revisions and tells each number when `commit` returned; it
/// is killed. Every number told is there after that, and none is missing.
#[test]
fn what_was_told_survives_kill_9() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("build a runtime");
    if let Some(folder) = env::var_os(FOLDER) {
        runtime.block_on(commit_forever(folder.as_ref()));
    }
    let place = Place::new();
    let mut told = 0;
    for round in 0..ROUNDS {
        let last = run_and_kill(&place).unwrap_or(told);
        assert!(last >= told, "round {round}: {last} was told after {told}");
        told = last;
        runtime.block_on(async {
            let storage = place.open().await;
            let there = assert_whole(&storage).await;
            assert!(
                there == told || there == told + 1,
                "round {round}: {told} was told, there are {there}"
            );
            told = there;
            storage.close().await.expect("close");
        });
    }
    assert!(told > 0, "no child came to commit anything");
}

/// Starts a child, kills it at a random moment, and gives the last number it told.
fn run_and_kill(place: &Place) -> Option<u64> {
    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", THIS_TEST, "--nocapture"])
        .env(FOLDER, place.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a child");
    let mut numbers = BufReader::new(child.stdout.take().expect("its output"))
        .lines()
        .map(|line| line.expect("read its output"))
        .filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    let random = RandomState::new().hash_one(0);
    let mut last = None;
    // Some children die while they still open the database.
    for _ in 0..random % 20 {
        last = numbers.next();
        assert!(last.is_some(), "the child ended by itself");
    }
    std::thread::sleep(Duration::from_micros((random >> 32) % 20_000));
    child.kill().expect("kill the child");
    child.wait().expect("wait for the child");
    numbers.last().or(last)
}

async fn commit_forever(folder: &std::path::Path) -> ! {
    let key = nxmesh_master_lib::storage::AtRestKey::new([7; 32]);
    let storage = SqlStorage::connect(&super::url(&folder.join("nxmesh.db")), &key)
        .await
        .expect("open the database");
    for turn in 0_u32.. {
        let mut unit = storage.begin().await.expect("begin");
        let changes = vec![
            put(sample::upstream("shop")),
            put(sample::virtual_host(&format!("host-{}", turn % 50))),
            put(sample::certificate("shop")),
        ];
        let appended = unit.revisions().append(revision(changes)).await;
        let number = appended.expect("append").version.revision;
        let mut agent = sample::agent(1);
        agent.connection_sequence = number;
        unit.agents().put(&agent).await.expect("put an agent");
        unit.commit().await.expect("commit");
        println!("committed {number}");
        std::io::stdout().flush().expect("tell");
    }
    unreachable!("the parent kills this process")
}

/// Checks that there is nothing but whole units; returns how many.
async fn assert_whole(storage: &SqlStorage) -> u64 {
    let history = history(storage).await.expect("read the history");
    let count = history.len() as u64;
    let numbers: Vec<u64> = history.iter().map(|it| it.version.revision).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    assert!(history.iter().all(|revision| revision.changes.len() == 3));
    let mut unit = storage.read().await.expect("begin to read");
    let agents = unit.agents().list(&ListAgents::default()).await;
    let sequence = agents
        .expect("list agents")
        .first()
        .map_or(0, |agent| agent.connection_sequence);
    assert_eq!(sequence, count, "the agent is of another unit");
    count
}
