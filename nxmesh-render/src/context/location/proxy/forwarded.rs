//! What the upstream is told about where a request came from.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Forwarded, ForwardedPolicy, RequestHeader},
};

use super::{RequestHeaderRecord, sets};
use crate::{
    context::{Scene, traffic::Preamble},
    token::{Word, quote},
};

/// A header, the variable of what a client sent in it, and of what is true.
const HEADERS: [(&str, &str, &str); 5] = [
    ("X-Forwarded-For", "http_x_forwarded_for", "remote_addr"),
    ("X-Forwarded-Proto", "http_x_forwarded_proto", "scheme"),
    ("X-Real-IP", "http_x_real_ip", "remote_addr"),
    ("X-Forwarded-Host", "http_x_forwarded_host", "host"),
    ("X-Forwarded-Port", "http_x_forwarded_port", "server_port"),
];

/// The headers of `forwarded`, but those that the user set.
pub(in crate::context::location) fn headers<'a>(
    scene: &Scene<'_>,
    forwarded: Option<&Forwarded>,
    set: &[RequestHeader],
    preamble: &mut Preamble<'a>,
) -> Result<Vec<RequestHeaderRecord<'a>>, RenderError> {
    let mut records = Vec::new();
    let Some(forwarded) = forwarded else {
        return Ok(records);
    };
    let removes = forwarded.policy == ForwardedPolicy::Remove;
    let trusted = (!forwarded.trusted.is_empty()).then(|| preamble.geo(&forwarded.trusted));
    for (name, sent, truth) in HEADERS {
        let wanted = match name {
            "X-Forwarded-Host" => forwarded.host || removes,
            "X-Forwarded-Port" => forwarded.port || removes,
            _ => true,
        };
        if !wanted || sets(set, name) {
            continue;
        }
        let truth = Word::variable(truth);
        let told = match forwarded.policy {
            ForwardedPolicy::Remove => Some(Word::empty()),
            ForwardedPolicy::Append if name == "X-Forwarded-For" => {
                Some(Word::variable("proxy_add_x_forwarded_for"))
            }
            ForwardedPolicy::Pass => {
                let rows = vec![(Word::empty(), truth.clone())];
                let sent = Word::variable(sent);
                Some(Word::made_variable(preamble.map(sent.clone(), rows, sent)))
            }
            ForwardedPolicy::AsSent if trusted.is_none() => continue,
            ForwardedPolicy::AsSent => Some(Word::variable(sent)),
            ForwardedPolicy::Append | ForwardedPolicy::Replace => None,
        };
        let value = match (told, &trusted) {
            (Some(told), Some(trusted)) if !removes => {
                let rows = vec![(Word::number(1), told)];
                Word::made_variable(preamble.map(Word::made_variable(trusted), rows, truth))
            }
            (Some(told), _) => told,
            (None, _) => truth,
        };
        let name = quote(name).map_err(|error| scene.unrenderable(error))?;
        records.push(RequestHeaderRecord { name, value });
    }
    Ok(records)
}
