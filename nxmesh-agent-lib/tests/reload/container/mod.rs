//! `ContainerReloader`, what behaves like a container engine, and a real nginx.

mod fake;

use std::{io::Read as _, sync::atomic::Ordering, time::Duration};

use futures_util::StreamExt as _;
use nxmesh_agent_lib::{
    reload::{ContainerOptions, ContainerReloader},
    testkit::RealNginx,
};
use nxmesh_core::{
    contract::reloader::{Output, ReloadError, Reloader as _},
    testkit::reloader::DEADLINE,
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use self::fake::{FakeEngine, NAME};
use crate::rig::{Backend, Driven, deadly};

/// Process ids of another machine than this one.
const ELSEWHERE: u32 = 1_000_000_000;

fn options(nginx: &RealNginx, engine: &FakeEngine) -> ContainerOptions {
    ContainerOptions {
        container: NAME.to_owned(),
        socket: engine.socket.clone(),
        binary: nginx.binary().to_str().unwrap().to_owned(),
        shared: vec![nginx.dir().to_owned()],
        error_log: Some(nginx.error_log()),
        unix_sockets: vec![],
    }
}

fn begin(nginx: &RealNginx) -> (FakeEngine, ContainerReloader) {
    let engine = FakeEngine::start(nginx);
    let reloader = ContainerReloader::new(options(nginx, &engine));
    (engine, reloader)
}

async fn running() -> (RealNginx, FakeEngine, ContainerReloader) {
    let nginx = RealNginx::new();
    let (engine, reloader) = begin(&nginx);
    reloader
        .start(DEADLINE)
        .await
        .expect("the container starts");
    (nginx, engine, reloader)
}

mod seen_here {
    use super::*;

    #[derive(Debug)]
    struct SeenHere;

    #[async_trait::async_trait]
    impl Backend for SeenHere {
        type Subject = ContainerReloader;
        type Host = FakeEngine;

        async fn begin(nginx: &RealNginx) -> (FakeEngine, ContainerReloader) {
            super::begin(nginx)
        }

        async fn stop(engine: &FakeEngine) {
            engine.kill();
        }
    }

    nxmesh_core::reloader_conformance!(Driven<SeenHere>);
}

/// Its processes are known by `top` alone, as on another machine.
mod seen_by_top {
    use super::*;

    #[derive(Debug)]
    struct SeenByTop;

    #[async_trait::async_trait]
    impl Backend for SeenByTop {
        type Subject = ContainerReloader;
        type Host = FakeEngine;

        async fn begin(nginx: &RealNginx) -> (FakeEngine, ContainerReloader) {
            let (engine, reloader) = super::begin(nginx);
            engine.container.offset.store(ELSEWHERE, Ordering::SeqCst);
            (engine, reloader)
        }

        async fn stop(engine: &FakeEngine) {
            engine.kill();
        }
    }

    nxmesh_core::reloader_conformance!(Driven<SeenByTop>);
}

fn failure<T: std::fmt::Debug>(result: Result<T, ReloadError>) -> String {
    match result {
        Err(ReloadError::Backend {
            source,
            backend: "container",
            ..
        }) => source.to_string(),
        other => panic!("a failure of the engine was expected, there is {other:?}"),
    }
}

#[tokio::test]
async fn it_is_seen_beforehand_that_the_container_would_not_come_back() {
    let (nginx, _engine, reloader) = running().await;
    nginx.set_conf("no_such_directive on;");
    let told = reloader.would_start(DEADLINE).await;
    let Err(ReloadError::WouldNotStart { reason }) = told else {
        panic!("{told:?}");
    };
    assert!(reason.contains("[emerg]"), "{reason}");
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn no_engine_is_told_with_its_socket() {
    let (nginx, engine, _) = running().await;
    let reloader = ContainerReloader::new(ContainerOptions {
        socket: "/nonexistent/engine".into(),
        ..options(&nginx, &engine)
    });
    let said = failure(reloader.running().await);
    assert!(said.contains("/nonexistent/engine"), "{said}");
    let unmet = reloader.verify().await.unwrap_err().to_string();
    assert!(unmet.contains("/nonexistent/engine"), "{unmet}");
    assert!(unmet.contains("--container-socket"), "{unmet}");
}

#[tokio::test]
async fn a_container_that_is_not_there_is_told() {
    let (nginx, engine, reloader) = running().await;
    reloader.verify().await.expect("all is there");
    let unknown = ContainerReloader::new(ContainerOptions {
        container: "wbe".to_owned(),
        ..options(&nginx, &engine)
    });
    for said in [
        failure(unknown.running().await),
        failure(unknown.reload(DEADLINE).await),
        failure(unknown.start(DEADLINE).await),
        failure(unknown.check(&nginx.candidate(), DEADLINE).await),
    ] {
        assert!(
            said.contains("404") && said.contains("No such container: wbe"),
            "{said}"
        );
    }
    let unmet = unknown.verify().await.unwrap_err().to_string();
    assert!(unmet.contains("--container"), "{unmet}");
}

#[tokio::test]
async fn a_folder_that_the_container_does_not_see_is_told() {
    let (_nginx, engine, reloader) = running().await;
    *engine.container.mounts.lock().unwrap() = vec!["/etc/nginx".into()];
    let unmet = reloader.verify().await.unwrap_err();
    assert!(unmet.missing.contains("does not see"), "{unmet}");
    assert!(unmet.remedy.contains("-v "), "{unmet}");
}

#[tokio::test]
async fn a_shell_that_keeps_signals_to_itself_is_told_and_not_signalled() {
    let (nginx, engine, reloader) = running().await;
    // The shell is the first process; its child is nginx.
    engine.container.under_a_shell.store(true, Ordering::SeqCst);
    let unmet = reloader.verify().await.unwrap_err();
    assert!(unmet.missing.contains("/bin/sh /entrypoint.sh"), "{unmet}");
    assert!(unmet.remedy.contains("--init"), "{unmet}");
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn a_paused_container_is_not_taken_for_running() {
    let (nginx, engine, reloader) = running().await;
    engine.pause(true);
    assert_eq!(reloader.running().await.unwrap(), None);
    let said = failure(reloader.start(DEADLINE).await);
    assert!(said.contains("docker unpause web"), "{said}");
    let said = failure(reloader.check(&nginx.candidate(), DEADLINE).await);
    assert!(said.contains("409"), "{said}");
    engine.pause(false);
    nginx.set_answer("awake");
    reloader.reload(DEADLINE).await.expect("reload");
    assert_eq!(nginx.get().await.unwrap(), "awake");
}

#[tokio::test]
async fn a_check_needs_a_running_container() {
    let nginx = RealNginx::new();
    let (_engine, reloader) = begin(&nginx);
    let said = failure(reloader.check(&nginx.candidate(), DEADLINE).await);
    assert!(
        said.contains("409") && said.contains("is not running"),
        "{said}"
    );
    assert!(failure(reloader.build().await.cloned()).contains("409"));
}

#[tokio::test]
async fn a_binary_that_is_not_in_the_container_is_no_rejection() {
    let (nginx, engine, _) = running().await;
    let reloader = ContainerReloader::new(ContainerOptions {
        binary: "/nonexistent/nginx".to_owned(),
        ..options(&nginx, &engine)
    });
    let said = failure(reloader.check(&nginx.candidate(), DEADLINE).await);
    assert!(said.contains("exec failed"), "{said}");
}

#[tokio::test]
async fn what_is_said_in_the_container_is_bounded() {
    let (nginx, engine, reloader) = running().await;
    reloader.build().await.unwrap();
    engine.container.chatter.store(20 << 20, Ordering::SeqCst);
    reloader
        .check(&nginx.candidate(), DEADLINE)
        .await
        .expect("a good one");
    nginx.set_conf("no_such_directive on;");
    match reloader.check(&nginx.candidate(), DEADLINE).await {
        Err(ReloadError::Rejected { diagnostic }) => {
            assert!(diagnostic.contains("no_such_directive"), "{diagnostic}");
            assert!(diagnostic.len() < 5000);
        }
        other => panic!("{other:?}"),
    }
}

/// As images have it.
fn to_stderr(nginx: &RealNginx, http: &str) {
    let text = nginx.conf_with("", http);
    let log = format!("error_log {};", nginx.error_log().display());
    nginx.set_conf(&text.replace(&log, "error_log stderr notice;"));
}

/// The last lines, and what comes after them until the container ends.
#[tokio::test]
async fn what_the_container_says_is_told_line_by_line() {
    let nginx = RealNginx::new();
    to_stderr(&nginx, &nginx.server("initial"));
    let engine = FakeEngine::start(&nginx);
    engine.container.offset.store(ELSEWHERE, Ordering::SeqCst);
    let link = nginx.dir().join("linked.log");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let reloader = ContainerReloader::new(ContainerOptions {
        error_log: Some(link),
        ..options(&nginx, &engine)
    });
    reloader.start(DEADLINE).await.expect("start");
    assert!(reloader.error_log().await.unwrap().is_none(), "no file");

    let output = reloader.output(2, false).await.unwrap();
    let last = told(output.expect("it is kept")).await;
    assert_eq!(last.lines().count(), 2, "{last}");
    assert!(last.contains("[notice] 1#"), "{last}");

    let mut output = reloader.output(0, true).await.unwrap().expect("kept");
    reloader.reload(DEADLINE).await.expect("reload");
    let mut said = String::new();
    while !said.contains("reconfiguring") {
        let piece = output.next().await.expect("it goes on").unwrap();
        said += std::str::from_utf8(&piece).unwrap();
    }
    engine.kill();
    told(output).await;
    let after = reloader.output(1000, true).await.unwrap();
    let after = told(after.expect("it is kept")).await;
    assert!(after.contains("reconfiguring"), "{after}");

    engine.container.keeps_no_log.store(true, Ordering::SeqCst);
    let said = failure(reloader.output(2, false).await.map(drop));
    assert!(said.contains("driver does not support reading"), "{said}");
}

/// All of it.
async fn told(mut output: Output) -> String {
    let mut said = Vec::new();
    while let Some(piece) = output.next().await {
        said.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_log_on_standard_error_is_read_from_the_engine() {
    let nginx = RealNginx::new();
    to_stderr(&nginx, &nginx.server("initial"));
    let engine = FakeEngine::start(&nginx);
    engine.container.offset.store(ELSEWHERE, Ordering::SeqCst);
    let mut options = options(&nginx, &engine);
    options.error_log = None;
    let reloader = ContainerReloader::new(options);
    reloader.start(DEADLINE).await.expect("start");
    to_stderr(&nginx, "no_such_directive on;");
    for offset in [ELSEWHERE, 0] {
        engine.container.offset.store(offset, Ordering::SeqCst);
        match reloader.reload(DEADLINE).await {
            Err(ReloadError::Rejected { diagnostic }) => {
                assert!(diagnostic.contains("no_such_directive"), "{diagnostic}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

/// Requests under way are finished; where the signal does not get through that is told.
#[tokio::test]
async fn an_nginx_that_is_asked_to_ends_by_itself() {
    let nginx = RealNginx::new();
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!(
        "server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://{}; }} }}",
        nginx.port(),
        behind.local_addr().unwrap()
    );
    nginx.set_conf(&nginx.conf_with("", &server));
    let (engine, reloader) = begin(&nginx);
    for offset in [0, ELSEWHERE] {
        reloader.start(DEADLINE).await.expect("start");
        engine.container.offset.store(offset, Ordering::SeqCst);
        let asking = nginx.get();
        let asked = async {
            let (mut under_way, _) = behind.accept().await.unwrap();
            let short = Duration::from_millis(300);
            assert!(!reloader.quit(short).await.unwrap(), "somebody waits");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate";
            under_way.write_all(answer).await.unwrap();
            assert!(reloader.quit(DEADLINE).await.unwrap());
        };
        let (answer, ()) = futures_util::future::join(asking, asked).await;
        assert_eq!(answer.unwrap(), "late");
        assert_eq!(reloader.running().await.unwrap(), None);
    }
    engine.container.offset.store(0, Ordering::SeqCst);
    reloader.start(DEADLINE).await.expect("start");
    engine.container.under_a_shell.store(true, Ordering::SeqCst);
    assert!(!reloader.quit(DEADLINE).await.unwrap());
    assert!(reloader.running().await.unwrap().is_some());
}

#[tokio::test]
async fn the_error_log_is_read_where_it_is_a_file() {
    let (nginx, engine, reloader) = running().await;
    let begins = |log: Option<std::fs::File>| {
        let mut text = String::new();
        log.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, std::fs::read_to_string(nginx.error_log()).unwrap());
    };
    begins(reloader.error_log().await.unwrap());
    engine.container.offset.store(ELSEWHERE, Ordering::SeqCst);
    begins(reloader.error_log().await.unwrap());
    let unknown = ContainerReloader::new(ContainerOptions {
        error_log: None,
        ..options(&nginx, &engine)
    });
    assert!(unknown.error_log().await.unwrap().is_none());
}

#[tokio::test]
async fn workers_that_die_are_no_success_of_the_engine() {
    let (nginx, _engine, reloader) = running().await;
    nginx.set_conf(&deadly(&nginx));
    let said = failure(reloader.reload(DEADLINE).await);
    assert!(said.contains("cannot be respawned"), "{said}");
    nginx.set_answer("back");
    reloader.reload(DEADLINE).await.expect("the outage ends");
    assert_eq!(nginx.get().await.unwrap(), "back");
}

#[tokio::test]
async fn an_engine_that_keeps_no_log_can_still_be_used() {
    let (nginx, engine, reloader) = running().await;
    engine.container.keeps_no_log.store(true, Ordering::SeqCst);
    nginx.set_answer("all the same");
    reloader.reload(DEADLINE).await.expect("reload");
    assert_eq!(nginx.get().await.unwrap(), "all the same");
    nginx.set_conf(&nginx.conf_with("", "no_such_directive on;"));
    // From the file that nginx logs to.
    let reloaded = reloader.reload(DEADLINE).await;
    assert!(
        matches!(reloaded, Err(ReloadError::Rejected { .. })),
        "{reloaded:?}"
    );
}
