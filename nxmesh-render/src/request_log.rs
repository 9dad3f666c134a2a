//! The line that nginx writes to a socket for each request, for whoever counts
//! them: how it is asked for, and how it is read.

use std::path::Path;

use crate::{
    placement,
    token::{self, Word},
};

/// Marks our lines among whatever else reaches the socket.
const TAG: &str = "nxmesh";

/// Tabs part the fields: in values of variables nginx writes them otherwise.
pub(crate) const FORMAT: &str = "log_format nxmesh_requests \
     \"$status\\t$request_time\\t$bytes_sent\\t$upstream_response_time\\t$server_name\";\n";

/// The words of `access_log` that lead to `socket`, quoted.
pub(crate) fn target(socket: &Path) -> Result<Word<'static>, String> {
    let address = placement::socket_address(socket)?;
    // nginx would take what follows for another parameter.
    if address.contains(',') {
        return Err("it has a ','".to_owned());
    }
    let target = format!("syslog:server={address},nohostname,tag={TAG}");
    token::quote(&target)
        .map(Word::into_owned)
        .map_err(|error| error.to_string())
}

/// One request, as nginx tells of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request<'a> {
    /// The status of the response, 100 to 599, or what the host made up.
    pub status: u16,
    /// Seconds from its first byte to the last byte of the response.
    pub seconds: f64,
    /// Bytes of the response with its headers.
    pub bytes: u64,
    /// Seconds that upstream servers took, together; `None` if none was asked.
    pub upstream_seconds: Option<f64>,
    /// The first name of the server that answered; empty if it has none.
    pub server_name: &'a str,
}

impl<'a> Request<'a> {
    /// Reads one datagram: `<190>Nov 27 01:50:28 nxmesh: …`. `None` for what is no
    /// line of ours.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(datagram).ok()?;
        let (head, line) = text.split_once(": ")?;
        if !head.starts_with('<') || head.rsplit(' ').next() != Some(TAG) {
            return None;
        }
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let (status, seconds) = (next()?.parse().ok()?, seconds(next()?)?);
        let (bytes, upstream, server_name) = (next()?.parse().ok()?, next()?, next()?);
        let upstream_seconds = match upstream {
            "-" | "" => None,
            times => Some(total(times)?),
        };
        let whole = next().is_none() && server_name.bytes().all(|byte| byte >= b' ');
        whole.then_some(Self {
            status,
            seconds,
            bytes,
            upstream_seconds,
            server_name: if server_name == "-" { "" } else { server_name },
        })
    }
}

/// One time for each server asked, `-` for one that was not reached (nginx manual,
/// `$upstream_response_time`).
fn total(times: &str) -> Option<f64> {
    times
        .split([',', ':'])
        .map(str::trim)
        .filter(|time| *time != "-")
        .try_fold(0.0, |total, time| Some(total + seconds(time)?))
}

fn seconds(text: &str) -> Option<f64> {
    // Neither a sign nor an exponent, nor words for what is no number.
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_what_is_none_is_not() {
        let line = b"<190>Nov 27 01:50:28 nxmesh: 502\t0.012\t345\t0.004, - : 0.006\tshop.example";
        let expected = Request {
            status: 502,
            seconds: 0.012,
            bytes: 345,
            upstream_seconds: Some(0.01),
            server_name: "shop.example",
        };
        assert_eq!(Request::parse(line), Some(expected));
        let plain = Request::parse(b"<190>Nov  7 01:50:28 nxmesh: 200\t0.000\t5\t-\t").unwrap();
        assert_eq!((plain.server_name, plain.upstream_seconds), ("", None));
        for bad in [
            "",
            "<190>",
            "<190>Nov 27 01:50:28 nginx: 200\t0.0\t5\t-\ta",
            "Nov 27 01:50:28 nxmesh: 200\t0.0\t5\t-\ta",
            "<190>Nov 27 01:50:28 nxmesh: 200\t0.0\t5\t-",
            "<190>Nov 27 01:50:28 nxmesh: 200\t0.0\t5\t-\ta\tb",
            "<190>Nov 27 01:50:28 nxmesh: 200\t0.0\t5\t-\ta\nb",
            "<190>Nov 27 01:50:28 nxmesh: 200\t-1\t5\t-\ta",
            "<190>Nov 27 01:50:28 nxmesh: 200\tinf\t5\t-\ta",
            "<190>Nov 27 01:50:28 nxmesh: 200\tNaN\t5\t-\ta",
            "<190>Nov 27 01:50:28 nxmesh: 200\t1e9\t5\t-\ta",
            "<190>Nov 27 01:50:28 nxmesh: 99999\t0\t5\t-\ta",
        ] {
            assert_eq!(Request::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Request::parse(b"<190>a nxmesh: 200\t0\t5\t-\t\xff"), None);
    }

    #[test]
    fn a_socket_that_nginx_would_misread_is_refused() {
        let to = target(Path::new("/run/nx/requests.sock")).unwrap();
        assert_eq!(
            to.to_string(),
            "\"syslog:server=unix:/run/nx/requests.sock,nohostname,tag=nxmesh\""
        );
        for bad in ["relative", "/run/a,b", &"/x".repeat(60)] {
            assert!(target(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
