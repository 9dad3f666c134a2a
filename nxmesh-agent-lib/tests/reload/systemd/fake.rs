//! A bus of one's own, and on it what behaves like systemd with one unit: the
//! calls, signals, errors and results of org.freedesktop.systemd1(5).

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use nxmesh_agent_lib::testkit::RealNginx;
use nxmesh_core::testkit::patience::patiently;
use zbus::{
    Connection, connection, fdo, interface,
    message::Header,
    object_server::SignalEmitter,
    zvariant::{ObjectPath, OwnedObjectPath},
};

pub(crate) const UNIT: &str = "nginx.service";
const MANAGER: &str = "/org/freedesktop/systemd1";

/// A `dbus-daemon` with a configuration of its own.
pub(crate) struct BusDaemon {
    process: Child,
    pub(crate) address: String,
}

impl BusDaemon {
    pub(crate) async fn start(folder: &Path) -> Self {
        let (conf, socket) = (folder.join("bus.conf"), folder.join("bus"));
        fs::remove_file(&socket).ok();
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig><type>system</type><auth>EXTERNAL</auth>\n\
             <listen>unix:path={}</listen>\n\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\n\
             </busconfig>\n",
            socket.display()
        );
        fs::write(&conf, text).unwrap();
        let process = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", conf.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed (Debian: dbus-daemon)");
        patiently("the bus listens", async {
            // It is there a moment before anybody listens.
            while std::os::unix::net::UnixStream::connect(&socket).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        Self {
            process,
            address: format!("unix:path={}", socket.display()),
        }
    }
}

impl Drop for BusDaemon {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The unit: what is started, and what became of it.
pub(crate) struct State {
    binary: PathBuf,
    dir: PathBuf,
    conf: PathBuf,
    main_pid: AtomicU32,
    failed: AtomicBool,
    jobs: AtomicU32,
    subscribed: Mutex<HashSet<String>>,
    /// Whoever asks has no right to act.
    pub(crate) denies: AtomicBool,
    /// Jobs are taken on and never done.
    pub(crate) stuck: AtomicBool,
    /// What `LoadState` says of the unit.
    pub(crate) load_state: Mutex<String>,
}

impl State {
    fn new(nginx: &RealNginx) -> Arc<Self> {
        Arc::new(Self {
            binary: nginx.binary().to_owned(),
            dir: nginx.dir().to_owned(),
            conf: nginx.conf(),
            main_pid: AtomicU32::new(0),
            failed: AtomicBool::new(false),
            jobs: AtomicU32::new(0),
            subscribed: Mutex::default(),
            denies: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            load_state: Mutex::new("loaded".to_owned()),
        })
    }

    pub(crate) fn set_main_pid(&self, pid: u32) {
        self.main_pid.store(pid, Ordering::SeqCst);
    }

    /// The main process; a unit whose main process was killed has failed.
    fn main_pid(&self) -> u32 {
        let pid = self.main_pid.load(Ordering::SeqCst);
        if pid == 0 || is_alive(pid) {
            return pid;
        }
        self.main_pid.store(0, Ordering::SeqCst);
        self.failed.store(true, Ordering::SeqCst);
        0
    }

    fn active_state(&self) -> &'static str {
        match (self.main_pid(), self.failed.load(Ordering::SeqCst)) {
            (1.., _) => "active",
            (_, true) => "failed",
            _ => "inactive",
        }
    }

    async fn nginx(&self, more: &[&str]) -> bool {
        let mut command = tokio::process::Command::new(&self.binary);
        command
            .arg("-p")
            .arg(&self.dir)
            .arg("-c")
            .arg(&self.conf)
            .args(more)
            .stderr(Stdio::null());
        command.status().await.is_ok_and(|status| status.success())
    }

    /// `Type=forking` with `PIDFile=`.
    async fn start(&self) -> &'static str {
        if self.main_pid() > 0 {
            return "done";
        }
        if !self.nginx(&[]).await {
            self.failed.store(true, Ordering::SeqCst);
            return "failed";
        }
        let pid = fs::read_to_string(self.dir.join("nginx.pid")).unwrap_or_default();
        self.set_main_pid(pid.trim().parse().unwrap_or(0));
        self.failed.store(false, Ordering::SeqCst);
        "done"
    }

    /// `ExecReload=nginx -s reload`, as in Debian.
    async fn reload(&self) -> &'static str {
        if self.main_pid() == 0 {
            return "invalid";
        }
        if self.nginx(&["-s", "reload"]).await {
            "done"
        } else {
            "failed"
        }
    }
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchUnit(String),
    AlreadySubscribed(String),
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.DBus.Error")]
enum Act {
    #[zbus(error)]
    ZBus(zbus::Error),
    AccessDenied(String),
}

