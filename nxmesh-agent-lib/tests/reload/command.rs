//! `CommandReloader` and a real nginx.

use std::{path::Path, time::Duration};

use nxmesh_agent_lib::{
    reload::{CommandOptions, CommandReloader},
    testkit::RealNginx,
};
use nxmesh_core::{
    contract::reloader::{ReloadError, Reloader as _},
    testkit::reloader::DEADLINE,
};

use crate::rig::{Backend, Driven, deadly, orphans_serve_until_another_starts, probe};

#[derive(Debug)]
struct ByCommand;

#[async_trait::async_trait]
impl Backend for ByCommand {
    type Subject = CommandReloader;
    type Host = ();

    async fn begin(nginx: &RealNginx) -> ((), CommandReloader) {
        ((), CommandReloader::new(options(nginx)))
    }
}

nxmesh_core::reloader_conformance!(Driven<ByCommand>);

fn words<const N: usize>(words: [&str; N]) -> Option<Vec<String>> {
    Some(words.map(str::to_owned).into())
}

fn shell(script: &str) -> Option<Vec<String>> {
    words(["/bin/sh", "-c", script])
}

/// nginx's own commands; its binary is known to nobody else.
fn options(nginx: &RealNginx) -> CommandOptions {
    let (binary, conf) = (nginx.binary().to_str().unwrap(), nginx.conf());
    let (conf, dir) = (conf.to_str().unwrap(), nginx.dir().to_str().unwrap());
    let mut options = CommandOptions {
        nginx: nginx.options(),
        check: words([
            binary,
            "-t",
            "-q",
            "-e",
            "stderr",
            "-p",
            "{prefix}/",
            "-c",
            "{conf}",
        ]),
        // Exits with 0 whatever becomes of it.
        reload: words([binary, "-p", dir, "-c", conf, "-s", "reload"]),
        start: words([binary, "-p", dir, "-c", conf]),
    };
    options.nginx.binary = "/nonexistent/nginx".into();
    options
}

/// A running nginx that is reloaded by `script`.
async fn reloaded_by(script: &str) -> (RealNginx, CommandReloader) {
    let nginx = RealNginx::start().await;
    let reload = shell(script);
    let reloader = CommandReloader::new(CommandOptions {
        reload,
        ..options(&nginx)
    });
    (nginx, reloader)
}

fn failure<T: std::fmt::Debug>(result: Result<T, ReloadError>) -> String {
    match result {
        Err(ReloadError::Backend {
            source,
            backend: "command",
            ..
        }) => source.to_string(),
        other => panic!("a failure of the command was expected, there is {other:?}"),
    }
}

#[tokio::test]
async fn what_is_left_out_is_done_by_signal() {
    let nginx = RealNginx::new();
    let reloader = CommandReloader::new(CommandOptions {
        nginx: nginx.options(),
        check: None,
        reload: None,
        start: None,
    });
    reloader.check(&nginx.candidate(), DEADLINE).await.unwrap();
    reloader.start(DEADLINE).await.unwrap();
    nginx.set_answer("signalled");
    reloader.reload(DEADLINE).await.unwrap();
    assert_eq!(nginx.get().await.unwrap(), "signalled");
}

#[tokio::test]
async fn orphans_serve_on_while_the_commands_would_not_start_another() {
    let nginx = RealNginx::new();
    let mut options = options(&nginx);
    options.nginx.unix_sockets = vec![probe(&nginx)];
    orphans_serve_until_another_starts(&nginx, &CommandReloader::new(options)).await;
}

