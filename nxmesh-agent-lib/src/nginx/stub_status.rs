//! What nginx tells of its connections (nginx manual, `ngx_http_stub_status_module`).

use std::{collections::BTreeSet, io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

/// What nginx needs for it.
const MODULE: &str = "http_stub_status_module";
const DEADLINE: Duration = Duration::from_secs(2);
/// More than any answer.
const ANSWER_LIMIT: u64 = 4096;

/// Connections of clients, those of the agent included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StubStatus {
    /// Accepted since nginx started; so are the next two.
    pub(crate) accepted: u64,
    pub(crate) handled: u64,
    pub(crate) requests: u64,
    /// Open now, reading a request; so are the next two.
    pub(crate) reading: u64,
    pub(crate) writing: u64,
    /// Idle.
    pub(crate) waiting: u64,
}

/// Whether an nginx with these modules can count connections; taken for granted if
/// they are not known.
pub(crate) fn is_built_in(modules: Option<&BTreeSet<String>>) -> bool {
    modules.is_none_or(|modules| modules.contains(MODULE))
}

/// Asks nginx on its probe socket.
pub(crate) async fn read(socket: &Path) -> io::Result<StubStatus> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let request = b"GET /nxmesh/stub_status HTTP/1.0\r\nHost: nxmesh\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
        parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    timeout(DEADLINE, asked).await?
}

fn parse(answer: &str) -> Option<StubStatus> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let words: Vec<&str> = body.split_ascii_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    // Three headings in one line, three numbers in the next.
    let totals = words.iter().position(|word| *word == "requests")?;
    let total = |index: usize| words.get(totals + 1 + index)?.parse().ok();
    Some(StubStatus {
        accepted: total(0)?,
        handled: total(1)?,
        requests: total(2)?,
        reading: after("Reading:")?,
        writing: after("Writing:")?,
        waiting: after("Waiting:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_another_is_not() {
        let body = "Active connections: 4 \nserver accepts handled requests\n 11 10 31 \n\
                    Reading: 1 Writing: 2 Waiting: 3 \n";
        let answer = format!("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n{body}");
        let read = parse(&answer).unwrap();
        assert_eq!((read.accepted, read.handled, read.requests), (11, 10, 31));
        assert_eq!((read.reading, read.writing, read.waiting), (1, 2, 3));
        for bad in [
            body.to_owned(),
            answer.replace("200", "404"),
            answer.replace("31", "-31"),
            answer.replace("Waiting: 3", "Waiting:"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }
}