struct Manager(Arc<State>);

impl Manager {
    /// Takes a job on; what becomes of it is told later, to whom wants to know.
    fn job(
        &self,
        emitter: &SignalEmitter<'_>,
        unit: &str,
        reload: bool,
    ) -> Result<OwnedObjectPath, Act> {
        if self.0.denies.load(Ordering::SeqCst) {
            return Err(Act::AccessDenied("Permission denied".to_owned()));
        }
        let state = Arc::clone(&self.0);
        let id = state.jobs.fetch_add(1, Ordering::SeqCst) + 1;
        let path: OwnedObjectPath = ObjectPath::try_from(format!("{MANAGER}/job/{id}"))
            .map_err(zbus::Error::from)?
            .into();
        let (emitter, unit, job) = (emitter.to_owned(), unit.to_owned(), path.clone());
        tokio::spawn(async move {
            if state.stuck.load(Ordering::SeqCst) {
                return;
            }
            let result = match reload {
                true => state.reload().await,
                false => state.start().await,
            };
            if !state.subscribed.lock().unwrap().is_empty() {
                Self::job_removed(&emitter, id, job.into(), &unit, result)
                    .await
                    .ok();
            }
        });
        Ok(path)
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Refusal> {
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        if self.0.subscribed.lock().unwrap().insert(sender) {
            return Ok(());
        }
        Err(Refusal::AlreadySubscribed(
            "Client is already subscribed.".to_owned(),
        ))
    }

    fn load_unit(&self, name: &str) -> OwnedObjectPath {
        let name = if name == UNIT { "nginx" } else { "other" };
        ObjectPath::try_from(format!("{MANAGER}/unit/{name}_2eservice"))
            .unwrap()
            .into()
    }

    fn reset_failed_unit(&self, name: &str) -> Result<(), Refusal> {
        if name != UNIT {
            return Err(Refusal::NoSuchUnit(format!("Unit {name} not loaded.")));
        }
        self.0.failed.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn start_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Act> {
        self.job(&emitter, name, false)
    }

    fn reload_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Act> {
        self.job(&emitter, name, true)
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: ObjectPath<'_>,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

struct Unit(Option<Arc<State>>);

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        match &self.0 {
            Some(state) => state.load_state.lock().unwrap().clone(),
            None => "not-found".to_owned(),
        }
    }

    #[zbus(property)]
    fn active_state(&self) -> &'static str {
        self.0
            .as_ref()
            .map_or("inactive", |state| state.active_state())
    }
}

struct Service(Arc<State>);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> fdo::Result<u32> {
        Ok(self.0.main_pid())
    }
}

/// A bus with systemd on it.
pub(crate) struct FakeSystemd {
    pub(crate) bus: BusDaemon,
    pub(crate) state: Arc<State>,
    _connection: Connection,
}

impl FakeSystemd {
    pub(crate) async fn start(nginx: &RealNginx) -> Self {
        Self::with(State::new(nginx), nginx.dir()).await
    }

    async fn with(state: Arc<State>, folder: &Path) -> Self {
        let bus = BusDaemon::start(folder).await;
        let unit = |name: &str| format!("{MANAGER}/unit/{name}_2eservice");
        let connection = connection::Builder::address(bus.address.as_str())
            .unwrap()
            .serve_at(MANAGER, Manager(Arc::clone(&state)))
            .unwrap()
            .serve_at(unit("nginx"), Unit(Some(Arc::clone(&state))))
            .unwrap()
            .serve_at(unit("nginx"), Service(Arc::clone(&state)))
            .unwrap()
            .serve_at(unit("other"), Unit(None))
            .unwrap()
            .name("org.freedesktop.systemd1")
            .unwrap()
            .build();
        let connection = tokio::time::timeout(Duration::from_secs(30), connection)
            .await
            .expect("the bus answers")
            .expect("the bus is there");
        Self {
            bus,
            state,
            _connection: connection,
        }
    }

    /// The bus ends, and another takes its place with the same unit on it.
    pub(crate) async fn restart_bus(self, nginx: &RealNginx) -> Self {
        let state = Arc::clone(&self.state);
        drop(self);
        state.subscribed.lock().unwrap().clear();
        Self::with(state, nginx.dir()).await
    }
}
