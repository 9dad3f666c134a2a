//! The calls to systemd that are needed, over a connection to its bus.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Mutex,
};

use super::wire::{Body, Call, FIXED, Lengths, NotUnderstood, Said, Value};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The signals that tell of the end of a job.
const JOB_REMOVED: &str = "JobRemoved";
const ENDS_OF_JOBS: &str = "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// How long one call may take; jobs are not waited for in it.
const CALL: Duration = Duration::from_secs(10);
/// Ends of jobs that may wait to be read while an answer is awaited.
const QUEUED: usize = 1024;
/// The longest line while both sides agree who they are.
const LINE_BYTES: usize = 1024;

/// What a unit is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Start,
    Reload,
}

/// What systemd says of a unit.
#[derive(Debug)]
pub(super) struct Unit {
    /// `loaded`, `not-found`, `masked` and others.
    pub(super) load_state: String,
    /// `active`, `inactive`, `failed` and others.
    pub(super) active_state: String,
    /// 0 for none.
    pub(super) main_pid: u32,
}

/// Why systemd did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    #[error("the address is not of the form unix:path=FILE")]
    Address,
    #[error("could not talk with the bus: {0}")]
    Io(#[from] io::Error),
    #[error("the bus does not let the agent in")]
    NotLetIn,
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    #[error("no answer within {CALL:?}")]
    Late,
    #[error("{name}: {message}")]
    Method { name: String, message: String },
    #[error(
        "{name}: {message}; run the agent as root, or let polkit allow it org.freedesktop.systemd1.manage-units for this unit"
    )]
    Denied { name: String, message: String },
}

/// The way to systemd. A connection is kept for questions; a job has its own.
#[derive(Debug)]
pub(super) struct Bus {
    address: String,
    kept: Mutex<Option<Connection>>,
}

impl Bus {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            kept: Mutex::new(None),
        }
    }

    /// Asks for a unit; one that systemd does not know is `not-found`.
    pub(super) async fn unit(&self, name: &str) -> Result<Unit, BusError> {
        let mut kept = self.kept.lock().await;
        // Taken: one that fails, or is cut short, is not used again.
        let mut connection = match kept.take() {
            Some(open) => open,
            None => Connection::open(&self.address).await?,
        };
        let unit = connection.unit(name).await?;
        *kept = Some(connection);
        Ok(unit)
    }

    /// Runs `job` on a unit and waits for its end; its result, `done` for a success.
    pub(super) async fn run(&self, job: Job, unit: &str) -> Result<String, BusError> {
        let mut bus = Connection::open(&self.address).await?;
        // Before the job begins, or its end could be missed.
        bus.call(&to_bus("AddMatch", &[ENDS_OF_JOBS])).await?;
        bus.call(&to_manager("Subscribe", &[])).await?;
        let method = match job {
            Job::Start => {
                // A start limit that was reached would make this start fail as well.
                bus.call(&to_manager("ResetFailedUnit", &[unit])).await.ok();
                "StartUnit"
            }
            Job::Reload => "ReloadUnit",
        };
        let begun = bus.call(&to_manager(method, &[unit, "replace"])).await?;
        let job = text(begun)?;
        loop {
            let ended = bus.next_end().await?.values()?;
            if let [
                Value::Number(_),
                Value::Text(path),
                Value::Text(_),
                Value::Text(result),
            ] = &ended[..]
                && *path == job
            {
                return Ok(result.clone());
            }
        }
    }
}

const fn to_bus<'a>(method: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call {
        destination: BUS,
        path: BUS_PATH,
        interface: BUS,
        method,
        arguments,
    }
}

const fn to_manager<'a>(method: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call {
        destination: SYSTEMD,
        path: MANAGER_PATH,
        interface: MANAGER,
        method,
        arguments,
    }
}

/// A body that is one text.
fn text(body: Body) -> Result<String, BusError> {
    match body.values()?.into_iter().next() {
        Some(Value::Text(text)) => Ok(text),
        _ => Err(NotUnderstood("an answer without a text").into()),
    }
}

