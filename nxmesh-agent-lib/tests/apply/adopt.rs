//! The line in the user's `nginx.conf`.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use nxmesh_agent_lib::{
    apply::{AdoptError, ApplyOptions, Mode, adopt, release},
    nginx::Layout,
    reload::SignalReloader,
    testkit::RealNginx,
};
use nxmesh_core::contract::reloader::{Candidate, Generation, ReloadError, Reloader};

const DEADLINE: Duration = Duration::from_secs(20);

struct Site {
    nginx: RealNginx,
    options: ApplyOptions,
}

impl Site {
    /// A user's nginx, with files beside its configuration.
    async fn start() -> Self {
        let nginx = RealNginx::new();
        let beside = nginx.dir().join("own.conf");
        fs::write(beside, "add_header X-Own \"a } b\";\n").unwrap();
        let server = format!("    include own.conf;\n{}", nginx.server("the user's own"));
        nginx.set_conf(&nginx.conf_with("# the user's", &server));
        nginx.reloader().start(DEADLINE).await.unwrap();
        let layout = Layout::new(nginx.dir().join("state"), nginx.dir().join("run"));
        let nginx_conf = nginx.conf();
        let options = ApplyOptions::new(layout, Mode::Include { nginx_conf });
        Self { nginx, options }
    }

    fn text(&self) -> Vec<u8> {
        fs::read(self.nginx.conf()).unwrap()
    }

    /// Names in the folder of `nginx.conf`.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.nginx.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["state", "run"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }

    async fn adopt(&self) -> Result<bool, AdoptError> {
        let adopted = adopt(&self.options, &self.nginx.reloader(), DEADLINE).await?;
        Ok(adopted.changed)
    }

    async fn release(&self) -> Result<bool, AdoptError> {
        let released = release(&self.options, &self.nginx.reloader(), DEADLINE).await?;
        Ok(released.changed)
    }
}

#[tokio::test]
async fn the_line_comes_once_and_goes_without_a_trace() {
    let site = Site::start().await;
    let (before, names) = (site.text(), site.names());
    assert!(site.adopt().await.unwrap());
    let adopted = site.text();
    let line = format!("    include {};\n", site.options.entry().display());
    assert_eq!(adopted.len(), before.len() + line.len());
    assert!(String::from_utf8(adopted.clone()).unwrap().contains(&line));
    assert!(!site.adopt().await.unwrap(), "a second time");
    assert_eq!(site.text(), adopted);

    // What the entry file says is served.
    fs::write(
        site.options.entry(),
        format!(
            "server {{ listen 127.0.0.1:{}; server_name a.test; return 200 adopted; }}",
            site.nginx.port()
        ),
    )
    .unwrap();
    site.nginx.reloader().reload(DEADLINE).await.unwrap();
    let (_, answer) = RealNginx::ask(site.nginx.port(), "a.test", "/")
        .await
        .unwrap();
    assert_eq!(answer, "adopted");
    assert_eq!(site.nginx.get().await.unwrap(), "the user's own");

    assert!(site.release().await.unwrap());
    assert_eq!(site.text(), before);
    assert!(!site.release().await.unwrap(), "a second time");
    assert_eq!(site.names(), names, "nothing is left beside it");
    assert!(!site.options.layout.state_dir().join("adopt").exists());
}

