//! Somebody else changes the files that nginx reads.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use nxmesh_agent_lib::{AgentOptions, AgentStatus, testkit::ScriptedMaster, watchdog::DriftPolicy};
use nxmesh_core::{
    bundle::Slice,
    document::parse,
    model::{Drift, FileChange},
    wire,
};

use crate::rig::{Rig, RunningAgent, applied, site};

/// An agent whose nginx serves `written`.
async fn serving(
    rig: &Rig,
    change: impl FnOnce(&mut AgentOptions),
) -> (ScriptedMaster, RunningAgent) {
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, change);
    applied(&master, 1, &site(rig.port, "written")).await;
    (master, agent)
}

fn repairing(options: &mut AgentOptions) {
    options.control.watchdog.drift = DriftPolicy::Repair;
}

/// The folder of the one release there is.
fn release(rig: &Rig) -> PathBuf {
    let entry = fs::read_to_string(rig.state_dir().join("nginx.conf")).unwrap();
    let path = entry.trim().trim_start_matches("include ");
    let path = path.trim_end_matches(';').trim_matches('"');
    Path::new(path).parent().unwrap().to_owned()
}

fn host_file(rig: &Rig) -> PathBuf {
    let mut files = fs::read_dir(release(rig).join("virtual-hosts")).unwrap();
    files.next().unwrap().unwrap().path()
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Has nginx reload as an operator would, and waits until new workers serve.
async fn reload_by_hand(rig: &Rig, agent: &mut RunningAgent, answer: &str) {
    let running = agent.reached(|status| status.nginx.master_pid.is_some());
    let pid = running.await.nginx.master_pid.unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGHUP).unwrap();
    serves(rig, answer).await;
}