/// A connection that the bus has let in.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    serial: u32,
    ends: VecDeque<Body>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self, BusError> {
        let path = socket_of(address).ok_or(BusError::Address)?;
        let opening = async {
            let mut connection = Self {
                stream: UnixStream::connect(path).await?,
                serial: 0,
                ends: VecDeque::new(),
            };
            connection.introduce().await?;
            connection.call(&to_bus("Hello", &[])).await?;
            Ok(connection)
        };
        in_time(opening).await
    }

    /// The kernel tells the bus who we are; we only have to claim it (D-Bus
    /// specification, "Authentication protocol", EXTERNAL).
    async fn introduce(&mut self) -> Result<(), BusError> {
        let uid = nix::unistd::geteuid().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        let claim = format!("\0AUTH EXTERNAL {hex}\r\n");
        self.stream.write_all(claim.as_bytes()).await?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > LINE_BYTES {
                return Err(NotUnderstood("a line that does not end").into());
            }
            line.push(self.stream.read_u8().await?);
        }
        if !line.starts_with(b"OK ") {
            return Err(BusError::NotLetIn);
        }
        Ok(self.stream.write_all(b"BEGIN\r\n").await?)
    }

    async fn unit(&mut self, name: &str) -> Result<Unit, BusError> {
        let path = text(self.call(&to_manager("LoadUnit", &[name])).await?)?;
        let load_state = text(self.property(&path, UNIT, "LoadState").await?)?;
        if load_state != "loaded" {
            return Ok(Unit {
                load_state,
                active_state: "inactive".to_owned(),
                main_pid: 0,
            });
        }
        let main_pid = self.property(&path, SERVICE, "MainPID").await?.values()?;
        let [Value::Number(main_pid)] = main_pid[..] else {
            return Err(NotUnderstood("an answer without a number").into());
        };
        Ok(Unit {
            load_state,
            active_state: text(self.property(&path, UNIT, "ActiveState").await?)?,
            main_pid,
        })
    }

    async fn property(
        &mut self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<Body, BusError> {
        self.call(&Call {
            destination: SYSTEMD,
            path,
            interface: PROPERTIES,
            method: "Get",
            arguments: &[interface, name],
        })
        .await
    }

    async fn call(&mut self, call: &Call<'_>) -> Result<Body, BusError> {
        in_time(async {
            self.serial += 1;
            self.stream.write_all(&call.encode(self.serial)).await?;
            loop {
                match self.read().await? {
                    Said::Reply { to, body } if to == self.serial => return Ok(body),
                    Said::Error { to, name, message } if to == self.serial => {
                        let is_denied = name.ends_with(".AccessDenied")
                            || name.ends_with(".InteractiveAuthorizationRequired");
                        return Err(match is_denied {
                            true => BusError::Denied { name, message },
                            false => BusError::Method { name, message },
                        });
                    }
                    Said::Signal { member, body } if member == JOB_REMOVED => {
                        if self.ends.len() == QUEUED {
                            return Err(NotUnderstood("more ends of jobs than jobs").into());
                        }
                        self.ends.push_back(body);
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// The end of some job; waits for one.
    async fn next_end(&mut self) -> Result<Body, BusError> {
        if let Some(end) = self.ends.pop_front() {
            return Ok(end);
        }
        loop {
            if let Said::Signal { member, body } = self.read().await?
                && member == JOB_REMOVED
            {
                return Ok(body);
            }
        }
    }

    async fn read(&mut self) -> Result<Said, BusError> {
        let mut fixed = [0; FIXED];
        self.stream.read_exact(&mut fixed).await?;
        let lengths = Lengths::of(&fixed)?;
        let mut message = fixed.to_vec();
        message.resize(FIXED + lengths.rest(), 0);
        self.stream.read_exact(&mut message[FIXED..]).await?;
        Ok(Said::decode(&message)?)
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    tokio::time::timeout(CALL, call)
        .await
        .unwrap_or(Err(BusError::Late))
}

/// The path in the first address of the list that has one (D-Bus
/// specification, "Server addresses").
fn socket_of(address: &str) -> Option<PathBuf> {
    let escaped = address.split(';').find_map(|one| {
        let pairs = one.strip_prefix("unix:")?;
        pairs.split(',').find_map(|pair| pair.strip_prefix("path="))
    })?;
    let mut path = Vec::new();
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(path).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sockets_are_read() {
        for (address, path) in [
            (
                "unix:path=/run/dbus/system_bus_socket",
                Some("/run/dbus/system_bus_socket"),
            ),
            ("tcp:host=x;unix:guid=1,path=/a%20b", Some("/a b")),
            ("unix:abstract=/tmp/x", None),
            ("unix:path=/a%2", None),
            ("", None),
        ] {
            assert_eq!(socket_of(address), path.map(PathBuf::from), "{address}");
        }
    }
}
