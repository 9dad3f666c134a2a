//! Signatures of calls and seals of frames, against everything on the way.

use bytes::Bytes;
use nxmesh_core::{
    model::AgentId,
    seal::{
        SessionKey,
        request::{self, MAX_SKEW_MS, SignatureError, SignedHeaders},
        stream::{Direction, MAX_FRAME_BYTES, Opener, SealError, Sealer},
    },
    testkit::sample,
    wire::{
        AgentMessage, ConfigUpdate, LogBatch, LogLine, MasterMessage, agent_message, master_message,
    },
};
use proptest::prelude::*;
use prost::Message as _;

const METHOD: &str = "/nxmesh.agent.AgentService/ReportHealth";
const NOW: u64 = 1_700_000_000_000;

fn key(number: u8) -> SessionKey {
    SessionKey::new([number; 32])
}

fn signed() -> SignedHeaders {
    let agent: AgentId = sample::agent_id(1);
    SignedHeaders::sign(
        &key(1),
        agent,
        "key-1",
        NOW,
        "0123456789abcdef",
        METHOD,
        b"body",
    )
}

/// The headers as a peer gets them, with one of them replaced (`None`: removed).
fn read_with(name: &str, value: Option<&str>) -> Result<SignedHeaders, SignatureError> {
    let pairs = signed().pairs();
    SignedHeaders::read(|wanted| {
        if wanted == name {
            return value;
        }
        let found = pairs.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| &**value)
    })
}

#[test]
fn a_signed_call_is_verified() {
    let headers = read_with("", None).unwrap();
    assert_eq!(headers, signed());
    assert_eq!(headers.verify(&key(1), METHOD, b"body"), Ok(()));
}

#[test]
fn every_part_of_a_call_is_signed() {
    let mismatch = Err(SignatureError::Mismatch);
    let headers = signed();
    assert_eq!(headers.verify(&key(2), METHOD, b"body"), mismatch);
    assert_eq!(headers.verify(&key(1), METHOD, b"Body"), mismatch);
    assert_eq!(headers.verify(&key(1), METHOD, b""), mismatch);
    let other = "/nxmesh.agent.AgentService/ReportMetrics";
    assert_eq!(headers.verify(&key(1), other, b"body"), mismatch);
    let other_agent = sample::agent_id(2).to_string();
    for (name, value) in [
        (request::AGENT_ID, &*other_agent),
        (request::KEY_ID, "key-2"),
        (request::TIMESTAMP, "1700000000001"),
        (request::NONCE, "0123456789abcdeF"),
        (request::SIGNATURE, "AAAA"),
    ] {
        let headers = read_with(name, Some(value)).unwrap();
        assert_eq!(headers.verify(&key(1), METHOD, b"body"), mismatch, "{name}");
    }
}

#[test]
fn what_moves_between_headers_is_noticed() {
    // The same bytes in a row, cut at another place.
    let headers = SignedHeaders {
        key_id: "key-10123".to_owned(),
        nonce: "456789abcdef".to_owned(),
        ..signed()
    };
    let verified = headers.verify(&key(1), METHOD, b"body");
    assert_eq!(verified, Err(SignatureError::Mismatch));
}

#[test]
fn every_bit_of_the_signature_counts() {
    let headers = signed();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for place in 0..headers.signature.len() {
        for &byte in alphabet {
            let mut bytes = headers.signature.clone().into_bytes();
            if bytes[place] == byte {
                continue;
            }
            bytes[place] = byte;
            let signature = String::from_utf8(bytes).unwrap();
            let forged = SignedHeaders {
                signature,
                ..headers.clone()
            };
            assert!(forged.verify(&key(1), METHOD, b"body").is_err(), "{place}");
        }
    }
}

