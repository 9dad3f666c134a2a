//! What is made of what nginx knows about a request: maps and networks, which
//! stand outside of all servers.
//!
//! nginx takes time for every map when it reads its configuration, so each is
//! there only where it is asked for, and once.

use nxmesh_core::model::value::Network;

use super::traffic::Preamble;
use crate::{
    handlebars::record::{Item, record},
    token::Word,
};

record! {
    /// A variable whose value depends on another text.
    MapRecord<'a> {
        source: Word<'a>,
        /// With its `$`.
        variable: Word<'a>,
        rows: Vec<RowRecord<'a>>,
        default: Word<'a>,
    }
}

record! {
    /// A text, or `~` and a pattern, and the value that goes with it.
    RowRecord<'a> {
        key: Word<'a>,
        value: Word<'a>,
    }
}

record! {
    /// A variable that is 1 for clients of some networks and else 0.
    GeoRecord<'a> {
        /// With its `$`.
        variable: Word<'a>,
        networks: Vec<Item<'a>>,
    }
}

record! {
    /// A variable that has each of its values for a share of another text's.
    SplitRecord<'a> {
        source: Word<'a>,
        /// With its `$`.
        variable: Word<'a>,
        /// Shares, the last of which is `*`, and values.
        rows: Vec<RowRecord<'a>>,
    }
}

impl<'a> Preamble<'a> {
    /// The name of the variable of a map; it is added if it is not there yet.
    pub(crate) fn map(
        &mut self,
        source: Word<'a>,
        rows: Vec<(Word<'a>, Word<'a>)>,
        default: Word<'a>,
    ) -> String {
        let words = rows.iter().flat_map(|(key, value)| [key, value]);
        let words: Vec<String> = [&source, &default]
            .into_iter()
            .chain(words)
            .map(ToString::to_string)
            .collect();
        let name = self.variable("map", &words);
        let variable = Word::made_variable(&name);
        if !self.maps.iter().any(|map| map.variable == variable) {
            let rows = rows.into_iter();
            self.maps.push(MapRecord {
                source,
                variable,
                rows: rows.map(|(key, value)| RowRecord { key, value }).collect(),
                default,
            });
        }
        name
    }

    /// The name of the variable that tells whether a client is of `networks`.
    pub(crate) fn geo(&mut self, networks: &[Network]) -> String {
        let words: Vec<String> = networks.iter().map(ToString::to_string).collect();
        let name = self.variable("geo", &words);
        let variable = Word::made_variable(&name);
        if !self.geos.iter().any(|geo| geo.variable == variable) {
            self.geos.push(GeoRecord {
                variable,
                networks: words.into_iter().map(|it| Item(Word::own(it))).collect(),
            });
        }
        name
    }

    /// The name of a variable that has each value for a share of what `source`
    /// may be; the last row takes the rest.
    pub(crate) fn split(&mut self, source: Word<'a>, rows: Vec<(Word<'a>, Word<'a>)>) -> String {
        let words = rows.iter().flat_map(|(key, value)| [key, value]);
        let words: Vec<String> = std::iter::once(&source)
            .chain(words)
            .map(ToString::to_string)
            .collect();
        let name = self.variable("split", &words);
        let variable = Word::made_variable(&name);
        if !self.splits.iter().any(|split| split.variable == variable) {
            let rows = rows.into_iter();
            self.splits.push(SplitRecord {
                source,
                variable,
                rows: rows.map(|(key, value)| RowRecord { key, value }).collect(),
            });
        }
        name
    }

    /// A name that stands for `words` in this virtual host.
    fn variable(&self, kind: &str, words: &[String]) -> String {
        let words = words.iter().map(String::as_str);
        let id = self.id(std::iter::once(kind).chain(words));
        format!("nxmesh_{kind}_{id}")
    }
}

/// The name of nginx's variable of a request header, without `$`.
pub(crate) fn header_variable(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    format!("http_{}", name.chars().map(plain).collect::<String>())
}

/// nginx's word for a switch.
pub(crate) const fn on_or_off<'w>(on: bool) -> Word<'w> {
    Word::fixed(if on { "on" } else { "off" })
}
