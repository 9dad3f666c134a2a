//! What clients may send.

use super::Found;
use crate::model::{ClientSettings, value::SizeBytes};

pub(super) fn check(client: &ClientSettings, found: &mut Found) {
    let mut size = |field: &str, size: Option<SizeBytes>, (least, most), rule| {
        if size.is_some_and(|size| !(least..=most).contains(&size.bytes())) {
            found.say(format!("/spec/client/{field}"), rule);
        }
    };
    size(
        "header_buffer",
        client.header_buffer,
        (128, 1 << 20),
        "the memory for headers is 128 bytes to 1m, for example 1k",
    );
    size(
        "body_buffer",
        client.body_buffer,
        (1 << 10, 1 << 30),
        "the memory for a body is 1k to 1g, for example 16k",
    );
    size(
        "large_headers/size",
        client.large_headers.map(|it| it.size),
        (1 << 10, 1 << 20),
        "the memory for a large header is 1k to 1m, for example 8k",
    );
    if client
        .large_headers
        .is_some_and(|it| !(1..=64).contains(&it.number))
    {
        found.say(
            "/spec/client/large_headers/number",
            "there are 1 to 64 pieces of memory for large headers",
        );
    }
    let requests = client.keepalive.requests;
    if requests.is_some_and(|requests| !(1..=1_000_000).contains(&requests)) {
        found.say(
            "/spec/client/keepalive/requests",
            "a connection is kept for 1 to 1000000 requests",
        );
    }
}