#[test]
fn missing_and_malformed_headers_are_named() {
    let long = "a".repeat(129);
    for name in [
        request::AGENT_ID,
        request::KEY_ID,
        request::TIMESTAMP,
        request::NONCE,
        request::SIGNATURE,
    ] {
        for value in [
            None,
            Some(""),
            Some("a b"),
            Some("ü"),
            Some("\n"),
            Some(&*long),
        ] {
            let read = read_with(name, value);
            assert_eq!(read, Err(SignatureError::Header(name)), "{value:?}");
        }
    }
    for (name, value) in [
        (request::AGENT_ID, "agent-1"),
        (request::AGENT_ID, "0190F3A1-7C5E-7CC0-9F43-000000000001"),
        (request::TIMESTAMP, "-1"),
        (request::TIMESTAMP, "99999999999999999999"),
        (request::NONCE, "0123456789abcde"),
    ] {
        let read = read_with(name, Some(value));
        assert_eq!(read, Err(SignatureError::Header(name)), "{value}");
    }
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let headers = signed();
    for now in [NOW, NOW - MAX_SKEW_MS, NOW + MAX_SKEW_MS] {
        assert_eq!(headers.verify_fresh(now), Ok(()));
    }
    for now in [NOW - MAX_SKEW_MS - 1, NOW + MAX_SKEW_MS + 1, 0, u64::MAX] {
        assert_eq!(headers.verify_fresh(now), Err(SignatureError::Skewed));
    }
}

#[test]
fn keys_are_not_shown() {
    let shown = format!("{:?}", SessionKey::new([0x41; 32]));
    assert_eq!(shown, "***");
    assert!(SessionKey::from_slice(&[0; 31]).is_none());
    assert!(SessionKey::from_slice(&[0; 33]).is_none());
}

fn nonce(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn pair() -> (Sealer, Opener) {
    let direction = Direction::ToAgent;
    (
        Sealer::new(key(1), nonce("session"), direction),
        Opener::new(key(1), nonce("session"), direction),
    )
}

fn update(number: u64) -> MasterMessage {
    MasterMessage {
        timestamp: NOW,
        sequence: number,
        payload: Some(master_message::Payload::ConfigUpdate(ConfigUpdate {
            version: number,
            config_id: format!("update {number}"),
            ..ConfigUpdate::default()
        })),
        ..MasterMessage::default()
    }
}

/// What was sealed, as the opener returns it: with its seal.
fn opened(opener: &mut Opener, frame: &[u8]) -> Result<Option<master_message::Payload>, SealError> {
    opener
        .open::<MasterMessage>(frame)
        .map(|message| message.payload)
}

#[test]
fn frames_are_opened_in_order() {
    let (mut sealer, mut opener) = pair();
    for number in 1..=300 {
        let frame = sealer.seal(&update(number));
        let payload = opened(&mut opener, &frame).unwrap();
        assert_eq!(payload, update(number).payload);
    }
}

#[test]
fn every_bit_of_a_frame_is_sealed() {
    let frame = pair().0.seal(&update(1));
    for place in 0..frame.len() {
        for bit in 0..8 {
            let mut forged = frame.to_vec();
            forged[place] ^= 1 << bit;
            let (_, mut opener) = pair();
            let result = opened(&mut opener, &forged);
            assert!(
                matches!(
                    result,
                    Err(SealError::Mismatch { sequence: 1 } | SealError::Malformed)
                ),
                "bit {bit} of byte {place}: {result:?}"
            );
        }
    }
}

#[test]
fn frames_cut_or_grown_are_refused() {
    let frame = pair().0.seal(&update(1));
    for length in 0..frame.len() {
        let (_, mut opener) = pair();
        assert!(opened(&mut opener, &frame[..length]).is_err(), "{length}");
        let (_, mut opener) = pair();
        assert!(
            opened(&mut opener, &frame[length + 1..]).is_err(),
            "{length}"
        );
    }
    for extra in [&[0_u8][..], &frame, &[0; 34]] {
        for grown in [[&frame, extra].concat(), [extra, &frame].concat()] {
            let (_, mut opener) = pair();
            assert!(opened(&mut opener, &grown).is_err(), "{extra:?}");
        }
    }
    let (_, mut opener) = pair();
    let long = vec![0; MAX_FRAME_BYTES + 1];
    assert!(matches!(
        opened(&mut opener, &long),
        Err(SealError::Malformed)
    ));
}

#[test]
fn a_frame_is_good_for_one_place_in_one_session_in_one_direction() {
    let (mut sealer, _) = pair();
    let frames = [1, 2, 3].map(|number| sealer.seal(&update(number)));
    let try_in_order = |order: &[usize], mut opener: Opener| {
        let mut results = order
            .iter()
            .map(|&index| opened(&mut opener, &frames[index]).is_ok());
        results.by_ref().take_while(|good| *good).count()
    };
    // How many are opened before one is refused: replay, order, gap.
    for (order, good) in [
        (&[0, 1, 2][..], 3),
        (&[0, 0], 1),
        (&[0, 1, 0], 2),
        (&[1, 0], 0),
        (&[0, 2], 1),
        (&[2], 0),
    ] {
        assert_eq!(try_in_order(order, pair().1), good, "{order:?}");
    }
    for (key_number, session, direction) in [
        (2, "session", Direction::ToAgent),
        (1, "Session", Direction::ToAgent),
        (1, "", Direction::ToAgent),
        (1, "session", Direction::ToMaster),
    ] {
        let opener = Opener::new(key(key_number), nonce(session), direction);
        assert_eq!(try_in_order(&[0], opener), 0, "{session} {direction:?}");
    }
}

#[test]
fn fields_of_a_newer_peer_are_sealed_too() {
    // A message with fields this release does not know, sealed by one that does.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Newer {
        #[prost(uint64, tag = "1")]
        timestamp: u64,
        #[prost(string, tag = "12")]
        more: String,
        #[prost(bytes = "bytes", tag = "14")]
        most: Bytes,
    }
    let newer = Newer {
        timestamp: 7,
        more: "unknown".to_owned(),
        most: Bytes::from_static(b"fields"),
    };
    let (mut sealer, mut opener) = pair();
    let frame = sealer.seal(&newer);
    let message: MasterMessage = opener.open(&frame).unwrap();
    assert_eq!(message.timestamp, 7);
    let place = frame
        .windows(7)
        .position(|part| part == b"unknown")
        .unwrap();
    let mut forged = frame.to_vec();
    forged[place] ^= 1;
    let (_, mut opener) = pair();
    let result = opener.open::<MasterMessage>(&forged);
    assert!(matches!(result, Err(SealError::Mismatch { .. })));
}

