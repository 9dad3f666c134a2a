//! A connection to a bus: opened, let in, and asked.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::wire::{Body, Call, FIXED, Lengths, NotUnderstood, Said};

/// The bus itself, as its clients call it.
pub(super) const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);
/// Signals that may wait to be read while an answer is awaited.
const QUEUED: usize = 1024;
/// The longest line while both sides agree who they are.
const LINE_BYTES: usize = 1024;

/// Why the bus, or who was asked through it, did not do as it was asked.
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

/// A connection that the bus has let in.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    serial: u32,
    signals: VecDeque<Body>,
    /// The signal that is wanted; others are passed over.
    wanted: Option<&'static str>,
}

/// A call to the bus itself.
pub(super) const fn to_bus<'a>(method: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call {
        destination: BUS,
        path: BUS_PATH,
        interface: BUS,
        method,
        arguments,
    }
}

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self, BusError> {
        let path = socket_of(address).ok_or(BusError::Address)?;
        let opening = async {
            let mut connection = Self {
                stream: UnixStream::connect(path).await?,
                serial: 0,
                signals: VecDeque::new(),
                wanted: None,
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

    /// Asks for the signals that match `rule`, which are called `member`.
    pub(super) async fn listen(
        &mut self,
        rule: &str,
        member: &'static str,
    ) -> Result<(), BusError> {
        self.wanted = Some(member);
        self.call(&to_bus("AddMatch", &[rule])).await.map(drop)
    }

    /// Calls a method and waits for its answer.
    pub(super) async fn call(&mut self, call: &Call<'_>) -> Result<Body, BusError> {
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
                    Said::Signal { member, body } if self.wanted == Some(&member) => {
                        if self.signals.len() == QUEUED {
                            return Err(NotUnderstood("more signals than calls").into());
                        }
                        self.signals.push_back(body);
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// The next signal that is listened for; waits for one.
    pub(super) async fn next_signal(&mut self) -> Result<Body, BusError> {
        if let Some(signal) = self.signals.pop_front() {
            return Ok(signal);
        }
        loop {
            if let Said::Signal { member, body } = self.read().await?
                && self.wanted == Some(&member)
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
