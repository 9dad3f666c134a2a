//! A server that answers with what it was asked.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

/// Starts it and returns its port. Each answer's body is the request: its first
/// line and its headers, one per line.
pub(crate) fn start() -> u16 {
    start_with(|request| ("200 OK", request.to_owned()))
}

/// Starts a server that answers as `answer` says of the request: with a status,
/// and with a body behind header lines of its own, if it begins with such.
pub(crate) fn start_with(
    answer: impl Fn(&str) -> (&'static str, String) + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("its address").port();
    serve_on(listener, answer);
    port
}

/// The same where a listener is there already.
pub(crate) fn serve_on(
    listener: TcpListener,
    answer: impl Fn(&str) -> (&'static str, String) + Send + Sync + 'static,
) {
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || serve(stream, &*answer));
        }
    });
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> (&'static str, String)) {
    let mut seen = Vec::new();
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|read| read > 2)
    {
        seen.extend_from_slice(line.strip_suffix(b"\r\n").unwrap_or(&line));
        seen.push(b'\n');
        line.clear();
    }
    let seen = String::from_utf8_lossy(&seen);
    // What is left unread when a connection is closed resets it.
    let length = seen.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse().ok()).flatten()
    });
    drop(io::copy(
        &mut reader.take(length.unwrap_or(0)),
        &mut io::sink(),
    ));
    let (status, body) = answer(&seen);
    let (headers, body) = body.split_once("\r\n\r\n").unwrap_or(("", &body));
    let headers = headers.trim_start();
    let line = if headers.is_empty() { "" } else { "\r\n" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}{line}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // Who asked may have gone.
    drop(stream.write_all((head + body).as_bytes()));
}
