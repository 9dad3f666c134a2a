//! A `MasterMessage` whose configuration is encoded already.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use nxmesh_core::wire::ConfigUpdate;
use prost::{
    DecodeError, Message,
    encoding::{
        DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len,
        skip_field, uint64,
    },
};

const TIMESTAMP: u32 = 1;
const CONFIG_UPDATE: u32 = 3;
const SEQUENCE: u32 = 9;

/// Encodes as a `MasterMessage` with a `ConfigUpdate`, copying the shared
/// bytes of the content instead of encoding it for each agent.
#[derive(Default)]
pub(super) struct UpdateFrame {
    pub(super) timestamp: u64,
    pub(super) envelope: ConfigUpdate,
    /// The rest of the update, encoded.
    pub(super) inline: Bytes,
    pub(super) sequence: u64,
}

impl UpdateFrame {
    fn update_len(&self) -> usize {
        self.envelope.encoded_len() + self.inline.len()
    }
}

impl fmt::Debug for UpdateFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateFrame")
            .field("envelope", &self.envelope)
            .finish_non_exhaustive()
    }
}

impl Message for UpdateFrame {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        uint64::encode(TIMESTAMP, &self.timestamp, buffer);
        encode_key(CONFIG_UPDATE, WireType::LengthDelimited, buffer);
        encode_varint(self.update_len() as u64, buffer);
        self.envelope.encode_raw(buffer);
        buffer.put_slice(&self.inline);
        uint64::encode(SEQUENCE, &self.sequence, buffer);
    }

    fn encoded_len(&self) -> usize {
        let update = self.update_len();
        uint64::encoded_len(TIMESTAMP, &self.timestamp)
            + key_len(CONFIG_UPDATE)
            + encoded_len_varint(update as u64)
            + update
            + uint64::encoded_len(SEQUENCE, &self.sequence)
    }

    /// Frames of this kind are only sent.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_core::wire::{MasterMessage, VirtualHost, master_message::Payload};

    use super::*;

    #[test]
    fn it_reads_as_the_message_it_stands_for() {
        let content = ConfigUpdate {
            virtual_hosts: vec![VirtualHost {
                name: "shop".to_owned(),
                document: Bytes::from_static(b"{}"),
            }],
            removed: vec!["Upstream/old".to_owned()],
            ..ConfigUpdate::default()
        };
        let envelope = ConfigUpdate {
            config_id: "abc".to_owned(),
            version: 7,
            epoch: 1,
            digest: Bytes::from_static(&[1; 32]),
            ..ConfigUpdate::default()
        };
        let frame = UpdateFrame {
            timestamp: 12,
            envelope: envelope.clone(),
            inline: content.encode_to_vec().into(),
            sequence: 3,
        };
        let encoded = frame.encode_to_vec();
        assert_eq!(encoded.len(), frame.encoded_len());
        let expected = MasterMessage {
            timestamp: 12,
            payload: Some(Payload::ConfigUpdate(ConfigUpdate {
                virtual_hosts: content.virtual_hosts,
                removed: content.removed,
                ..envelope
            })),
            sequence: 3,
            seal: Bytes::new(),
        };
        assert_eq!(MasterMessage::decode(&encoded[..]), Ok(expected));
    }
}
