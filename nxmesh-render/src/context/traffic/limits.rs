//! Limits, and the memory in which they count.
//!
//! nginx keeps the memory of a zone over a reload and refuses another key or
//! size under its name, so a zone is named after all that it is: another key,
//! rate or size is another zone.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        traffic::{ConnectionLimit, LimitKey, RateLimit, RequestLimit},
        value::{Network, SizeBytes, StatusCode},
    },
};

use super::Preamble;
use crate::{
    context::{Scene, location::conditions, maps::header_variable},
    handlebars::record::{Item, record},
    token::{Part, QuoteError, Word, quote_parts},
};

record! {
    /// Memory outside of all servers, and how it is counted in it.
    ZoneRecord<'a> {
        name: Word<'a>,
        size: Word<'a>,
        /// The variable that is counted by.
        key: Word<'a>,
        /// Of requests; absent for connections.
        rate: Option<Word<'a>>,
        /// Where some clients are not counted, how.
        except: Option<ExceptRecord<'a>>,
    }
}

record! {
    /// A key that is empty for some clients.
    ExceptRecord<'a> {
        /// The variable that tells whether a client is one of them.
        test: Word<'a>,
        networks: Vec<Item<'a>>,
        /// What is counted by for the others.
        key: Word<'a>,
    }
}

record! {
    /// A limit that counts in a zone.
    LimitRecord<'a> {
        zone: Word<'a>,
        connections: Option<Word<'a>>,
        burst: Option<Word<'a>>,
        nodelay: bool,
        delay: Option<Word<'a>>,
    }
}

/// Enough for about 160,000 addresses.
const DEFAULT_SIZE: &str = "10m";

/// The limits of requests; their zones are added to `preamble`.
pub(super) fn requests<'a>(
    scene: &Scene<'_>,
    limit: &RateLimit,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<LimitRecord<'a>>, RenderError> {
    let mut records = Vec::new();
    for one in &limit.limits {
        let rate = one.rate.part_of(limit.agents.unwrap_or(1)).to_string();
        let counted = counted(limit, one, preamble).map_err(|error| scene.unrenderable(error))?;
        let zone = preamble.zone(&counted, one.zone_size, Some(&rate), &limit.except);
        let burst = one.burst.filter(|burst| *burst > 0);
        let without_delay = one.without_delay.filter(|it| *it > 0);
        let nodelay = burst.is_some() && without_delay == burst;
        if without_delay.is_some() && !nodelay {
            scene.require("a burst that is delayed in part", (1, 15, 7))?;
        }
        records.push(LimitRecord {
            zone,
            connections: None,
            burst: burst.map(|burst| Word::number(burst.into())),
            nodelay,
            delay: without_delay
                .filter(|_| !nodelay)
                .map(|it| Word::number(it.into())),
        });
    }
    Ok(records)
}

/// The limits of connections; their zones are added to `preamble`.
pub(super) fn connections<'a>(
    _scene: &Scene<'_>,
    limit: &ConnectionLimit,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<LimitRecord<'a>>, RenderError> {
    let records = limit.limits.iter().map(|one| LimitRecord {
        zone: preamble.zone(&variable(&one.key), one.zone_size, None, &[]),
        connections: Some(Word::number(one.connections.into())),
        burst: None,
        nodelay: false,
        delay: None,
    });
    Ok(records.collect())
}

/// The variable that requests are counted by; it is empty for those that the limit is
/// not for.
fn counted(
    limit: &RateLimit,
    one: &RequestLimit,
    preamble: &mut Preamble<'_>,
) -> Result<String, QuoteError> {
    let key = variable(&one.key);
    let (tests, fulfilled) = match &one.when {
        Some(when) => (conditions(when, preamble)?, "1"),
        None if one.otherwise => {
            let mut tiers = Vec::new();
            for when in limit.limits.iter().filter_map(|it| it.when.as_deref()) {
                let tests = conditions(when, preamble)?;
                tiers.push(all(
                    &tests,
                    "1",
                    Word::number(1),
                    Word::number(0),
                    preamble,
                )?);
            }
            (tiers, "0")
        }
        None => return Ok(key),
    };
    let key = Word::made_variable(key);
    all(&tests, fulfilled, key, Word::empty(), preamble)
}

/// The variable that is `then` where each of `tests` is the digit, else `otherwise`.
fn all<'a>(
    tests: &[String],
    digit: &str,
    then: Word<'a>,
    otherwise: Word<'a>,
    preamble: &mut Preamble<'a>,
) -> Result<String, QuoteError> {
    let source = quote_parts(tests.iter().map(|name| Part::Variable(name)))?.into_owned();
    let rows = vec![(Word::own(digit.repeat(tests.len())), then)];
    Ok(preamble.map(source, rows, otherwise))
}

/// What refused requests get.
pub(super) fn status<'a>(status: Option<StatusCode>) -> Word<'a> {
    Word::number(status.map_or(429, |status| status.get().into()))
}

impl Preamble<'_> {
    /// The name of a zone; it is added if it is not there yet.
    fn zone<'w>(
        &mut self,
        variable: &str,
        size: Option<SizeBytes>,
        rate: Option<&str>,
        except: &[Network],
    ) -> Word<'w> {
        let size = size.map_or_else(|| DEFAULT_SIZE.to_owned(), |size| size.to_string());
        let networks: Vec<String> = except.iter().map(ToString::to_string).collect();
        let kind = if rate.is_some() {
            "requests"
        } else {
            "connections"
        };
        let parts = [kind, variable, &size, rate.unwrap_or_default()];
        let parts = parts.into_iter().chain(networks.iter().map(String::as_str));
        let id = self.id(parts);
        let name = format!("nxmesh_limit_{id}");
        let known = self.zones.iter().any(|zone| zone.name == Word::own(&name));
        if !known {
            self.zones.push(ZoneRecord {
                name: Word::own(&name),
                size: Word::own(size),
                key: Word::made_variable(if networks.is_empty() {
                    variable.to_owned()
                } else {
                    format!("nxmesh_key_{id}")
                }),
                rate: rate.map(Word::own),
                except: (!networks.is_empty()).then(|| ExceptRecord {
                    test: Word::made_variable(format!("nxmesh_except_{id}")),
                    networks: networks.iter().map(|it| Item(Word::own(it))).collect(),
                    key: Word::made_variable(variable),
                }),
            });
        }
        Word::own(name)
    }
}

/// The name of nginx's variable, without `$`.
fn variable(key: &LimitKey) -> String {
    match key {
        LimitKey::RemoteAddr => "binary_remote_addr".to_owned(),
        LimitKey::Host => "server_name".to_owned(),
        LimitKey::RequestUri => "request_uri".to_owned(),
        LimitKey::Header(name) => header_variable(name.as_str()),
    }
}
