//! The way through an HTTP proxy, by CONNECT (RFC 9110, section 9.3.6).

use std::{fmt, io, net::IpAddr, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Uri;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use zeroize::Zeroizing;

use super::MasterUrl;

/// The longest head of an answer that is read, in bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// An HTTP proxy that leads to the master: `http://HOST:PORT`, with
/// `USER:PASSWORD@` before the host where it asks for them. TLS goes through
/// it untouched, and the master's name is left to it to resolve. A master on
/// the machine itself is reached without.
///
/// ```
/// use nxmesh_agent_lib::transport::Proxy;
///
/// let proxy: Proxy = "http://agent:secret@proxy.example.com:3128".parse().unwrap();
/// let proxy = proxy.except("10.0.0.0/8, .internal");
/// assert!(proxy.leads_to(&"https://master.example.com".parse().unwrap()));
/// assert!(!proxy.leads_to(&"https://master.internal".parse().unwrap()));
/// assert!(!format!("{proxy:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Proxy {
    /// Host and port.
    authority: String,
    /// The value of `Proxy-Authorization`.
    authorization: Option<Zeroizing<String>>,
    exceptions: Vec<Exception>,
}

/// The text does not say where a proxy is. It is not repeated, as it may hold
/// a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a proxy is http://, a host and a port, for example http://proxy.example.com:3128 or http://USER:PASSWORD@proxy.example.com:3128; proxies that want TLS themselves are not supported"
)]
pub struct InvalidProxy;

/// Whom a proxy does not lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    who: Who,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    All,
    Net(IpNet),
    /// This name and those that end with it after a dot.
    Domain(String),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("authority", &self.authority)
            .field("exceptions", &self.exceptions)
            .finish_non_exhaustive()
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        // Tools that read such variables take the scheme as given.
        let whole = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let uri: Uri = whole.parse().map_err(|_| InvalidProxy)?;
        let authority = uri.authority().ok_or(InvalidProxy)?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme_str() != Some("http") || !bare || authority.host().is_empty() {
            return Err(InvalidProxy);
        }
        let (user, place) = match authority.as_str().rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority.as_str()),
        };
        let named = place.strip_prefix(authority.host()).ok_or(InvalidProxy)?;
        let port: u16 = match named.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| InvalidProxy)?,
            None => 80,
        };
        Ok(Self {
            authority: format!("{}:{port}", authority.host()),
            authorization: user.map(authorization),
            exceptions: Vec::new(),
        })
    }
}

/// Basic credentials (RFC 7617) of `user:password`, each percent-encoded.
fn authorization(user: &str) -> Zeroizing<String> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain = Zeroizing::new(percent_decode_str(name).collect::<Vec<u8>>());
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(&*plain)))
}

impl Proxy {
    /// Leaves masters out, as `NO_PROXY` does: names, which stand for those
    /// below them too, addresses and networks, each with a port or without,
    /// separated by commas; `*` is everyone. What is none of these is ignored.
    #[must_use]
    pub fn except(mut self, list: &str) -> Self {
        let entries = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        self.exceptions.extend(entries.map(exception));
        self
    }

    /// Whether a master is reached through this proxy.
    #[must_use]
    pub fn leads_to(&self, master: &MasterUrl) -> bool {
        let host = master.host().to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_here = host == "localhost" || address.is_some_and(|it| it.is_loopback());
        let excepted = self.exceptions.iter().any(|exception| {
            let who = match (&exception.who, address) {
                (Who::All, _) => true,
                (Who::Net(net), Some(address)) => net.contains(&address),
                (Who::Domain(name), None) => host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
                _ => false,
            };
            who && exception.port.is_none_or(|port| port == master.port())
        });
        !is_here && !excepted
    }

    /// A connection that the proxy passes on to `target`, a host and a port.
    pub(super) async fn connect(&self, target: &str) -> io::Result<TcpStream> {
        let failed = |what: &dyn fmt::Display| {
            io::Error::other(format!("the proxy {}: {what}", self.authority))
        };
        let mut stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|error| failed(&error))?;
        let mut request =
            Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(|error| failed(&error))?;
        let head = head(&mut stream).await.map_err(|error| failed(&error))?;
        let line = head.lines().next().unwrap_or_default();
        match line.split(' ').nth(1) {
            Some(status) if line.starts_with("HTTP/1.") && status.starts_with('2') => Ok(stream),
            Some("407") => Err(failed(
                &"it wants a user and a password (407), or others than it was given: http://USER:PASSWORD@HOST:PORT",
            )),
            _ => Err(failed(&format!("to CONNECT {target} it answered {line:?}"))),
        }
    }
}

