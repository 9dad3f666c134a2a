//! Sealed frames of a stream.
//!
//! A frame is an encoded protobuf message whose last field is `seal` (number
//! 15): HMAC-SHA256 over all bytes before it, bound to the session's nonce, the
//! direction and the frame's place in the stream. Covering the bytes as they
//! travel, not a decoded form, lets peers of different versions talk: fields
//! one side does not know are covered all the same.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;

use super::SessionKey;

/// Key of field 15, wire type 2, and the length 32 (protobuf encoding guide, "Message Structure").
const SEAL_HEADER: [u8; 2] = [15 << 3 | 2, 32];
const SEAL_LEN: usize = SEAL_HEADER.len() + 32;

/// The longest frame taken, in bytes.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Which way a frame goes; a frame sent back to its sender is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the agent.
    ToMaster,
    /// From the master.
    ToAgent,
}

impl Direction {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::ToMaster => b"nxmesh-stream-1 to master",
            Self::ToAgent => b"nxmesh-stream-1 to agent",
        }
    }
}

/// Why a frame is not taken. The session is over then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not sealed, or longer than [`MAX_FRAME_BYTES`].
    #[error("a frame has no seal or is longer than {MAX_FRAME_BYTES} bytes")]
    Malformed,
    /// The seal does not match: forged, changed, replayed or out of order.
    #[error("the seal of frame {sequence} does not match")]
    Mismatch {
        /// The place the frame was expected to have.
        sequence: u64,
    },
    /// Sealed rightly, but not a message of the expected type.
    #[error("frame {sequence} cannot be decoded")]
    Undecodable {
        /// Its place in the stream.
        sequence: u64,
        /// What is wrong with it.
        source: prost::DecodeError,
    },
}

/// One direction of one session: its key and the place of the next frame.
#[derive(Debug)]
struct Channel {
    key: SessionKey,
    nonce: Bytes,
    direction: Direction,
    /// From 1.
    next: u64,
}

impl Channel {
    fn parts<'a>(&'a self, sequence: &'a [u8; 8], body: &'a [u8]) -> [&'a [u8]; 4] {
        [self.direction.label(), &self.nonce, sequence, body]
    }
}

/// Seals the frames one side sends.
#[derive(Debug)]
pub struct Sealer(Channel);

impl Sealer {
    /// Begins a direction of the session named by `nonce`.
    #[must_use]
    pub fn new(key: SessionKey, nonce: Bytes, direction: Direction) -> Self {
        Self(Channel {
            key,
            nonce,
            direction,
            next: 1,
        })
    }

    /// The sequence the next frame gets, to be written into its message.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.0.next
    }

    /// Encodes and seals a message, whose `seal` field must be empty.
    #[must_use]
    pub fn seal(&mut self, message: &impl Message) -> Bytes {
        let mut frame = BytesMut::with_capacity(message.encoded_len() + SEAL_LEN);
        // Growing a BytesMut does not fail, so encoding into it does not either.
        frame.put(message.encode_to_vec().as_slice());
        let tag = self
            .0
            .key
            .mac(self.0.parts(&self.0.next.to_be_bytes(), &frame));
        frame.put_slice(&SEAL_HEADER);
        frame.put_slice(&tag);
        self.0.next += 1;
        frame.freeze()
    }
}

/// Opens the frames one side receives.
#[derive(Debug)]
pub struct Opener(Channel);

impl Opener {
    /// Begins a direction of the session named by `nonce`.
    #[must_use]
    pub fn new(key: SessionKey, nonce: Bytes, direction: Direction) -> Self {
        Self(Channel {
            key,
            nonce,
            direction,
            next: 1,
        })
    }

    /// Checks the seal of the next frame and decodes it.
    ///
    /// # Errors
    ///
    /// [`SealError`]; no later frame can be opened then.
    pub fn open<M: Message + Default>(&mut self, frame: &[u8]) -> Result<M, SealError> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(SealError::Malformed);
        }
        let (body, seal) = frame
            .split_last_chunk::<SEAL_LEN>()
            .ok_or(SealError::Malformed)?;
        let tag = seal
            .strip_prefix(&SEAL_HEADER)
            .ok_or(SealError::Malformed)?;
        let sequence = self.0.next;
        if !self
            .0
            .key
            .verifies(self.0.parts(&sequence.to_be_bytes(), body), tag)
        {
            return Err(SealError::Mismatch { sequence });
        }
        self.0.next += 1;
        M::decode(body).map_err(|source| SealError::Undecodable { sequence, source })
    }
}
