//! A line to a master that tests can cut or freeze.

use std::sync::Arc;

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Connections to the server, which the test can cut or freeze.
pub(super) struct Line {
    pipes: Arc<std::sync::Mutex<JoinSet<()>>>,
    frozen: CancellationToken,
    tasks: JoinSet<()>,
}

impl Line {
    pub(super) async fn lay(server: std::net::SocketAddr) -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut line = Self {
            pipes: Arc::default(),
            frozen: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        let (pipes, frozen) = (Arc::clone(&line.pipes), line.frozen.clone());
        line.tasks.spawn(async move {
            loop {
                let (mut agent, _) = listener.accept().await.unwrap();
                let mut master = TcpStream::connect(server).await.unwrap();
                let frozen = frozen.clone();
                pipes.lock().unwrap().spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut agent, &mut master) => {}
                        // Held open, and nothing goes through any more.
                        () = frozen.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        (line, port)
    }

    pub(super) fn cut(&self) {
        self.pipes.lock().unwrap().abort_all();
    }

    /// Nothing goes through any more, and nobody is told.
    pub(super) fn freeze(&self) {
        self.frozen.cancel();
    }
}
