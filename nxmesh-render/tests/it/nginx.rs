//! A real nginx on a rendered tree, alone in a temporary folder.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nxmesh_core::{
    contract::renderer::{NginxVersion, RenderError, RenderSettings, RenderedTree, Renderer as _},
    model::ResourceSet,
};
use nxmesh_render::{
    HandlebarsRenderer,
    placement::{FullOptions, Placement, PlacementMode, entry, place},
};
use tempfile::TempDir;

/// The nginx to test with; `None` when there is none and none is required.
pub(crate) fn binary() -> Option<PathBuf> {
    let named = env::var_os("NXMESH_TEST_NGINX").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| {
        env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .map(|folder| folder.join("nginx"))
            .find(|file| file.is_file())
    });
    present("nginx", found)
}

/// Each nginx to test with: that one, and the newer one `NXMESH_TEST_NGINX_NEXT`.
pub(crate) fn binaries() -> Vec<PathBuf> {
    let next = env::var_os("NXMESH_TEST_NGINX_NEXT").map(PathBuf::from);
    let both = [binary(), present("nginx-next", next)];
    both.into_iter().flatten().collect()
}

/// Says what is not tested, unless it must be.
fn present(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let required = env::var("NXMESH_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|required| required == name),
            "{name} is required, but not there"
        );
        eprintln!("skipped: there is no {name}");
    }
    found
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
    listener.local_addr().expect("its address").port()
}

/// A configuration on disk, in full mode.
pub(crate) struct Staged {
    nginx: PathBuf,
    folder: TempDir,
}

impl Staged {
    /// Renders `resources` for `nginx` and writes everything into a folder.
    pub(crate) fn new(nginx: PathBuf, resources: &ResourceSet) -> Self {
        Self::in_folder(nginx, resources, "release")
    }

    /// The same with a name for the folder of the release.
    pub(crate) fn in_folder(nginx: PathBuf, resources: &ResourceSet, release: &str) -> Self {
        Self::placed(nginx, resources, release, None)
            .unwrap_or_else(|error| panic!("render: {error}"))
    }

    /// The same, unless it cannot be said to this nginx. With `host`, included in
    /// the `http` block there, where it says `INCLUDE`.
    pub(crate) fn try_new(
        nginx: PathBuf,
        resources: &ResourceSet,
        host: Option<&str>,
    ) -> Result<Self, RenderError> {
        Self::placed(nginx, resources, "release", host)
    }

    fn placed(
        nginx: PathBuf,
        resources: &ResourceSet,
        release: &str,
        host: Option<&str>,
    ) -> Result<Self, RenderError> {
        let folder = TempDir::new().expect("make a temporary folder");
        let staged = Self { nginx, folder };
        for folder in ["cache", "temp"] {
            fs::create_dir(staged.path(folder)).expect("make a folder");
        }
        staged.lay(resources, (release, RELEASE), host)?;
        Ok(staged)
    }

    /// Writes a release into its folder, and the main file that leads there.
    fn lay(
        &self,
        resources: &ResourceSet,
        (release, id): (&str, &str),
        host: Option<&str>,
    ) -> Result<(), RenderError> {
        let staged = self;
        let settings = RenderSettings {
            nginx: version(&staged.nginx),
            tls_dir: staged.path("tls"),
            cache_dir: staged.path("cache"),
            ipv6: TcpListener::bind("[::1]:0").is_ok(),
            whole_conf: host.is_none(),
            ..RenderSettings::default()
        };
        let tree = HandlebarsRenderer::new().render(resources, &settings)?;
        let options = FullOptions {
            worker_processes: Some(1),
            pid_file: staged.path("nginx.pid"),
            error_log: staged.path("error.log"),
            temp_dir: staged.path("temp"),
            modules_include: modules(&staged.nginx, staged.folder.path()),
            ..FullOptions::default()
        };
        let (release_dir, probe_socket) = (staged.path(release), staged.socket());
        let placement = Placement {
            release_dir: &release_dir,
            release_id: id,
            probe_socket: &probe_socket,
            mode: match host {
                Some(_) => PlacementMode::Include,
                None => PlacementMode::Full(&options),
            },
            settings: &settings,
        };
        write_tree(&tree, &placement, &settings.tls_dir);
        let entry = entry(&placement);
        let conf = host.map_or(entry.clone(), |host| host.replace("INCLUDE", &entry));
        fs::write(staged.path("nginx.conf"), conf).expect("write the configuration");
        Ok(())
    }

