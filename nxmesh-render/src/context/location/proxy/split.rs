//! Requests that go to other upstreams by share.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Split, SplitKey},
};

use crate::{
    context::{Scene, maps, traffic::Preamble},
    token::Word,
};

/// The name of the variable that holds the upstream of a request.
pub(super) fn variable<'a>(
    scene: &Scene<'_>,
    split: &Split,
    rest: &str,
    preamble: &mut Preamble<'a>,
) -> Result<String, RenderError> {
    let key = match &split.key {
        SplitKey::RemoteAddr => Word::variable("remote_addr"),
        SplitKey::RequestId => {
            scene.require("the variable request_id", (1, 11, 0))?;
            Word::variable("request_id")
        }
        SplitKey::Header(name) => or_address(maps::header_variable(name.as_str()), preamble),
        SplitKey::Cookie(name) => or_address(format!("cookie_{name}"), preamble),
    };
    let mut rows = Vec::with_capacity(split.shares.len() + 1);
    let mut left = 10_000;
    for share in &split.shares {
        left -= share.percent.hundredths().min(left);
        let name = Word::own(scene.upstream(&share.upstream)?);
        // nginx rounds down, so a few keys of four thousand million would have no
        // share if the last one were not for all that is left.
        rows.push(if left == 0 {
            (Word::fixed("*"), name)
        } else {
            (Word::percent(share.percent), name)
        });
    }
    if left > 0 {
        rows.push((Word::fixed("*"), Word::own(rest)));
    }
    Ok(preamble.split(key, rows))
}

/// A variable, or the client's address where it is empty.
fn or_address<'a>(variable: String, preamble: &mut Preamble<'a>) -> Word<'a> {
    let value = Word::made_variable(variable);
    let rows = vec![(Word::empty(), Word::variable("remote_addr"))];
    Word::made_variable(preamble.map(value.clone(), rows, value))
}
