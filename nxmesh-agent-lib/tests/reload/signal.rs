//! `SignalReloader` and a real nginx.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, time::Duration};

use nxmesh_agent_lib::{
    nginx::{Enter, NginxBuild},
    reload::SignalReloader,
    testkit::{RealNginx, free_port, stop_nginx_in},
};
use nxmesh_core::{
    contract::reloader::{ReloadError, Reloader as _},
    testkit::{patience::PATIENCE, reloader::DEADLINE},
};

use crate::rig::{Backend, Driven, deadly, orphans_serve_until_another_starts, probe};

#[derive(Debug)]
struct BySignal;

#[async_trait::async_trait]
impl Backend for BySignal {
    type Subject = SignalReloader;
    type Host = ();

    async fn begin(nginx: &RealNginx) -> ((), SignalReloader) {
        ((), nginx.reloader())
    }
}

nxmesh_core::reloader_conformance!(Driven<BySignal>);

#[tokio::test]
async fn workers_that_die_at_birth_are_no_success_and_no_rejection() {
    let nginx = RealNginx::start().await;
    let reloader = nginx.reloader();
    nginx.set_conf(&deadly(&nginx));
    reloader
        .check(&nginx.candidate(), DEADLINE)
        .await
        .expect("nginx -t does not see it");
    match reloader.reload(DEADLINE).await {
        Err(ReloadError::Backend { source, .. }) => {
            assert!(
                source.to_string().contains("cannot be respawned"),
                "{source}"
            );
        }
        other => panic!("{other:?}"),
    }
    nginx.set_answer("back");
    reloader.reload(DEADLINE).await.expect("the outage ends");
    assert_eq!(nginx.get().await.unwrap(), "back");
}

#[tokio::test]
async fn a_start_whose_workers_die_is_no_success() {
    let nginx = RealNginx::new();
    nginx.set_conf(&deadly(&nginx));
    let started = nginx.reloader().start(Duration::from_secs(3)).await;
    assert!(
        matches!(
            started,
            Err(ReloadError::Backend { .. } | ReloadError::NotConfirmed { .. })
        ),
        "{started:?}"
    );
}

#[tokio::test]
async fn a_port_that_becomes_free_in_time_is_taken() {
    let nginx = RealNginx::start().await;
    let reloader = nginx.reloader();
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = taken.local_addr().unwrap().port();
    let server = format!("server {{ listen 127.0.0.1:{port}; return 200 moved; }}");
    nginx.set_conf(&nginx.conf_with("", &server));
    let reload = reloader.reload(DEADLINE);
    let release = async {
        let said = || {
            fs::read_to_string(nginx.error_log())
                .unwrap()
                .contains("bind()")
        };
        while !said() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(taken);
    };
    let (reloaded, released) = tokio::join!(reload, tokio::time::timeout(PATIENCE, release));
    released.expect("nginx finds the port taken");
    reloaded.expect("nginx tries again");
    assert_eq!(RealNginx::ask(port, "x", "/").await.unwrap().1, "moved");
}