#[tokio::test]
async fn nginx_is_asked_before_the_file_changes() {
    let site = Site::start().await;
    let (before, names) = (site.text(), site.names());
    fs::create_dir(site.options.layout.state_dir()).unwrap();
    fs::write(site.options.entry(), "no_such_directive on;").unwrap();
    match site.adopt().await {
        Err(AdoptError::Refused {
            source: ReloadError::Rejected { diagnostic },
            ..
        }) => assert!(diagnostic.contains("no_such_directive"), "{diagnostic}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(site.text(), before);
    assert_eq!(site.names(), names);
    assert!(site.options.entry().exists(), "it was there before");

    // What only the line holds together does not go.
    fs::write(site.options.entry(), "map $uri $ours { default 1; }").unwrap();
    site.adopt().await.unwrap();
    let text = String::from_utf8(site.text()).unwrap();
    site.nginx
        .set_conf(&text.replace("access_log off;", "access_log off; add_header X $ours;"));
    let needed = site.text();
    assert!(matches!(
        site.release().await,
        Err(AdoptError::Refused { .. })
    ));
    assert_eq!(site.text(), needed);
}

#[tokio::test]
async fn what_is_no_configuration_stays_as_it_is() {
    let site = Site::start().await;
    for (text, is_expected) in [
        (
            "events {}\n",
            (|error| matches!(error, AdoptError::NoHttp { .. })) as fn(&AdoptError) -> bool,
        ),
        ("http {\n", |error| {
            matches!(error, AdoptError::Syntax { .. })
        }),
        ("http { bad", |error| {
            matches!(error, AdoptError::Syntax { .. })
        }),
    ] {
        fs::write(site.nginx.conf(), text).unwrap();
        let error = site.adopt().await.unwrap_err();
        assert!(is_expected(&error), "{text}: {error:?}");
        assert_eq!(site.text(), text.as_bytes());
        assert!(!site.options.entry().exists(), "nothing includes it");
    }
}

#[tokio::test]
async fn a_link_its_mode_and_its_owner_stay() {
    let site = Site::start().await;
    let real = site.nginx.dir().join("real.conf");
    fs::rename(site.nginx.conf(), &real).unwrap();
    symlink(&real, site.nginx.conf()).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let owner = match nix::unistd::geteuid().is_root() {
        true => (33, 4),
        false => (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        ),
    };
    chown(&real, Some(owner.0), Some(owner.1)).unwrap();
    assert!(site.adopt().await.unwrap());
    assert!(site.nginx.conf().is_symlink());
    let metadata = fs::metadata(&real).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    assert_eq!((metadata.uid(), metadata.gid()), owner);
    assert!(fs::read_to_string(&real).unwrap().contains("entry.conf"));
}

/// Changes the file while nginx tests what it was.
#[derive(Debug)]
struct Meddler {
    inner: SignalReloader,
    conf: PathBuf,
}

#[async_trait::async_trait]
impl Reloader for Meddler {
    fn backend(&self) -> &'static str {
        "meddler"
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        let text = fs::read_to_string(&self.conf).unwrap();
        fs::write(&self.conf, format!("{text}# and this\n")).unwrap();
        self.inner.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.inner.reload(deadline).await
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.inner.start(deadline).await
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.stop(deadline).await
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        self.inner.running().await
    }
}

#[tokio::test]
async fn what_another_writes_meanwhile_is_not_lost() {
    let site = Site::start().await;
    let meddler = Meddler {
        inner: site.nginx.reloader(),
        conf: site.nginx.conf(),
    };
    let names = site.names();
    let adopted = adopt(&site.options, &meddler, DEADLINE).await;
    assert!(
        matches!(adopted, Err(AdoptError::ChangedMeanwhile { .. })),
        "{adopted:?}"
    );
    assert!(site.text().ends_with(b"# and this\n"));
    assert_eq!(site.names(), names);
    assert!(site.adopt().await.unwrap(), "with a quiet file");
}

#[tokio::test]
async fn an_nginx_conf_of_the_agents_own_has_no_line() {
    let nginx = RealNginx::new();
    let layout = Layout::new(nginx.dir().join("state"), nginx.dir().join("run"));
    let options = ApplyOptions::new(layout.clone(), Mode::Full(layout.full_options()));
    let adopted = adopt(&options, &nginx.reloader(), DEADLINE).await;
    assert!(
        matches!(adopted, Err(AdoptError::NotIncludeMode)),
        "{adopted:?}"
    );
    assert!(!Path::new(layout.state_dir()).exists());
}