    /// A configuration of somebody else, that `write` lays out; it runs.
    pub(crate) fn foreign(nginx: PathBuf, write: impl FnOnce(&Path)) -> Nginx {
        let folder = TempDir::new().expect("make a temporary folder");
        write(folder.path());
        let staged = Self { nginx, folder };
        let conf = staged.path("nginx.conf");
        let text = fs::read_to_string(&conf).expect("read its main file");
        let folder = staged.folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
            .concat();
        let probe = format!(
            "http {{ {temporary} server {{ listen unix:{}; }}",
            staged.socket().display()
        );
        let log = if text.contains("access_log") {
            ""
        } else {
            " access_log off;"
        };
        fs::write(&conf, text.replacen("http {", &(probe + log), 1)).expect("write it");
        staged.start()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("probe.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.nginx);
        command
            .env_clear()
            .current_dir(self.folder.path())
            .arg("-p")
            .arg(self.folder.path())
            .arg("-c")
            .arg(self.path("nginx.conf"))
            .args(["-e", "stderr"]);
        command
    }

    /// What `nginx -t` says.
    pub(crate) fn test(&self) -> Output {
        self.command().arg("-t").output().expect("run nginx -t")
    }

    /// Panics unless `nginx -t` accepts it without a warning.
    pub(crate) fn assert_accepted(&self, what: &str) {
        let output = self.test();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}");
        assert!(!said.contains("[warn]"), "{what}: {said}");
    }

    /// Starts nginx and waits until it serves.
    pub(crate) fn start(self) -> Nginx {
        // One process: nothing is left over when it is killed.
        self.start_as("daemon off; master_process off;")
    }

    /// The same with a master and a worker, so that it can be reloaded.
    pub(crate) fn start_with_worker(self) -> Nginx {
        let owner = fs::metadata(self.folder.path()).expect("its folder").uid();
        // The folder is its owner's alone.
        let user = if owner == 0 { " user root;" } else { "" };
        self.start_as(&format!("daemon off;{user}"))
    }

