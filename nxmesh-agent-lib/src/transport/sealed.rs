//! The two halves of an open session: messages within, sealed frames outside.

use std::{fmt, pin::Pin};

use async_trait::async_trait;
use base64::{
    Engine as _,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use nxmesh_core::{
    contract::{
        clock::Clock,
        transport::{Credentials, Session, SessionReceiver, SessionSender, TransportError},
    },
    model::AgentId,
    seal::{
        request::{SESSION_NONCE, SignedHeaders},
        stream::{Direction, MAX_FRAME_BYTES, Opener, Sealer},
    },
    wire::{AgentMessage, MasterMessage},
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _};
use uuid::Uuid;

/// Frames that may wait for the network before `send` waits.
pub(super) const FRAMES_IN_FLIGHT: usize = 16;

pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Frames from the master; an error is the last.
pub(super) type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Signs a call of `method` with `body`.
pub(super) fn signed(
    credentials: &Credentials,
    clock: &dyn Clock,
    method: &str,
    body: &[u8],
) -> SignedHeaders {
    SignedHeaders::sign(
        &credentials.session_key,
        credentials.agent_id.clone(),
        &credentials.key_id,
        clock.unix_millis(),
        Uuid::new_v4().simple().to_string(),
        method,
        body,
    )
}

/// The session that was opened with the nonce `own` and answered with `headers`.
pub(super) fn session(
    credentials: &Credentials,
    own: &str,
    headers: &HeaderMap,
    outgoing: mpsc::Sender<Bytes>,
    incoming: Frames,
) -> Result<Session, TransportError> {
    let nonce = session_nonce(headers, own)?;
    let key = &credentials.session_key;
    Ok(Session {
        sender: Box::new(SealedSender {
            agent_id: credentials.agent_id.clone(),
            sealer: Sealer::new(key.clone(), nonce.clone(), Direction::ToMaster),
            frames: outgoing,
        }),
        receiver: Box::new(SealedReceiver {
            opener: Opener::new(key.clone(), nonce, Direction::ToAgent),
            frames: Some(incoming),
        }),
    })
}

/// What the session's seals are bound to: the master's nonce, so that the
/// agent's frames cannot be replayed to it, then the agent's own, so that the
/// master's cannot be replayed to the agent.
fn session_nonce(answer: &HeaderMap, own: &str) -> Result<Bytes, TransportError> {
    let masters = answer
        .get(SESSION_NONCE)
        .and_then(|value| BASE64.decode(value.as_bytes()).ok())
        .filter(|nonce| (16..=64).contains(&nonce.len()))
        .ok_or_else(|| TransportError::NotGenuine {
            reason: format!("the master's answer has no usable {SESSION_NONCE}"),
        })?;
    let mut nonce = BytesMut::from(&masters[..]);
    nonce.extend_from_slice(own.as_bytes());
    Ok(nonce.freeze())
}

/// Seals messages and hands them to the connection.
#[derive(Debug)]
struct SealedSender {
    agent_id: AgentId,
    sealer: Sealer,
    frames: mpsc::Sender<Bytes>,
}

#[async_trait]
impl SessionSender for SealedSender {
    async fn send(&mut self, mut message: AgentMessage) -> Result<(), TransportError> {
        // Room first: a frame sealed and not sent would leave a gap in the sequence.
        let room = self
            .frames
            .reserve()
            .await
            .map_err(|_| TransportError::Closed)?;
        message.agent_id = self.agent_id.to_string();
        message.sequence = self.sealer.next_sequence();
        message.seal = Bytes::new();
        let frame = self.sealer.seal(&message);
        if frame.len() > MAX_FRAME_BYTES {
            return Err(TransportError::Refused {
                reason: format!("a message is longer than {MAX_FRAME_BYTES} bytes"),
            });
        }
        room.send(frame);
        Ok(())
    }
}

/// Takes frames from the connection and opens their seals.
struct SealedReceiver {
    opener: Opener,
    /// `None` once the session is over.
    frames: Option<Frames>,
}

impl fmt::Debug for SealedReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedReceiver")
            .field("over", &self.frames.is_none())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionReceiver for SealedReceiver {
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError> {
        let Some(frames) = &mut self.frames else {
            return Err(TransportError::Closed);
        };
        let outcome = match frames.next().await {
            Some(Ok(frame)) => {
                self.opener
                    .open(&frame)
                    .map_err(|error| TransportError::NotGenuine {
                        reason: error.to_string(),
                    })
            }
            None => {
                self.frames = None;
                return Ok(None);
            }
            Some(Err(error)) => Err(error),
        };
        if outcome.is_err() {
            self.frames = None;
        }
        outcome.map(Some)
    }
}
