//! kill -9 of a real process at each of its steps and at any moment: nginx has the
//! old or the new release, whole, and the next agent says which.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nxmesh_agent_lib::apply::Pipeline;

use crate::site::{Site, applied, apply, eventually};

/// Tells the test binary that it is the agent to be killed.
const VICTIM: &str = "NXMESH_TEST_VICTIM";
/// How many kills at any moment; a night has time for more.
const KILLS: &str = "NXMESH_TEST_KILLS";

/// An agent in a process of its own.
struct Victim {
    folder: PathBuf,
    port: u16,
    /// The first version that it applies.
    from: u64,
    /// How many it applies.
    count: u64,
}

impl Victim {
    fn of(site: &Site, from: u64, count: u64) -> Self {
        Self {
            folder: site.folder.path().to_owned(),
            port: site.port,
            from,
            count,
        }
    }

    /// Where it writes down what its last version came to.
    fn told(folder: &Path) -> PathBuf {
        folder.join("told")
    }

    /// What runs it: behind `launcher`, if that is not empty.
    fn command(&self, launcher: &[&str]) -> Command {
        let own = std::env::current_exe().unwrap();
        let mut command = match launcher.split_first() {
            None => Command::new(own),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        let Self {
            folder,
            port,
            from,
            count,
        } = self;
        command
            .args(["--exact", "kills::victim", "--nocapture"])
            .env(
                VICTIM,
                format!("{}|{port}|{from}|{count}", folder.display()),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// The agent to be killed: not a test of its own.
#[tokio::test]
async fn victim() {
    let Ok(text) = std::env::var(VICTIM) else {
        return;
    };
    let mut parts = text.split('|');
    let mut next = || parts.next().unwrap();
    let folder = PathBuf::from(next());
    let port = next().parse().unwrap();
    let (from, count): (u64, u64) = (next().parse().unwrap(), next().parse().unwrap());
    let site = Site::at(&folder, port);
    let mut pipeline = site.open().await;
    if let Err(error) = pipeline.recover().await {
        fs::write(Victim::told(&folder), format!("Recovery {error:?}")).unwrap();
        return;
    }
    for revision in from..from + count {
        let documents = site.host("shop", &format!("v{revision}"));
        let outcome = apply(&mut pipeline, revision, &documents).await;
        fs::write(Victim::told(&folder), format!("{outcome:?}")).unwrap();
    }
}

/// The next agent finds what the last one left, says what nginx serves, and goes on.
/// The newest version that was taken on.
async fn next_agent(site: &Site, revision: u64) -> u64 {
    let mut pipeline = site.open().await;
    let recovered = pipeline.recover().await.unwrap();
    assert_eq!(recovered.applied.as_ref(), pipeline.applied());
    let accepted = pipeline.accepted().map_or(0, |it| it.revision);
    let applied = pipeline.applied().unwrap();
    let applied = applied.version.revision;
    assert!(
        applied == accepted || applied + 1 == accepted,
        "{applied} of {accepted}"
    );
    assert_eq!(site.get("shop").await, format!("200 v{applied}"));
    assert!(pipeline.observe().await.serves_applied);
    assert!(!site.layout().journal().exists(), "it is settled");
    let revision = revision.max(accepted);
    goes_on(site, &mut pipeline, revision).await;
    revision
}

async fn goes_on(site: &Site, pipeline: &mut Pipeline, revision: u64) {
    let documents = site.host("shop", &format!("v{revision}"));
    applied(pipeline, revision, &documents).await;
    assert_eq!(site.get("shop").await, format!("200 v{revision}"));
}

/// A site that serves version 1.
async fn serving_one() -> Site {
    let site = Site::new();
    let mut pipeline = site.up().await;
    goes_on(&site, &mut pipeline, 1).await;
    site
}

/// strace, told to write what happens into `log` and to do `injection` to system calls.
fn strace(log: &str, calls: &str, injection: &str) -> Vec<String> {
    let filter = format!("trace={calls}");
    let inject = format!("inject={calls}:{injection}");
    [
        "strace", "-f", "-o", log, "-e", &filter, "-e", &inject, "--",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Says what is not tested, unless it must be.
fn has_strace() -> bool {
    let there = Command::new("strace").arg("-V").output().is_ok();
    if !there {
        let required = std::env::var("NXMESH_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|required| required == "strace"),
            "strace is required, but not there"
        );
        eprintln!("skipped: there is no strace");
    }
    there
}

/// The system calls by which an agent changes the disk or nginx: dying before each
/// of them is dying at each boundary of what the disk can look like.
const STEPS: [&str; 6] = [
    "rename,renameat,renameat2",
    "fsync,fdatasync",
    "mkdir,mkdirat",
    "unlink,unlinkat,rmdir",
    "link,linkat,symlink,symlinkat,ftruncate,fchmod,chmod",
    "kill,pidfd_send_signal",
];

#[tokio::test]
async fn kill_9_before_each_step_leaves_old_or_new() {
    if !has_strace() {
        return;
    }
    let site = serving_one().await;
    let log = site.folder.path().join("strace").display().to_string();
    let (mut revision, mut kills) = (1, 0);
    for calls in STEPS {
        // strace counts in each thread for itself, so this ends where the busiest
        // thread does.
        for number in 1..200 {
            let victim = Victim::of(&site, revision + 1, 1);
            let launcher = strace(&log, calls, &format!("signal=KILL:when={number}"));
            let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
            victim.command(&launcher).status().unwrap();
            let killed = fs::read_to_string(&log).unwrap();
            let killed = killed.contains("+++ killed by SIGKILL +++");
            kills += u32::from(killed);
            revision = next_agent(&site, revision + 1).await;
            if !killed {
                break;
            }
        }
    }
    eprintln!("{kills} kills, each before a step");
    assert!(
        kills >= 20,
        "only {kills} kills: are the steps others by now?"
    );
}

#[tokio::test]
async fn what_could_not_be_synced_is_no_success() {
    if !has_strace() {
        return;
    }
    let site = serving_one().await;
    let log = site.folder.path().join("strace").display().to_string();
    let (mut revision, mut refused) = (1, 0);
    for number in 1..200 {
        let victim = Victim::of(&site, revision + 1, 1);
        let told = Victim::told(site.folder.path());
        let injection = format!("error=EIO:when={number}");
        let launcher = strace(&log, "fsync,fdatasync", &injection);
        let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
        let ended = victim.command(&launcher).status().unwrap();
        assert!(ended.success(), "an error of the disk is no reason to die");
        let failed = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
        if !failed {
            break;
        }
        let told = fs::read_to_string(told).unwrap();
        let served = site.get("shop").await;
        if told.starts_with("Applied") {
            assert_eq!(served, format!("200 v{}", revision + 1), "{told}");
        } else {
            refused += 1;
            assert!(told.contains("retryable: true"), "{told}");
            assert_eq!(served, format!("200 v{revision}"), "{told}");
        }
        revision = next_agent(&site, revision + 1).await;
    }
    assert!(refused >= 2, "only {refused} errors of the disk were told");
}

#[tokio::test]
async fn kill_9_at_any_moment_leaves_old_or_new() {
    let kills: u64 = std::env::var(KILLS).map_or(100, |text| text.parse().unwrap());
    let site = serving_one().await;
    let mut revision = 1;
    for round in 0..kills {
        let mut child = Victim::of(&site, revision + 1, 1_000)
            .command(&[])
            .spawn()
            .unwrap();
        let begun = || {
            let accepted = fs::read_to_string(site.layout().accepted()).unwrap_or_default();
            !accepted.contains(&format!("\"revision\":{revision}"))
        };
        eventually("the victim takes a version on", begun).await;
        // Any moment is as good as any other; these spread over all steps of some
        // applies, and repeat none (37 and 251 have no common divisor).
        tokio::time::sleep(Duration::from_millis(37 * round % 251)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        revision = next_agent(&site, revision + 1).await;
    }
    eprintln!("{kills} kills at any moment");
}