    fn start_as(self, directives: &str) -> Nginx {
        let process = self
            .command()
            .args(["-g", directives])
            .stderr(Stdio::piped())
            .spawn()
            .expect("start nginx");
        let mut nginx = Nginx {
            process,
            staged: self,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while nginx.probe("/nginx-is-up").is_none() {
            if let Some(status) = nginx.process.try_wait().expect("look at nginx") {
                let mut said = String::new();
                let stderr = nginx.process.stderr.as_mut().expect("its words");
                stderr.read_to_string(&mut said).expect("read its words");
                let logged = fs::read_to_string(nginx.staged.path("error.log"));
                panic!(
                    "nginx ended with {status}: {said}{}",
                    logged.unwrap_or_default()
                );
            }
            assert!(Instant::now() < deadline, "nginx does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        nginx
    }
}

/// What the probe socket answers.
pub(crate) const RELEASE: &str = "7 \"of\" $9";

fn write_tree(tree: &RenderedTree, placement: &Placement<'_>, tls_dir: &Path) {
    let write = |path: PathBuf, contents: &[u8]| {
        fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        fs::write(path, contents).expect("write a file");
    };
    for (path, file) in tree.files() {
        write(placement.release_dir.join(path), &file.contents);
    }
    for (name, contents) in place(tree, placement).unwrap_or_else(|error| panic!("{error}")) {
        write(placement.release_dir.join(name), &contents);
    }
    for (name, pem) in tree.pem_files() {
        write(tls_dir.join(name), pem.contents.as_bytes());
    }
}

/// A file that loads the module for streams, where this nginx has it as one.
fn modules(nginx: &Path, folder: &Path) -> Option<PathBuf> {
    let output = Command::new(nginx).arg("-V").output();
    let output = output.expect("run nginx -V");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let words = || said.split_whitespace();
    let path = words().find_map(|word| word.strip_prefix("--modules-path="))?;
    let module = Path::new(path).join("ngx_stream_module.so");
    if !words().any(|word| word == "--with-stream=dynamic") || !module.exists() {
        return None;
    }
    let file = folder.join("modules.conf");
    let text = format!("load_module {};", module.display());
    fs::write(&file, text).expect("write a file");
    Some(file)
}

/// What it says it is.
pub(crate) fn version(nginx: &Path) -> NginxVersion {
    let output = Command::new(nginx)
        .arg("-v")
        .output()
        .expect("run nginx -v");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.split_once("nginx/")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("no version in {said:?}"))
}

/// A running nginx; stopped when dropped.
pub(crate) struct Nginx {
    process: Child,
    staged: Staged,
}

impl Nginx {
    /// Asks the probe socket; `None` while nobody answers.
    pub(crate) fn probe(&self, path: &str) -> Option<Answer> {
        let stream = UnixStream::connect(self.staged.socket()).ok()?;
        ask(stream, "GET", "probe", path.as_bytes(), "")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.staged.path(name)
    }

    /// Reloads it onto other resources; returns once the new worker alone is there.
    pub(crate) fn reload(&self, resources: &ResourceSet, release: &str) {
        let before = self.workers();
        let laid = self.staged.lay(resources, (release, release), None);
        laid.unwrap_or_else(|error| panic!("render: {error}"));
        self.signal("HUP");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let workers = self.workers();
            if workers.len() == 1 && !before.contains(&workers[0]) {
                break;
            }
            if Instant::now() > deadline {
                let logged = fs::read_to_string(self.path("error.log"));
                panic!("it was not reloaded: {}", logged.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let told = self.probe("/nxmesh/release").expect("its probe answers");
        assert_eq!(String::from_utf8_lossy(&told.body).trim(), release);
    }

    fn workers(&self) -> Vec<String> {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.expect("its processes");
        let is_worker = |child: &&str| {
            let title = fs::read_to_string(format!("/proc/{child}/cmdline"));
            title.is_ok_and(|title| title.starts_with("nginx: worker process"))
        };
        let workers = children.split_whitespace().filter(is_worker);
        workers.map(str::to_owned).collect()
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &command]).status();
        assert!(status.expect("run kill").success());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A worker ends with its master, if that is told to.
        if !self.workers().is_empty() {
            self.signal("TERM");
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline && !matches!(self.process.try_wait(), Ok(Some(_))) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// An answer, byte for byte.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of the one header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self
            .headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| &value[..]);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }
}

/// Requests `path`, already encoded, from a port of this machine.
pub(crate) fn get(port: u16, host: &str, path: &[u8]) -> Answer {
    get_with(port, host, path, "")
}

/// The same with more headers, each with its line break.
pub(crate) fn get_with(port: u16, host: &str, path: &[u8], headers: &str) -> Answer {
    request(port, "GET", host, path, headers)
}

/// The same with another method.
pub(crate) fn request(port: u16, method: &str, host: &str, path: &[u8], headers: &str) -> Answer {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect to nginx");
    ask(stream, method, host, path, headers).unwrap_or_else(|| panic!("{host} does not answer"))
}

fn ask(
    mut stream: impl std::io::Read + std::io::Write,
    method: &str,
    host: &str,
    path: &[u8],
    headers: &str,
) -> Option<Answer> {
    let mut request = format!("{method} ").into_bytes();
    request.extend_from_slice(path);
    write!(
        request,
        " HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
    )
    .ok()?;
    stream.write_all(&request).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = answer[..end].split(|byte| *byte == b'\n');
    let status = String::from_utf8_lossy(lines.next()?)
        .get(9..12)?
        .parse()
        .ok()?;
    let headers = lines
        .map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .expect("a header");
            let value = line[colon + 1..].strip_prefix(b" ").unwrap_or_default();
            (
                String::from_utf8_lossy(&line[..colon]).into_owned(),
                value.to_vec(),
            )
        })
        .collect();
    Some(Answer {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}

/// Writes every byte of a path but `/` in its encoded form.
pub(crate) fn encoded(path: &str) -> Vec<u8> {
    let byte = |byte: u8| match byte {
        b'/' => "/".to_owned(),
        other => format!("%{other:02X}"),
    };
    path.bytes().map(byte).collect::<String>().into_bytes()
}
