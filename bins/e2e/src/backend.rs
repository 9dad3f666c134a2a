//! A web server of a few lines, to stand behind an upstream.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::port::Port;

/// Answers every request with the same text, until it is dropped.
#[derive(Debug)]
pub struct Backend {
    port: Port,
    stop: Arc<AtomicBool>,
}

impl Backend {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn start(answer: &str) -> Result<Self> {
        let port = Port::take()?;
        let listener = TcpListener::bind(port.on_loopback()).context("could not listen")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let answer: Arc<str> = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )
        .into();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                // A client that goes away early is its own business.
                thread::spawn(move || drop(serve(stream, &answer)));
            }
        });
        Ok(Self { port, stop })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.on_loopback()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection; it then sees the flag.
        drop(TcpStream::connect(self.address()));
    }
}

fn serve(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") && request.len() < 64 << 10 {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    stream.write_all(answer.as_bytes())
}
