//! What clients may send, and what they are told of nginx.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{ServerTokens, VirtualHostSpec},
};

use crate::{
    context::{Scene, maps::on_or_off},
    handlebars::record::record,
    token::Word,
};

record! {
    /// What clients may send.
    ClientRecord<'a> {
        header_timeout: Option<Word<'a>>,
        header_buffer: Option<Word<'a>>,
        large_headers_number: Option<Word<'a>>,
        large_headers_size: Option<Word<'a>>,
        ignore_invalid_headers: Option<Word<'a>>,
        underscores_in_headers: Option<Word<'a>>,
        body_timeout: Option<Word<'a>>,
        body_buffer: Option<Word<'a>>,
        send_timeout: Option<Word<'a>>,
        keepalive_timeout: Option<Word<'a>>,
        keepalive_requests: Option<Word<'a>>,
        keepalive_time: Option<Word<'a>>,
        merge_slashes: Option<Word<'a>>,
        reset_timed_out: Option<Word<'a>>,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    spec: &VirtualHostSpec,
) -> Result<Option<Box<ClientRecord<'a>>>, RenderError> {
    let Some(client) = &spec.client else {
        return Ok(None);
    };
    if client.keepalive.time.is_some() {
        scene.require("keepalive.time", (1, 19, 10))?;
    }
    let large = client.large_headers;
    Ok(Some(Box::new(ClientRecord {
        header_timeout: client.header_timeout.map(Word::own),
        header_buffer: client.header_buffer.map(Word::own),
        large_headers_number: large.map(|it| Word::number(it.number.into())),
        large_headers_size: large.map(|it| Word::own(it.size)),
        ignore_invalid_headers: client.ignore_invalid_headers.map(on_or_off),
        underscores_in_headers: client.underscores_in_headers.map(on_or_off),
        body_timeout: client.body_timeout.map(Word::own),
        body_buffer: client.body_buffer.map(Word::own),
        send_timeout: client.send_timeout.map(Word::own),
        keepalive_timeout: client.keepalive.timeout.map(Word::own),
        keepalive_requests: client
            .keepalive
            .requests
            .map(|requests| Word::number(requests.into())),
        keepalive_time: client.keepalive.time.map(Word::own),
        merge_slashes: client.merge_slashes.map(on_or_off),
        reset_timed_out: client.reset_timed_out.map(on_or_off),
    })))
}

/// nginx's word for what it tells of itself.
pub(super) fn tokens<'a>(
    scene: &Scene<'_>,
    spec: &VirtualHostSpec,
) -> Result<Option<Word<'a>>, RenderError> {
    if spec.server_tokens == Some(ServerTokens::Build) {
        scene.require("server_tokens: build", (1, 11, 10))?;
    }
    Ok(spec.server_tokens.map(|tokens| {
        Word::fixed(match tokens {
            ServerTokens::Name => "off",
            ServerTokens::Version => "on",
            ServerTokens::Build => "build",
        })
    }))
}
