//! A text of documents, read one after the other: a document is typed before
//! the next is read, so that a large text costs what its resources cost.

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Deserializer, de::DeserializeSeed};
use serde_json::Value;
use serde_saphyr::{Error, UserMessageFormatter};

use super::{
    Broken, MAX_DOCUMENTS, MAX_PROBLEMS, MAX_TEXT_BYTES, MAX_TEXT_VALUES, MAX_VALUES, Origin,
    Parsed, Problem, bounded, first_line, from_value,
    json::{NO_ROOM, Room, Strict, TOO_MUCH},
    key_of,
};
use crate::model::Resource;

/// Where a document stands in its text, and what it calls itself.
type Place = (usize, Option<String>);

/// What was read of a text so far.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Documents, with empty ones.
    count: usize,
    /// None, once one is bad.
    good: Vec<(Place, Resource)>,
    bad: Vec<(Place, Broken)>,
    /// Those that are bad beyond what is told one by one.
    more: usize,
}

impl Read {
    /// Adds the next document; false if that is one too many.
    pub(super) fn add(&mut self, value: Value) -> bool {
        self.count += 1;
        if value.is_null() {
            return self.count <= MAX_DOCUMENTS;
        }
        let place = (self.count, key_of(&value));
        match from_value(value) {
            Ok(resource) if self.bad.is_empty() => self.good.push((place, resource)),
            Ok(_) => {}
            Err(broken) => self.add_bad(place, broken),
        }
        self.count <= MAX_DOCUMENTS
    }

    fn add_bad(&mut self, place: Place, broken: Broken) {
        self.good = Vec::new();
        if self.bad.len() < MAX_PROBLEMS {
            self.bad.push((place, broken));
        } else {
            self.more += 1;
        }
    }
}

/// One document of a text is the next, or a list of the next.
impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = Cell::new(MAX_TEXT_VALUES);
        let room = Room::for_values(MAX_VALUES, &left);
        let list = RefCell::default();
        let value = Strict::document(&room, &list).deserialize(deserializer)?;
        let is_list = value.as_object().is_some_and(|fields| {
            fields.get("items").is_some_and(Value::is_array)
                && fields.keys().all(|key| key == "items" || key == "next")
        });
        if is_list {
            return Ok(list.into_inner());
        }
        let mut read = Self::default();
        read.add(value);
        Ok(read)
    }
}

impl Extend<Self> for Read {
    fn extend<I: IntoIterator<Item = Self>>(&mut self, documents: I) {
        for next in documents {
            let before = self.count;
            self.count += next.count;
            self.more += next.more;
            for ((number, key), broken) in next.bad {
                self.add_bad((before + number, key), broken);
            }
            if self.bad.is_empty() {
                let moved = |((number, key), resource)| ((before + number, key), resource);
                self.good.extend(next.good.into_iter().map(moved));
            }
        }
    }
}

/// See [`super::parse`].
pub(super) fn parse(source: &str, text: &str) -> Result<Vec<Parsed>, Vec<Problem>> {
    let problem = |rule: &str| vec![Problem::new(source, "", rule)];
    if text.len() > MAX_TEXT_BYTES {
        let rule = format!("a text is at most {MAX_TEXT_BYTES} bytes; split it into files");
        return Err(problem(&rule));
    }
    let read = match json(text) {
        Some(read) => read,
        None => serde_saphyr::from_str_multiple_with_options::<Read, Read>(text, limits())
            .map_err(|error| problem(&explained(&error)))?,
    };
    let origin = |(number, key): Place| Origin {
        source: source.to_owned(),
        number,
        key,
    };
    if read.bad.is_empty() {
        let parsed = read.good.into_iter().map(|(place, resource)| Parsed {
            origin: origin(place),
            resource,
        });
        return Ok(parsed.collect());
    }
    let problems = read
        .bad
        .into_iter()
        .map(|(place, (pointer, message))| Problem::new(origin(place), pointer, &message))
        .collect();
    Err(bounded(problems, read.more, source))
}

/// Reads a text that is one JSON value, in a fraction of the time that it takes as YAML. None
/// where it is not: as YAML it may be good, or it is told what is wrong.
fn json(text: &str) -> Option<Read> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// What is wrong with a text as a whole.
fn explained(error: &Error) -> String {
    // The other formatter advises who programs with the parser.
    let said = error.render_with_formatter(&UserMessageFormatter);
    let place = said.rfind(" at line ").map_or("", |place| &said[place..]);
    if [TOO_MUCH, "recursion limit"]
        .iter()
        .any(|words| said.contains(words))
    {
        return format!(
            "a text has at most {MAX_TEXT_VALUES} values, {MAX_DOCUMENTS} documents, {MAX_DEPTH} \
             levels and {MAX_REPLAYED} values that aliases repeat; there are more{place}"
        );
    }
    if let Some(rule) = said.find(NO_ROOM).map(|start| &said[start..]) {
        return format!("{}; write it as several", first_line(&rule));
    }
    // A value may be a secret; a place is enough to find it.
    let said = match said.split_once("value `") {
        Some((before, rest)) => {
            let after = rest.rsplit_once('`').map_or("", |(_, after)| after);
            format!("{before}the value{after}")
        }
        None => said,
    };
    format!(
        "the text is not well-formed YAML or JSON: {}",
        first_line(&said)
    )
}

const MAX_DEPTH: usize = 64;
const MAX_REPLAYED: usize = 100_000;

/// Room for ten thousand virtual hosts in one text, and no more work than that.
fn limits() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_TEXT_VALUES,
            max_events: 2 * MAX_TEXT_VALUES,
            max_aliases: 10_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: MAX_REPLAYED,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
        },
        // A message has one line; the other would be made of the text for nothing.
        with_snippet: false,
    }
}