#[tokio::test]
async fn a_success_that_did_nothing_is_none() {
    let (nginx, reloader) = reloaded_by("exit 0").await;
    let before = reloader.running().await.unwrap().unwrap();
    nginx.set_answer("never read");
    let reloaded = reloader.reload(Duration::from_secs(1)).await;
    assert!(
        matches!(reloaded, Err(ReloadError::NotConfirmed { .. })),
        "{reloaded:?}"
    );
    assert_eq!(reloader.running().await.unwrap(), Some(before));
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn a_failure_is_told_in_its_own_words() {
    let (nginx, reloader) =
        reloaded_by("echo no such luck; echo permission denied >&2; exit 4").await;
    let said = failure(reloader.reload(DEADLINE).await);
    assert!(said.contains("exit status: 4"), "{said}");
    assert!(said.contains("no such luck\npermission denied"), "{said}");
    assert_eq!(nginx.get().await.unwrap(), "initial");

    let lost = CommandReloader::new(CommandOptions {
        check: words(["/nonexistent/check", "{conf}"]),
        ..options(&nginx)
    });
    failure(lost.check(&nginx.candidate(), DEADLINE).await);
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed_with_all_it_started() {
    let nginx = RealNginx::start().await;
    let mark = nginx.dir().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", mark.display());
    let reloader = CommandReloader::new(CommandOptions {
        check: shell(&script),
        ..options(&nginx)
    });
    let checked = reloader
        .check(&nginx.candidate(), Duration::from_secs(1))
        .await;
    assert!(failure(checked).contains("no answer within 1s"));
    let pid = std::fs::read_to_string(mark).unwrap();
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        status.map_or(true, |stat| stat.contains(") Z "))
    };
    while !gone() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_command_that_leaves_its_output_open_is_not_waited_for() {
    let (nginx, reloader) = reloaded_by("sleep 30 & exit 3").await;
    let begun = std::time::Instant::now();
    failure(reloader.reload(DEADLINE).await);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn what_a_command_says_is_bounded() {
    let nginx = RealNginx::start().await;
    let loud = "yes nonsense | head -c 5000000; exit 1";
    let reloader = CommandReloader::new(CommandOptions {
        check: shell(loud),
        start: shell("yes nonsense"),
        ..options(&nginx)
    });
    let said = failure(reloader.check(&nginx.candidate(), DEADLINE).await);
    assert!(said.len() < 2000, "{} bytes", said.len());
    nginx.kill();
    let said = failure(reloader.start(DEADLINE).await);
    assert!(said.contains("says more than"), "{said}");
}

#[tokio::test]
async fn commands_have_no_environment_but_a_path() {
    let (_nginx, reloader) = reloaded_by("/usr/bin/env; pwd; exit 1").await;
    let said = failure(reloader.reload(DEADLINE).await);
    let names: Vec<&str> = said
        .lines()
        .filter_map(|line| {
            line.rsplit_once(": ")
                .map_or(line, |(_, it)| it)
                .split_once('=')
        })
        .map(|(name, _)| name)
        .filter(|name| !["PWD", "SHLVL", "OLDPWD", "_"].contains(name))
        .collect();
    assert_eq!(names, ["PATH"], "{said}");
    assert!(said.ends_with("\n/"), "{said}");
}

#[tokio::test]
async fn a_reload_by_restart_is_proven_by_the_next_master() {
    let nginx = RealNginx::start().await;
    let start = format!(
        "{} -p {} -c {}",
        nginx.binary().display(),
        nginx.dir().display(),
        nginx.conf().display()
    );
    let pid = nginx.pid_file();
    let pid = pid.display();
    let reloader = CommandReloader::new(CommandOptions {
        reload: shell(&format!(
            "kill -QUIT $(cat {pid}); while [ -e {pid} ]; do sleep 0.01; done; {start}"
        )),
        ..options(&nginx)
    });
    let before = reloader.running().await.unwrap().unwrap();
    nginx.set_answer("restarted");
    let after = reloader.reload(DEADLINE).await.expect("another master");
    assert_ne!(after.master_pid, before.master_pid);
    assert_eq!(nginx.get().await.unwrap(), "restarted");
}

#[tokio::test]
async fn workers_that_die_are_no_success_of_the_command() {
    let nginx = RealNginx::start().await;
    let reloader = CommandReloader::new(options(&nginx));
    nginx.set_conf(&deadly(&nginx));
    let said = failure(reloader.reload(DEADLINE).await);
    assert!(said.contains("cannot be respawned"), "{said}");
    assert!(Path::new(&nginx.pid_file()).exists());
}