/// Waits until no worker answers anything else.
async fn serves(rig: &Rig, answer: &str) {
    let served = async {
        let mut in_a_row = 0;
        while in_a_row < 40 {
            let is_new = rig.ask().await.is_ok_and(|(_, body)| body == answer);
            in_a_row = if is_new { in_a_row + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(30), served);
    served
        .await
        .unwrap_or_else(|_| panic!("nginx does not serve {answer}"));
}

async fn drifts(agent: &mut RunningAgent, mut how: impl FnMut(&Drift) -> bool) -> Drift {
    let status = agent.reached(|status| status.drift.as_ref().is_some_and(&mut how));
    status.await.drift.unwrap()
}

async fn heals(agent: &mut RunningAgent) -> AgentStatus {
    agent.reached(|status| status.drift.is_none()).await
}

async fn told(master: &ScriptedMaster, mut how: impl FnMut(Option<&wire::Drift>) -> bool) {
    let told = master.wait_for(|heard| {
        let last = heard.health.last()?;
        how(last.drift.as_ref()).then_some(())
    });
    told.await.unwrap();
}

#[tokio::test]
async fn an_edited_file_is_told_with_what_was_changed_and_left_alone() {
    let rig = Rig::new();
    let (master, mut agent) = serving(&rig, |_| {}).await;
    let written = agent
        .reached(|status| status.running.is_some())
        .await
        .running;
    let file = host_file(&rig);
    edit(&file, "written", "edited");
    let drift = drifts(&mut agent, |_| true).await;
    assert_eq!(drift.files.len(), 1, "{drift:?}");
    assert_eq!(drift.files[0].change, FileChange::Changed);
    let name = file.strip_prefix(rig.state_dir()).unwrap();
    assert_eq!(drift.files[0].path, name.to_str().unwrap());
    let has = |sign: &str, text: &str| {
        let mut lines = drift.diff.lines();
        lines.any(|line| line.starts_with(sign) && line.contains(text))
    };
    assert!(has("-", "written") && has("+", "edited"), "{}", drift.diff);
    assert!(!drift.loaded && drift.since > 0);
    told(&master, |told| {
        told.is_some_and(|told| told.diff == drift.diff && told.files.len() == 1)
    })
    .await;
    assert_eq!(rig.get().await, (200, "written".to_owned()));
    let status = AgentStatus::of_running(&rig.state_dir()).await.unwrap();
    assert_ne!(status.running, written);
    assert_eq!(status.drift, Some(drift));

    edit(&file, "edited", "written");
    assert_eq!(heals(&mut agent).await.running, written);
    told(&master, |told| told.is_none()).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_reload_by_hand_onto_edited_files_is_noticed() {
    let rig = Rig::new();
    let (master, mut agent) = serving(&rig, |_| {}).await;
    let file = host_file(&rig);
    edit(&file, "written", "edited");
    drifts(&mut agent, |drift| !drift.loaded).await;
    reload_by_hand(&rig, &mut agent, "edited").await;
    drifts(&mut agent, |drift| drift.loaded).await;
    told(&master, |told| told.is_some_and(|told| told.loaded)).await;

    // The files are mended, and nginx still serves what they said.
    edit(&file, "edited", "written");
    let drift = drifts(&mut agent, |drift| drift.files.is_empty()).await;
    assert!(drift.loaded);
    assert_eq!(rig.get().await, (200, "edited".to_owned()));
    reload_by_hand(&rig, &mut agent, "written").await;
    heals(&mut agent).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_apply_ends_what_was_drifting() {
    let rig = Rig::new();
    let (master, mut agent) = serving(&rig, |_| {}).await;
    edit(&host_file(&rig), "written", "edited");
    reload_by_hand(&rig, &mut agent, "edited").await;
    drifts(&mut agent, |drift| drift.loaded).await;
    applied(&master, 2, &site(rig.port, "next")).await;
    assert_eq!(rig.get().await, (200, "next".to_owned()));
    heals(&mut agent).await;
    // The new folder is watched as the old one was.
    edit(&host_file(&rig), "next", "edited");
    drifts(&mut agent, |drift| !drift.loaded).await;
    agent.stop().await.unwrap();
}

/// Whatever lies in the folder of the release, and the entry: contents of
/// plain files, nothing of all else.
fn snapshot(rig: &Rig, folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    let mut look = |path: PathBuf| {
        let is_file = fs::symlink_metadata(&path).is_ok_and(|it| it.is_file());
        let contents = is_file.then(|| fs::read(&path).ok()).flatten();
        found.insert(path, contents);
    };
    look(rig.state_dir().join("nginx.conf"));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => look(entry.path()),
            }
        }
    }
    found
}

pub(crate) async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let reached = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(30), reached);
    reached.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn whatever_is_done_to_the_files_is_repaired_without_a_reload() {
    let rig = Rig::new();
    let (_master, mut agent) = serving(&rig, repairing).await;
    agent.reached(|status| status.nginx.workers > 0).await;
    let workers = rig.workers();
    let (folder, file) = (release(&rig), host_file(&rig));
    let outside = rig.state_dir().join("outside");
    fs::write(&outside, "not ours").unwrap();
    let entry = rig.state_dir().join("nginx.conf");
    let pristine = snapshot(&rig, &folder);
    assert!(pristine.len() > 3 && pristine.values().all(Option::is_some));
    let damages: [(&str, &dyn Fn()); 9] = [
        ("edited", &|| edit(&file, "written", "edited")),
        ("removed", &|| fs::remove_file(&file).unwrap()),
        ("a link", &|| {
            fs::remove_file(&file).unwrap();
            symlink(&outside, &file).unwrap();
        }),
        ("a folder", &|| {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
            fs::write(file.join("x"), "x").unwrap();
        }),
        ("far too large", &|| {
            File::create(&file).unwrap().set_len(1 << 40).unwrap();
        }),
        ("a stranger", &|| {
            fs::write(folder.join("more.conf"), "x").unwrap();
        }),
        ("a folder of links", &|| {
            fs::remove_dir_all(folder.join("virtual-hosts")).unwrap();
            symlink(rig.state_dir(), folder.join("virtual-hosts")).unwrap();
        }),
        ("all of it", &|| fs::remove_dir_all(&folder).unwrap()),
        ("the entry", &|| fs::write(&entry, "events {}\n").unwrap()),
    ];
    for (what, damage) in damages {
        damage();
        assert_ne!(snapshot(&rig, &folder), pristine, "{what}");
        until(what, || snapshot(&rig, &folder) == pristine).await;
        heals(&mut agent).await;
    }
    assert_eq!(fs::read(&outside).unwrap(), b"not ours");
    assert_eq!(rig.workers(), workers, "nginx was reloaded");
    assert_eq!(rig.get().await, (200, "written".to_owned()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn what_nginx_has_read_is_repaired_with_a_reload() {
    let rig = Rig::new();
    let (_master, mut agent) = serving(&rig, repairing).await;
    agent.reached(|status| status.nginx.workers > 0).await;
    let workers = rig.workers();
    let pid = agent.reached(|_| true).await.nginx.master_pid.unwrap();
    edit(&host_file(&rig), "written", "edited");
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGHUP).unwrap();
    // Those of the reload by hand come, and go again.
    until("new workers", || rig.workers().is_disjoint(&workers)).await;
    serves(&rig, "written").await;
    heals(&mut agent).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_held_open_is_found_by_its_digest() {
    let rig = Rig::new();
    let (_master, mut agent) = serving(&rig, |options| {
        options.control.digest_interval = Duration::from_millis(300);
    })
    .await;
    let file = host_file(&rig);
    let mut open = File::options().append(true).open(&file).unwrap();
    open.write_all(b"# more\n").unwrap();
    let drift = drifts(&mut agent, |_| true).await;
    assert!(drift.diff.contains("+# more"), "{}", drift.diff);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_file_that_others_may_read_is_told_and_closed_again() {
    for policy in [DriftPolicy::Report, DriftPolicy::Repair] {
        let rig = Rig::new();
        let (_master, mut agent) = serving(&rig, |options| {
            options.control.digest_interval = Duration::from_millis(300);
            options.control.watchdog.drift = policy;
        })
        .await;
        let file = host_file(&rig);
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        match policy {
            DriftPolicy::Report => {
                let drift = drifts(&mut agent, |_| true).await;
                assert_eq!(drift.files.len(), 1, "{drift:?}");
                assert_eq!(drift.files[0].change, FileChange::Changed);
                let said = ": mode 0644 instead of 0600\n";
                assert!(drift.diff.ends_with(said), "{}", drift.diff);
                assert_eq!(mode(), 0o644, "it is left alone");
            }
            DriftPolicy::Repair => until("closed again", || mode() == 0o600).await,
        }
        agent.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_told_is_bounded_and_only_names_strangers() {
    let rig = Rig::new();
    let (master, mut agent) = serving(&rig, |_| {}).await;
    let folder = release(&rig);
    for number in 0..100 {
        let name = folder.join(format!("stranger-{number}\u{1b}[2J"));
        fs::write(name, "a secret of somebody").unwrap();
    }
    let drift = drifts(&mut agent, |drift| drift.more == 100 - Drift::FILES as u64).await;
    assert_eq!(drift.files.len(), Drift::FILES);
    assert!(
        drift
            .files
            .iter()
            .all(|file| { file.change == FileChange::Foreign && !file.path.contains('\u{1b}') })
    );
    assert_eq!(drift.diff, "");
    let text = format!("{}\n", "x".repeat(79)).repeat(10_000);
    fs::write(host_file(&rig), &text[..200_000]).unwrap();
    let drift = drifts(&mut agent, |drift| !drift.diff.is_empty()).await;
    assert!(drift.diff.len() < Drift::DIFF_BYTES + 10);
    told(&master, |told| {
        told.is_some_and(|told| !told.diff.is_empty())
    })
    .await;
    agent.stop().await.unwrap();
}

/// A site that asks for passwords.
fn closed_site(port: u16) -> Slice {
    let text = format!(
        r#"
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  basic_auth: {{ users: {{ list: [{{ name: ann, password_hash: "{HASH}" }}] }} }}
  locations: [{{ path: /, respond: {{ status: 200, body: closed, content_type: text/plain }} }}]
"#
    );
    let parsed = parse("test", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Slice::new(parsed.into_iter().map(|parsed| parsed.resource).collect())
}

const HASH: &str = "$apr1$rOioh4Wh$bVD3DRwksETubcpEH90ww0";

#[tokio::test]
async fn of_files_of_secrets_only_names_are_told() {
    for policy in [DriftPolicy::Report, DriftPolicy::Repair] {
        let rig = Rig::new();
        let (master, mut agent) =
            serving(&rig, |options| options.control.watchdog.drift = policy).await;
        applied(&master, 2, &closed_site(rig.port)).await;
        let tls = rig.runtime_dir().join("tls");
        let mut files = fs::read_dir(&tls).unwrap();
        let file = files.next().unwrap().unwrap().path();
        let pristine = fs::read_to_string(&file).unwrap();
        assert!(pristine.contains(HASH), "{pristine}");
        fs::write(tls.join("stranger"), "x").unwrap();
        let before = master.heard().health.len();
        fs::write(&file, format!("eve:{HASH}\n")).unwrap();
        if policy == DriftPolicy::Repair {
            until("repaired", || {
                fs::read_to_string(&file).unwrap() == pristine
            })
            .await;
        } else {
            let drift = drifts(&mut agent, |drift| drift.files.len() == 2).await;
            let changes: Vec<FileChange> = drift.files.iter().map(|it| it.change).collect();
            assert_eq!(changes, [FileChange::Changed, FileChange::Foreign]);
            assert_eq!(drift.diff, "");
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(drift.files[0].path.starts_with("tls/site-"), "{drift:?}");
            assert!(!drift.files[0].path.contains(name), "a name to be guessed");
        }
        told(&master, |told| {
            told.is_some_and(|told| told.files.iter().any(|it| it.path == "tls/stranger"))
        })
        .await;
        assert!(tls.join("stranger").exists(), "it is not ours");
        let told = format!("{:?}", &master.heard().health[before..]);
        assert!(!told.contains("apr1") && !told.contains("eve"), "{told}");
        agent.stop().await.unwrap();
    }
}
