//! Proof of origin on the wire, secrecy at rest.
//!
//! - [`request`]: headers that sign a call and the opening of a stream.
//! - [`stream`]: frames of a stream, each with a sequence and a seal.

mod key;
pub mod request;
#[cfg(feature = "wire")]
pub mod stream;

pub use key::SessionKey;
