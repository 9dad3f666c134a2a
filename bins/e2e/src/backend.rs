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
    told: Arc<Told>,
}

/// What the threads of a server are told.
#[derive(Debug, Default)]
struct Told {
    stop: AtomicBool,
    fail: AtomicBool,
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
        let told = Arc::<Told>::default();
        let heard = Arc::clone(&told);
        let answers = ["200 OK", "503 Service Unavailable"].map(|status| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            )
        });
        let answers = Arc::new(answers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if heard.stop.load(Ordering::Relaxed) {
                    return;
                }
                let fails = usize::from(heard.fail.load(Ordering::Relaxed));
                let answers = Arc::clone(&answers);
                // A client that goes away early is its own business.
                thread::spawn(move || drop(serve(stream, &answers[fails])));
            }
        });
        Ok(Self { port, told })
    }

    /// From now on it answers with status 503, or with 200 again.
    pub fn fail(&self, fail: bool) {
        self.told.fail.store(fail, Ordering::Relaxed);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.on_loopback()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.told.stop.store(true, Ordering::Relaxed);
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
