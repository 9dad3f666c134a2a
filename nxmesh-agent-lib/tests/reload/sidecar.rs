//! `SignalReloader` beside an nginx in a mount namespace of its own, as in
//! another container that shares its process ids. Takes root.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nxmesh_agent_lib::{
    nginx::Enter,
    reload::{SignalOptions, SignalReloader},
    testkit::RealNginx,
};
use nxmesh_core::{
    contract::reloader::{ReloadError, Reloader as _},
    testkit::{patience::patiently, reloader::DEADLINE},
};

/// An nginx whose binary lies where only it sees it.
struct Sidecar {
    nginx: RealNginx,
    process: Option<Child>,
}

impl Sidecar {
    fn new() -> Self {
        let nginx = RealNginx::new();
        for folder in ["image", "own"] {
            fs::create_dir(nginx.dir().join(folder)).unwrap();
        }
        Self {
            nginx,
            process: None,
        }
    }

    async fn start() -> Self {
        let mut sidecar = Self::new();
        sidecar.run("");
        patiently("nginx answers", async {
            while sidecar.nginx.get().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        sidecar
    }

    fn binary(&self) -> PathBuf {
        self.nginx.dir().join("image/nginx")
    }

    /// What the container's runtime does; `more` is done in its namespace first.
    fn run(&mut self, more: &str) {
        let dir = self.nginx.dir().display();
        let script = format!(
            "set -e; mount -t tmpfs none {dir}/image; cp {} {dir}/image/nginx; {more}\n\
             exec {dir}/image/nginx -p {dir} -c {dir}/nginx.conf -g 'daemon off;'",
            self.nginx.binary().display()
        );
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    fn stop(&mut self) {
        self.nginx.kill();
        if let Some(mut process) = self.process.take() {
            process.wait().unwrap();
        }
    }

    fn options(&self) -> SignalOptions {
        SignalOptions {
            binary: self.binary(),
            build: None,
            enter: Enter::RootOfNginx {
                shared: vec![self.nginx.dir().to_owned()],
            },
            ..self.nginx.options()
        }
    }

    fn reloader(&self) -> SignalReloader {
        SignalReloader::new(self.options())
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn is_driven(sidecar: &Sidecar, reloader: &SignalReloader) {
    let nginx = &sidecar.nginx;
    assert!(!sidecar.binary().exists(), "its binary is seen here");
    reloader.verify().await.expect("all is there");
    assert!(reloader.build().await.unwrap().version.major >= 1);
    let before = reloader.running().await.unwrap().expect("it is found");

    nginx.set_answer("changed");
    reloader
        .check(&nginx.candidate(), DEADLINE)
        .await
        .expect("a good one");
    assert_eq!(nginx.get().await.unwrap(), "initial");
    let after = reloader.reload(DEADLINE).await.expect("reload");
    assert!(after.replaces(&before));
    assert_eq!(after.master_pid, before.master_pid);
    assert_eq!(nginx.get().await.unwrap(), "changed");

    nginx.set_conf(&nginx.conf_with("", "no_such_directive on;"));
    let checked = reloader.check(&nginx.candidate(), DEADLINE).await;
    let reloaded = reloader.reload(DEADLINE).await.map(drop);
    for refused in [checked, reloaded] {
        match refused {
            Err(ReloadError::Rejected { diagnostic }) => {
                assert!(diagnostic.contains("no_such_directive"), "{diagnostic}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(nginx.get().await.unwrap(), "changed");
}

#[tokio::test]
async fn it_is_found_checked_and_signalled_by_its_root() {
    let sidecar = Sidecar::start().await;
    is_driven(&sidecar, &sidecar.reloader()).await;
}

#[tokio::test]
async fn it_is_entered_by_a_command() {
    let sidecar = Sidecar::start().await;
    let words = ["nsenter", "--target", "{pid}", "--mount", "--"];
    let mut options = sidecar.options();
    options.enter = Enter::Command(words.map(str::to_owned).into());
    is_driven(&sidecar, &SignalReloader::new(options)).await;
}

#[tokio::test]
async fn a_command_that_enters_nothing_is_no_rejection() {
    let sidecar = Sidecar::start().await;
    let words = ["nsenter", "--target", "{pid}", "--no-such-flag", "--"];
    let mut options = sidecar.options();
    options.enter = Enter::Command(words.map(str::to_owned).into());
    let reloader = SignalReloader::new(options);
    let candidate = sidecar.nginx.candidate();
    match reloader.check(&candidate, DEADLINE).await {
        Err(ReloadError::Backend { .. }) => {}
        other => panic!("{other:?}"),
    }
    reloader.verify().await.unwrap_err();
}

#[tokio::test]
async fn its_runtime_starts_it_and_that_is_waited_for() {
    let mut sidecar = Sidecar::start().await;
    let reloader = sidecar.reloader();
    let before = reloader.running().await.unwrap().unwrap();
    sidecar.stop();
    assert_eq!(reloader.running().await.unwrap(), None);
    // Nothing can be checked where there is nothing to enter.
    let checked = reloader.check(&sidecar.nginx.candidate(), DEADLINE).await;
    assert!(
        matches!(checked, Err(ReloadError::Backend { .. })),
        "{checked:?}"
    );
    let none = reloader.start(Duration::from_millis(300)).await;
    assert!(
        matches!(none, Err(ReloadError::NotConfirmed { .. })),
        "{none:?}"
    );

    sidecar.run("sleep 0.3;");
    let after = reloader.start(DEADLINE).await.expect("it comes up");
    assert!(after.replaces(&before));
    assert_eq!(sidecar.nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn one_that_sees_another_file_under_the_name_is_another() {
    let mut sidecar = Sidecar::new();
    // The same title, and a configuration that only it sees.
    let dir = sidecar.nginx.dir().to_owned();
    fs::create_dir(dir.join("own/conf")).unwrap();
    let (conf, hidden) = (dir.join("own/conf/nginx.conf"), dir.join("own/conf"));
    fs::copy(sidecar.nginx.conf(), &conf).unwrap();
    sidecar.run(&format!(
        "mount -t tmpfs none {0}; cp {1} {0}/nginx.conf; exec {2} -p {3} -c {0}/nginx.conf -g 'daemon off;';",
        hidden.display(),
        sidecar.nginx.conf().display(),
        sidecar.binary().display(),
        dir.display(),
    ));
    patiently("nginx answers", async {
        while sidecar.nginx.get().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for enter in [Enter::NotNeeded, sidecar.options().enter] {
        let is_here = enter == Enter::NotNeeded;
        let reloader = SignalReloader::new(SignalOptions {
            conf: conf.clone(),
            pid_file: None,
            binary: match is_here {
                true => sidecar.nginx.binary().to_owned(),
                false => sidecar.binary(),
            },
            enter,
            ..sidecar.options()
        });
        assert_eq!(reloader.running().await.unwrap(), None);
        let reloaded = reloader.reload(DEADLINE).await;
        assert!(
            matches!(reloaded, Err(ReloadError::NotRunning)),
            "{reloaded:?}"
        );
        if !is_here {
            let unmet = reloader.verify().await.unwrap_err();
            assert!(unmet.missing.contains("sees another file"), "{unmet}");
            assert!(unmet.remedy.contains("same path"), "{unmet}");
        }
    }
}

#[tokio::test]
async fn a_folder_that_is_not_shared_is_told() {
    let sidecar = Sidecar::start().await;
    let mut options = sidecar.options();
    options.enter = Enter::RootOfNginx {
        shared: vec![
            sidecar.nginx.dir().to_owned(),
            sidecar.nginx.dir().join("image"),
        ],
    };
    let unmet = SignalReloader::new(options).verify().await.unwrap_err();
    assert!(
        unmet.missing.contains("does not see the agent's"),
        "{unmet}"
    );
    assert!(unmet.remedy.contains("one volume"), "{unmet}");
}
