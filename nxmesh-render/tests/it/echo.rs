//! A server that answers with what it was asked.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

/// Starts it and returns its port. Each answer's body is the request: its first
/// line and its headers, one per line.
pub(crate) fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(mut stream: TcpStream) {
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
    let length = seen.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("answer");
    stream.write_all(&seen).expect("answer");
}