#[tokio::test]
async fn a_check_that_does_not_end_is_killed_at_its_deadline() {
    let nginx = RealNginx::start().await;
    // Reading a pipe that nobody writes to never ends.
    let pipe = nginx.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    nginx.set_conf(&format!("include {};", pipe.display()));
    let checked = nginx
        .reloader()
        .check(&nginx.candidate(), Duration::from_millis(300))
        .await;
    match checked {
        Err(ReloadError::Backend { source, .. }) => {
            assert!(source.to_string().contains("300ms"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

/// Nothing of it is the configuration's fault, and whoever has to mend it reads why.
#[tokio::test]
async fn a_check_that_is_no_judgement_of_nginx_is_no_rejection() {
    let nginx = RealNginx::start().await;
    let mut options = nginx.options();
    options.build = Some(NginxBuild::ask(nginx.binary(), DEADLINE).await.unwrap());
    options.binary = nginx.dir().join("nginx-of-mine");
    for (script, words) in [
        (
            "echo nginx: cannot load libpcre.so.3 >&2; exit 127",
            "cannot load libpcre.so.3",
        ),
        ("exit 3", "exit status: 3, and nothing was said"),
        ("echo 'nginx: [warn] slow' >&2; kill -9 $$", "SIGKILL"),
    ] {
        fs::write(&options.binary, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&options.binary, fs::Permissions::from_mode(0o755)).unwrap();
        let checked = SignalReloader::new(options.clone())
            .check(&nginx.candidate(), DEADLINE)
            .await;
        match checked {
            Err(ReloadError::Backend { source, .. }) => {
                assert!(source.to_string().contains(words), "{source}");
            }
            other => panic!("{script}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_masters_on_one_machine_are_told_apart() {
    let (one, other) = tokio::join!(RealNginx::start(), RealNginx::start());
    let other_before = other.reloader().running().await.unwrap().unwrap();
    // The pid file of one names the other.
    fs::write(one.pid_file(), other.pid().unwrap().to_string()).unwrap();
    one.set_answer("one");
    other.set_answer("not yet");
    let reloaded = one.reloader().reload(DEADLINE).await.expect("reload");
    assert_ne!(reloaded.master_pid, other_before.master_pid);
    assert_eq!(one.get().await.unwrap(), "one");
    assert_eq!(other.get().await.unwrap(), "initial");
    assert_eq!(
        other.reloader().running().await.unwrap().unwrap(),
        other_before
    );
}

#[tokio::test]
async fn a_lost_pid_file_does_not_matter() {
    let nginx = RealNginx::start().await;
    fs::remove_file(nginx.pid_file()).unwrap();
    nginx.set_answer("found");
    nginx.reloader().reload(DEADLINE).await.expect("reload");
    assert_eq!(nginx.get().await.unwrap(), "found");
}

#[tokio::test]
async fn workers_of_a_killed_master_give_way_to_the_next() {
    let nginx = RealNginx::new();
    let socket = nginx.dir().join("probe");
    let http = |answer: &str| {
        format!(
            "{}\nserver {{ listen unix:{}; return 200 x; }}",
            nginx.server(answer),
            socket.display()
        )
    };
    let mut options = nginx.options();
    options.unix_sockets = vec![socket.clone()];
    let reloader = SignalReloader::new(options);
    nginx.set_conf(&nginx.conf_with("", &http("old")));
    let before = reloader.start(DEADLINE).await.expect("start");
    nginx.kill_master();
    assert_eq!(reloader.running().await.unwrap(), None);
    assert_eq!(nginx.get().await.unwrap(), "old", "the orphans still serve");
    nginx.set_conf(&nginx.conf_with("", &http("new")));
    let after = reloader.start(DEADLINE).await.expect("start again");
    assert!(after.replaces(&before));
    for _ in 0..20 {
        assert_eq!(nginx.get().await.unwrap(), "new");
    }
}

#[tokio::test]
async fn orphans_serve_on_while_another_nginx_would_not_start() {
    let nginx = RealNginx::new();
    let mut options = nginx.options();
    options.unix_sockets = vec![probe(&nginx)];
    orphans_serve_until_another_starts(&nginx, &SignalReloader::new(options)).await;
}

#[tokio::test]
async fn a_binary_that_cannot_run_would_not_start() {
    let nginx = RealNginx::new();
    let mut options = nginx.options();
    options.binary = nginx.dir().join("nginx-of-mine");
    fs::copy(nginx.binary(), &options.binary).unwrap();
    let reloader = SignalReloader::new(options.clone());
    let before = reloader.start(DEADLINE).await.expect("start");
    reloader.would_start(DEADLINE).await.expect("it would");
    fs::rename(&options.binary, nginx.dir().join("nginx-aside")).unwrap();
    fs::write(&options.binary, "#!/bin/sh\nexit 3\n").unwrap();
    for mode in [0o755, 0o644] {
        fs::set_permissions(&options.binary, fs::Permissions::from_mode(mode)).unwrap();
        let told = reloader.would_start(DEADLINE).await;
        let Err(ReloadError::WouldNotStart { reason }) = told else {
            panic!("{mode:o}: {told:?}");
        };
        assert!(reason.contains("-t -c"), "{reason}");
    }
    assert_eq!(reloader.running().await.unwrap(), Some(before));
}

/// It is for whoever starts nginx to have the rights, where that is not the agent.
#[tokio::test]
async fn what_is_forbidden_to_the_agent_says_nothing_of_a_start_by_others() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let nginx = RealNginx::start().await;
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--"];
    let mut options = nginx.options();
    options.enter = Enter::Command(nobody.map(str::to_owned).into());
    // Not even nginx.conf can be read.
    let by_others = SignalReloader::new(options);
    by_others.would_start(DEADLINE).await.expect("not known");
    fs::set_permissions(nginx.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    nginx.set_conf("no_such_directive on;");
    let told = by_others.would_start(DEADLINE).await;
    assert!(
        matches!(told, Err(ReloadError::WouldNotStart { .. })),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_dead_socket_does_not_stop_a_start() {
    let nginx = RealNginx::new();
    let socket = nginx.dir().join("probe");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let server = format!("server {{ listen unix:{}; }}", socket.display());
    nginx.set_conf(&nginx.conf_with("", &server));
    let mut options = nginx.options();
    options.unix_sockets = vec![socket];
    SignalReloader::new(options)
        .start(DEADLINE)
        .await
        .expect("start");
    stop_nginx_in(nginx.dir());
}

#[tokio::test]
async fn lines_that_clients_forge_in_the_error_log_change_nothing() {
    let nginx = RealNginx::start().await;
    let (reloader, port, pid) = (nginx.reloader(), nginx.port(), nginx.pid().unwrap());
    let site = |answer: &str| {
        let files = "location /file { root /nonexistent; }";
        let server = nginx
            .server(answer)
            .replace("location", &format!("{files} location"));
        nginx.set_conf(&nginx.conf_with("", &server));
    };
    site("first");
    reloader.reload(DEADLINE).await.unwrap();
    // nginx logs the path of the missing file, line breaks and all.
    let forging = [
        "emerg%5D%20PID%23PID:%20refused",
        "alert%5D%20PID%23PID:%20fork()%20failed",
    ]
    .map(|line| {
        let line = line.replace("PID", &pid.to_string());
        let path = format!("/file%0A2026/11/23%2014:48:40%20%5B{line}%0A");
        tokio::spawn(async move {
            loop {
                drop(RealNginx::ask(port, "localhost", &path).await);
            }
        })
    });
    for number in 0..5 {
        let answer = format!("answer {number}");
        site(&answer);
        reloader.reload(DEADLINE).await.unwrap();
        assert_eq!(nginx.get().await.unwrap(), answer);
    }
    forging.iter().for_each(tokio::task::JoinHandle::abort);
    let log = fs::read_to_string(nginx.error_log()).unwrap();
    let forged = format!("\n2026/11/23 14:48:40 [emerg] {pid}#{pid}: refused\n");
    assert!(log.contains(&forged), "nothing was forged");
}
