//! The agent protocol where HTTP/2 does not get through: HTTP/1.1 on the same port.
//!
//! Signatures, seals and messages are those of gRPC; a call is signed for its
//! path here. [`STREAM`] is a WebSocket (RFC 6455) with one sealed frame per
//! binary message. The others are plain `POST` requests beside it and not
//! frames within it: an agent enrols before it can sign a stream, a large bundle
//! does not hold up what else the stream has to say, and reports are for agents
//! whose stream does not last.

/// `GET` with an upgrade to WebSocket; signed, without a body. The answer
/// carries [`SESSION_NONCE`](crate::seal::request::SESSION_NONCE).
pub const STREAM: &str = "/agent/v1/stream";

/// `POST` of a `RegisterAgentRequest`; unsigned. Answered by a
/// `RegisterAgentResponse`.
pub const REGISTER: &str = "/agent/v1/register";

/// `POST` of a `FetchBundleRequest`; signed. Answered by the bytes of the
/// bundle from the offset to its end, bare.
pub const BUNDLE: &str = "/agent/v1/bundle";

/// `POST` of a `HealthReport`; signed. Answered by an `Ack`.
pub const HEALTH: &str = "/agent/v1/health";

/// `POST` of a `MetricsBatch`; signed. Answered by an `Ack`.
pub const METRICS: &str = "/agent/v1/metrics";

/// The type of messages in bodies.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// Header of an answer that is no success: the code gRPC would have, as a
/// number. The body has the words. Without it the answer is not a master's but
/// that of something on the way to it. Beside it,
/// [`MASTER_TIME`](crate::seal::request::MASTER_TIME) is told as in gRPC.
pub const STATUS: &str = "x-nxmesh-status";

/// A master that ends a session for a reason sends the words as a text message
/// and closes with this code plus the one gRPC would have (RFC 6455, section
/// 7.4.2, leaves 4000 to 4999 to applications).
pub const CLOSE_CODES: u16 = 4000;
