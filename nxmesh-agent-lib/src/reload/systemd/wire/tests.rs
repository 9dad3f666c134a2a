//! Messages as another side writes them, and bytes that are none.

use proptest::prelude::*;

use super::*;

/// The message of the specification's own kind: a signal with `uoss`.
fn job_removed(order: u8) -> Vec<u8> {
    let number = |n: u32| match order {
        b'B' => n.to_be_bytes(),
        _ => n.to_le_bytes(),
    };
    let string = |bytes: &mut Vec<u8>, text: &str| {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(number(text.len() as u32));
        bytes.extend(text.as_bytes());
        bytes.push(0);
    };
    let mut body = number(7).to_vec();
    for text in ["/org/freedesktop/systemd1/job/7", "nginx.service", "done"] {
        string(&mut body, text);
    }
    let mut message = vec![order, SIGNAL, 1, 1];
    message.extend(number(body.len() as u32));
    message.extend(number(9));
    message.extend(number(0));
    for (code, text) in [(MEMBER, "JobRemoved"), (7, ":1.3")] {
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend([code, 1, b's', 0]);
        string(&mut message, text);
    }
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend([SIGNATURE, 1, b'g', 0, 4]);
    message.extend(b"uoss\0");
    let fields = (message.len() - FIXED) as u32;
    message[12..16].copy_from_slice(&number(fields));
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}

#[test]
fn signals_are_read_in_both_orders() {
    for order in [b'l', b'B'] {
        let bytes = job_removed(order);
        let lengths = Lengths::of(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(FIXED + lengths.rest(), bytes.len());
        let Said::Signal { member, body } = Said::decode(&bytes).unwrap() else {
            panic!("no signal");
        };
        assert_eq!(member, "JobRemoved");
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            body.values().unwrap(),
            [
                Value::Number(7),
                text("/org/freedesktop/systemd1/job/7"),
                text("nginx.service"),
                text("done")
            ]
        );
    }
}

#[test]
fn what_is_cut_off_or_too_long_is_refused() {
    let bytes = job_removed(b'l');
    for length in 0..bytes.len() {
        assert!(Said::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    let mut long = bytes;
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Lengths::of(long.first_chunk().unwrap()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_do_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200, with: u8) {
        Said::decode(&bytes).map(drop).unwrap_or_default();
        bytes = job_removed(b'l');
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        if let Ok(Said::Signal { body, .. }) = Said::decode(&bytes) {
            body.values().map(drop).unwrap_or_default();
        }
    }
}
