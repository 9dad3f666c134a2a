//! Carries frames between a WebSocket and the two halves of a session.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _};
use nxmesh_core::{
    contract::transport::TransportError, seal::stream::MAX_FRAME_BYTES, wire::http::CLOSE_CODES,
};
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
use tonic::Code;

use crate::transport::{MasterUrl, failure, options::Keepalive};

/// How long the two sides may take to part.
const GOODBYE: Duration = Duration::from_secs(1);
const READ_BUFFER_BYTES: usize = 16 << 10;

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

/// Works until the session is dropped, or the master closes it, is gone or was
/// silent for too long.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    url: MasterUrl,
    outgoing: mpsc::Receiver<Bytes>,
    incoming: mpsc::Sender<Result<Bytes, TransportError>>,
    keepalive: Keepalive,
) {
    let (sink, stream) = socket.split();
    let reading = read(stream, &url, incoming, keepalive.patience());
    let mut reading = pin!(reading.fuse());
    let mut writing = pin!(write(sink, outgoing, keepalive.interval).fuse());
    tokio::select! {
        // What was said last still goes out, when it was the agent that ended it.
        () = &mut reading => drop(timeout(GOODBYE, writing).await),
        // The master hears all that was said before the end, and answers. What
        // keeps from writing, reading finds out as well.
        () = &mut writing => reading.await,
    }
}

/// Hands frames over until the end of the session, which it tells unless the
/// master closed in order.
async fn read(
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    url: &MasterUrl,
    incoming: mpsc::Sender<Result<Bytes, TransportError>>,
    patience: Duration,
) {
    let mut words = String::new();
    let end = loop {
        let next = tokio::select! {
            () = incoming.closed() => return,
            next = timeout(patience, stream.next()) => next,
        };
        match next {
            Ok(Some(Ok(Message::Binary(frame)))) => {
                if incoming.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
            // Why it will close.
            Ok(Some(Ok(Message::Text(text)))) => words = text.to_string(),
            Ok(Some(Ok(Message::Close(frame)))) => break closed(url, frame.as_ref(), &words),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => break Some(failure::unreachable(url, broken(&error))),
            Ok(None) => break Some(failure::unreachable(url, "the connection broke")),
            Err(_) => {
                let words = format!("nothing was heard of the master for {patience:?}");
                break Some(failure::unreachable(url, words));
            }
        }
    };
    if let Some(error) = end {
        drop(incoming.send(Err(error)).await);
    }
    drop(incoming);
    // Sends the answer to a goodbye, and waits for the end of the connection.
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    drop(timeout(GOODBYE, rest).await);
}

/// What the master means by closing; `None` for a goodbye in order.
fn closed(url: &MasterUrl, frame: Option<&CloseFrame>, words: &str) -> Option<TransportError> {
    let code = frame.map_or(1005, |frame| frame.code.into());
    match code {
        1000 => None,
        CLOSE_CODES.. => {
            let code = Code::from_i32((code - CLOSE_CODES).into());
            Some(failure::told(url, code, words))
        }
        _ => {
            let words = format!("the connection was closed with code {code}");
            Some(failure::unreachable(url, words))
        }
    }
}

fn broken(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Protocol(error) => format!("the connection broke: {error}"),
        _ => error.to_string(),
    }
}

/// Sends frames until there are no more, then closes; pings while there are none.
async fn write(
    mut sink: impl Sink<Message, Error = Error> + Unpin,
    mut outgoing: mpsc::Receiver<Bytes>,
    interval: Duration,
) {
    loop {
        let message = match timeout(interval, outgoing.recv()).await {
            Ok(Some(frame)) => Message::Binary(frame),
            Ok(None) => {
                let frame = CloseFrame {
                    code: 1000.into(),
                    reason: "".into(),
                };
                // A peer that closed first has nobody to tell.
                return drop(sink.send(Message::Close(Some(frame))).await);
            }
            Err(_) => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}
