//! Carries frames between a WebSocket and the conversation behind it.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use nxmesh_core::{seal::stream::MAX_FRAME_BYTES, wire::http::CLOSE_CODES};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use tonic::Status;
use tracing::debug;

use crate::config::Keepalive;

/// How long the two sides may take to part.
const GOODBYE: Duration = Duration::from_secs(2);
/// Per connection; thousands of agents are to cost little.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// What is taken from a peer, at most.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        // Every message is written at once.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_FRAME_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
}

/// Works until one side closes, is gone or was silent for too long.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    incoming: mpsc::Sender<Result<Bytes, Status>>,
    outgoing: mpsc::Receiver<Result<Bytes, Status>>,
    keepalive: Keepalive,
) {
    let (sink, stream) = socket.split();
    let mut reading = pin!(read(stream, incoming, keepalive.patience()));
    let mut writing = pin!(write(sink, outgoing, keepalive.interval));
    // Either end brings the other about. The socket is not dropped between:
    // what is unread then would take back what was written last (RFC 1122, 4.2.2.13).
    let parted = tokio::select! {
        () = &mut reading => timeout(GOODBYE, writing).await,
        () = &mut writing => timeout(GOODBYE, reading).await,
    };
    if parted.is_err() {
        debug!("an agent was let go without a goodbye");
    }
}

/// Hands frames on until the peer closes, breaks the protocol or says nothing
/// for `patience`, not even the answer to a ping.
async fn read(
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    incoming: mpsc::Sender<Result<Bytes, Status>>,
    patience: Duration,
) {
    let mut incoming = Some(incoming);
    loop {
        let message = match timeout(patience, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return debug!(%error, "a WebSocket ended"),
            Ok(None) => return,
            Err(_) => return debug!(?patience, "an agent was silent for too long"),
        };
        match (message, &incoming) {
            (Message::Binary(frame), Some(to)) => {
                let handed_on = to.send(Ok(frame)).await;
                // With the conversation over the rest is read for the goodbye.
                incoming = incoming.filter(|_| handed_on.is_ok());
            }
            // Reading on sends the answer to it.
            (Message::Close(_) | Message::Text(_), _) => incoming = None,
            _ => {}
        }
    }
}

/// Sends frames until there are no more, then closes; pings while there are none.
async fn write(
    mut sink: impl Sink<Message, Error = Error> + Unpin,
    mut outgoing: mpsc::Receiver<Result<Bytes, Status>>,
    interval: Duration,
) {
    loop {
        let message = match timeout(interval, outgoing.recv()).await {
            Ok(Some(Ok(frame))) => Message::Binary(frame),
            Ok(Some(Err(status))) => {
                // A close frame has room for 123 bytes of reason.
                let words = Message::text(status.message());
                drop(sink.send(words).await);
                let code = u16::try_from(i32::from(status.code())).unwrap_or_default();
                return close(sink, CLOSE_CODES + code).await;
            }
            Ok(None) => return close(sink, 1000).await,
            Err(_) => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

async fn close(mut sink: impl Sink<Message, Error = Error> + Unpin, code: u16) {
    let frame = CloseFrame {
        code: code.into(),
        reason: "".into(),
    };
    // A peer that closed first has nobody to tell.
    drop(sink.send(Message::Close(Some(frame))).await);
}
