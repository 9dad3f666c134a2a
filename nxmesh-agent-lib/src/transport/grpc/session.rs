//! The two halves of an open stream.

use async_trait::async_trait;
use bytes::Bytes;
use nxmesh_core::{
    contract::transport::{SessionReceiver, SessionSender, TransportError},
    model::AgentId,
    seal::stream::{MAX_FRAME_BYTES, Opener, Sealer},
    wire::{AgentMessage, MasterMessage},
};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::{MasterUrl, failure};

/// Seals messages and hands them to the stream.
#[derive(Debug)]
pub(super) struct GrpcSender {
    pub(super) agent_id: AgentId,
    pub(super) sealer: Sealer,
    pub(super) frames: mpsc::Sender<Bytes>,
}

#[async_trait]
impl SessionSender for GrpcSender {
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

/// Takes frames from the stream and opens their seals.
#[derive(Debug)]
pub(super) struct GrpcReceiver {
    pub(super) url: MasterUrl,
    pub(super) opener: Opener,
    /// `None` once the session is over.
    pub(super) frames: Option<Streaming<Bytes>>,
}

#[async_trait]
impl SessionReceiver for GrpcReceiver {
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError> {
        let Some(frames) = &mut self.frames else {
            return Err(TransportError::Closed);
        };
        let outcome = match frames.message().await {
            Ok(Some(frame)) => {
                self.opener
                    .open(&frame)
                    .map_err(|error| TransportError::NotGenuine {
                        reason: error.to_string(),
                    })
            }
            Ok(None) => {
                self.frames = None;
                return Ok(None);
            }
            Err(status) => Err(failure::classify(&self.url, &status)),
        };
        if outcome.is_err() {
            self.frames = None;
        }
        outcome.map(Some)
    }
}
