//! A FastCGI server that answers with what it was asked (FastCGI 1.0).

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const END_REQUEST: u8 = 3;

/// Starts it and returns its port. Each answer's body is the parameters, one per
/// line as `NAME=value`, an empty line and the body of the request; with a parameter
/// `COUNTED` also how many requests there were. One for `/broken` is answered with 500.
pub(crate) fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().flatten().enumerate() {
            thread::spawn(move || answer(stream, count + 1));
        }
    });
    port
}

fn answer(mut stream: TcpStream, count: usize) {
    let (mut params, mut body) = (Vec::new(), Vec::new());
    loop {
        let mut header = [0; 8];
        if stream.read_exact(&mut header).is_err() {
            return;
        }
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        stream.read_exact(&mut content).expect("its content");
        content.truncate(length);
        match header[1] {
            PARAMS => params.extend(content),
            STDIN if length == 0 => break,
            STDIN => body.extend(content),
            _ => {}
        }
    }
    let mut text = Vec::new();
    let mut rest = &params[..];
    while !rest.is_empty() {
        let (name, value) = (length(&mut rest), length(&mut rest));
        let (pair, others) = rest.split_at(name + value);
        text.extend_from_slice(&pair[..name]);
        text.push(b'=');
        text.extend_from_slice(&pair[name..]);
        text.push(b'\n');
        rest = others;
    }
    text.push(b'\n');
    text.extend(body);
    let told = |line: &str| {
        String::from_utf8_lossy(&text)
            .lines()
            .any(|it| it.starts_with(line))
    };
    let status = if told("REQUEST_URI=/broken") {
        "500 Broken"
    } else {
        "200 OK"
    };
    let (is_head, is_counted) = (told("REQUEST_METHOD=HEAD"), told("COUNTED="));
    if is_head {
        text.clear();
    } else if is_counted {
        text.extend(format!("SEEN={count}\n").bytes());
    }
    // With its length, or nginx sends it in pieces that end anywhere.
    let head = format!(
        "Status: {status}\r\nContent-Type: text/plain\r\nX-Secret: hidden\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    text.splice(0..0, head.into_bytes());
    for part in text.chunks(60_000) {
        record(&mut stream, STDOUT, part);
    }
    record(&mut stream, STDOUT, &[]);
    record(&mut stream, END_REQUEST, &[0; 8]);
}

/// Of a name or value: one byte, or four of which the first bit is set.
fn length(rest: &mut &[u8]) -> usize {
    let (length, read) = match rest {
        [short @ 0..=127, ..] => (usize::from(*short), 1),
        [a, b, c, d, ..] => (u32::from_be_bytes([a & 0x7f, *b, *c, *d]) as usize, 4),
        _ => panic!("a length is cut off"),
    };
    *rest = &rest[read..];
    length
}

fn record(stream: &mut TcpStream, kind: u8, content: &[u8]) {
    let length = u16::try_from(content.len()).expect("a short answer");
    let [high, low] = length.to_be_bytes();
    let mut bytes = vec![1, kind, 0, 1, high, low, 0, 0];
    bytes.extend_from_slice(content);
    stream.write_all(&bytes).expect("answer");
}