/// The head of the proxy's answer, and no byte more: those are the master's.
async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD_BYTES {
            return Err(io::Error::other("its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn exception(entry: &str) -> Exception {
    let all_ports = |who| Exception { who, port: None };
    if entry == "*" {
        return all_ports(Who::All);
    }
    if let Some(net) = network(entry) {
        return all_ports(Who::Net(net));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (entry, None),
    };
    let who = match network(host.trim_start_matches('[').trim_end_matches(']')) {
        Some(net) => Who::Net(net),
        None => {
            let name = host.trim_start_matches('*').trim_start_matches('.');
            Who::Domain(name.to_ascii_lowercase())
        }
    };
    Exception { who, port }
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn proxy() -> Proxy {
        "http://proxy:3128".parse().unwrap()
    }

    #[test]
    fn addresses_are_taken_with_and_without_scheme_port_and_user() {
        for (text, authority, user) in [
            ("http://proxy", "proxy:80", None),
            ("proxy:3128", "proxy:3128", None),
            ("http://[2001:db8::1]:3128/", "[2001:db8::1]:3128", None),
            ("http://a:b@proxy:1", "proxy:1", Some("a:b")),
            ("http://a%40b:p%3Aw%2F@proxy:1", "proxy:1", Some("a@b:p:w/")),
            ("http://token@proxy", "proxy:80", Some("token:")),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.authority, authority);
            let expected = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
            let told = proxy.authorization.as_deref().cloned();
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_without_repeating_it() {
        for text in [
            "",
            "https://proxy:3128",
            "socks5://proxy:1080",
            "http://",
            "http://u:secret@",
            "http://u:secret@proxy:port",
            "http://proxy/path",
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn exceptions_are_names_addresses_networks_and_ports() {
        for (list, url, leads) in [
            ("", "https://master.example", true),
            ("*", "https://master.example", false),
            ("example", "https://master.example", false),
            (".example", "https://master.example", false),
            ("*.example", "https://master.example", false),
            ("MASTER.example", "https://master.example", false),
            ("ter.example", "https://master.example", true),
            (
                "other, master.example:8443",
                "https://master.example",
                false,
            ),
            ("master.example:1", "https://master.example", true),
            ("10.0.0.0/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("10.1.2.3:8443", "https://10.1.2.3", false),
            ("[2001:db8::1]:1", "https://[2001:db8::1]:1", false),
            ("2001:db8::/32", "https://[2001:db8::1]", false),
            ("0.0.0.0/0", "https://master.example", true),
            ("", "https://localhost", false),
            ("", "https://127.0.0.1", false),
            ("", "https://[::1]", false),
        ] {
            let url = url.parse().unwrap();
            assert_eq!(proxy().except(list).leads_to(&url), leads, "{list:?} {url}");
        }
    }

    #[tokio::test]
    async fn what_a_proxy_refuses_is_said_and_its_answer_is_bounded() {
        for (answer, said) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".to_owned(),
                "407",
            ),
            (
                "HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\n".to_owned(),
                "403 Forbidden",
            ),
            ("SSH-2.0-x\r\n\r\n".to_owned(), "SSH-2.0"),
            ("HTTP/1.1 200 OK\r\n".to_owned(), "end of file"),
            (
                format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(1 << 20)),
                "too long",
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let answering = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 64];
                let length = stream.read(&mut asked).await.unwrap();
                stream.write_all(answer.as_bytes()).await.ok();
                String::from_utf8_lossy(&asked[..length]).into_owned()
            });
            let proxy: Proxy = address.to_string().parse().unwrap();
            let error = proxy.connect("master:8443").await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(error.contains(&address.to_string()), "{error}");
            let asked = answering.await.unwrap();
            assert!(
                asked.starts_with("CONNECT master:8443 HTTP/1.1\r\n"),
                "{asked}"
            );
        }
    }
}
