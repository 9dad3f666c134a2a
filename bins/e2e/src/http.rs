//! HTTP/1.1 by hand: the caller decides on every connection.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::tls;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// No answer of ours is longer.
const MAX_BYTES: usize = 16 << 20;

/// What is asked of whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whom to connect to.
    pub address: SocketAddr,
    /// The name asked for: `Host`, and with TLS the server name.
    pub host: String,
    /// The path, with a query if there is one.
    pub path: String,
    /// Whether to speak TLS.
    pub tls: bool,
}

impl Target {
    /// `http://host/path` at `address`.
    #[must_use]
    pub fn http(address: SocketAddr, host: &str, path: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            path: path.to_owned(),
            tls: false,
        }
    }

    /// `https://host/path` at `address`.
    #[must_use]
    pub fn https(address: SocketAddr, host: &str, path: &str) -> Self {
        Self {
            tls: true,
            ..Self::http(address, host, path)
        }
    }

    /// Asks on a connection of its own.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub fn get(&self) -> Result<Response, Failure> {
        let mut connection = Connection::open(self)?;
        connection.send(&self.request("GET", &["Connection: close"], b""))
    }

    /// The bytes of a request.
    #[must_use]
    pub fn request(&self, method: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
        let mut request = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", self.path, self.host);
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// For example 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without framing.
    pub body: Vec<u8>,
    /// The leaf certificate the server showed, in DER; empty without TLS.
    pub certificate: Vec<u8>,
}

impl Response {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody listens, or nobody accepted in time.
    Connect(io::Error),
    /// The TLS handshake failed.
    Handshake(io::Error),
    /// The connection ended before the first byte of an answer.
    Unanswered(io::Error),
    /// The answer ended in its middle.
    CutShort(io::Error),
    /// It is not HTTP.
    Malformed(&'static str),
}

impl Failure {
    /// A few words to count by.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "not connected",
            Self::Handshake(_) => "handshake failed",
            Self::Unanswered(_) => "closed without an answer",
            Self::CutShort(_) => "cut short",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error)
            | Self::Handshake(error)
            | Self::Unanswered(error)
            | Self::CutShort(error) => write!(f, "{}: {error}", self.kind()),
            Self::Malformed(what) => write!(f, "{}: {what}", self.kind()),
        }
    }
}

impl std::error::Error for Failure {}

/// A connection that may carry several requests, one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    certificate: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<tls::Stream>),
}

impl Connection {
    /// Connects, with TLS if the target wants it.
    ///
    /// # Errors
    ///
    /// [`Failure::Connect`] or [`Failure::Handshake`].
    pub fn open(target: &Target) -> Result<Self, Failure> {
        let stream =
            TcpStream::connect_timeout(&target.address, TIMEOUT).map_err(Failure::Connect)?;
        let prepare = || -> io::Result<()> {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))
        };
        prepare().map_err(Failure::Connect)?;
        if !target.tls {
            return Ok(Self {
                stream: Stream::Plain(stream),
                certificate: Vec::new(),
            });
        }
        let (stream, certificate) =
            tls::connect(stream, &target.host).map_err(Failure::Handshake)?;
        Ok(Self {
            stream: Stream::Tls(Box::new(stream)),
            certificate,
        })
    }

    /// Sends a whole request and reads its answer.
    ///
    /// # Errors
    ///
    /// When there is no whole answer; the connection is of no use then.
    pub fn send(&mut self, request: &[u8]) -> Result<Response, Failure> {
        let head_only = request.starts_with(b"HEAD ");
        let written = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(request),
            Stream::Tls(stream) => stream.write_all(request).and_then(|()| stream.flush()),
        };
        written.map_err(Failure::Unanswered)?;
        let mut received = Received::default();
        let head = loop {
            if let Some(head) = received.head()? {
                break head;
            }
            if self.read_into(&mut received)? == 0 {
                let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(if received.bytes.is_empty() {
                    Failure::Unanswered(closed)
                } else {
                    Failure::CutShort(closed)
                });
            }
        };
        if head.header("transfer-encoding").is_some() {
            return Err(Failure::Malformed("chunks are not understood here"));
        }
        let no_body = head_only || matches!(head.status, 204 | 304);
        let length = match head.header("content-length").map(str::parse::<usize>) {
            _ if no_body => Some(0),
            Some(Ok(length)) if length <= MAX_BYTES => Some(length),
            Some(_) => return Err(Failure::Malformed("the length makes no sense")),
            None => None,
        };
        loop {
            let have = received.bytes.len() - head.end;
            match length {
                Some(length) if length <= have => {
                    let body = received.bytes[head.end..head.end + length].to_vec();
                    return Ok(head.with_body(body, self.certificate.clone()));
                }
                _ => {}
            }
            if self.read_into(&mut received)? == 0 {
                return match length {
                    // Only the end of the connection says where such a body ends.
                    None => {
                        let body = received.bytes[head.end..].to_vec();
                        Ok(head.with_body(body, self.certificate.clone()))
                    }
                    Some(_) => Err(Failure::CutShort(io::ErrorKind::UnexpectedEof.into())),
                };
            }
        }
    }

    fn read_into(&mut self, received: &mut Received) -> Result<usize, Failure> {
        let mut buffer = [0; 16 << 10];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut buffer),
            Stream::Tls(stream) => stream.read(&mut buffer),
        };
        let count = read.map_err(|error| {
            if received.bytes.is_empty() {
                Failure::Unanswered(error)
            } else {
                Failure::CutShort(error)
            }
        })?;
        received.bytes.extend_from_slice(&buffer[..count]);
        if received.bytes.len() > MAX_BYTES {
            return Err(Failure::Malformed("the answer is too long"));
        }
        Ok(count)
    }
}

#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    /// Where the body begins.
    end: usize,
}

impl Received {
    fn head(&self) -> Result<Option<Head>, Failure> {
        let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&self.bytes[..at]);
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or(Failure::Malformed("no status line"))?;
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or(Failure::Malformed("a header without a colon"))?;
        Ok(Some(Head {
            status,
            headers,
            end: at + 4,
        }))
    }
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn with_body(self, body: Vec<u8>, certificate: Vec<u8>) -> Response {
        Response {
            status: self.status,
            headers: self.headers,
            body,
            certificate,
        }
    }
}