#[test]
fn a_sealed_frame_of_another_type_cannot_be_decoded() {
    let (mut sealer, mut opener) = pair();
    let log = LogLine {
        timestamp: 1,
        text: "\u{ff}".to_owned(),
    };
    let message = AgentMessage {
        agent_id: "an agent".to_owned(),
        payload: Some(agent_message::Payload::Logs(LogBatch {
            lines: vec![log],
            ..LogBatch::default()
        })),
        ..AgentMessage::default()
    };
    let result = opener.open::<MasterMessage>(&sealer.seal(&message));
    assert!(matches!(
        result,
        Err(SealError::Undecodable { sequence: 1, .. })
    ));
}

#[test]
fn the_seal_is_the_last_field() {
    let (mut sealer, _) = pair();
    let frame = sealer.seal(&update(1));
    let decoded = MasterMessage::decode(frame.clone()).unwrap();
    assert_eq!(decoded.seal.len(), 32);
    assert!(frame.ends_with(&decoded.seal));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever bytes arrive, nothing is opened and nothing breaks.
    #[test]
    fn noise_is_never_opened(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut opener) = pair();
        prop_assert!(opened(&mut opener, &noise).is_err());
        let sealed_looking = [&noise[..], &[0x7a, 32], &[0; 32]].concat();
        prop_assert!(opened(&mut opener, &sealed_looking).is_err());
    }

    #[test]
    fn other_bodies_do_not_verify(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let verified = signed().verify(&key(1), METHOD, &body);
        prop_assert_eq!(verified.is_ok(), body == b"body");
    }
}
