//! What names mean at a place in a template.

use nxmesh_core::contract::renderer::RenderError;

use super::{
    program::{Place, Test},
    record::{Kind, Shape},
};

/// A place in a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) template: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl At {
    /// This is wrong here.
    pub(super) fn error(&self, reason: impl Into<String>) -> RenderError {
        RenderError::Template {
            template: self.template.clone(),
            line: self.line,
            column: self.column,
            reason: reason.into(),
        }
    }
}

/// A record the template is inside of.
pub(super) struct Level {
    shape: &'static Shape,
    item: bool,
}

impl Level {
    /// Inside `{{#each}}`.
    pub(super) const fn item(shape: &'static Shape) -> Self {
        Self { shape, item: true }
    }

    /// Inside `{{#with}}`.
    pub(super) const fn record(shape: &'static Shape) -> Self {
        Self { shape, item: false }
    }
}

/// The records around a place, outermost first.
pub(super) struct Scope {
    levels: Vec<Level>,
    /// What the `{{#if}}`s around are about: depth and slot of a field.
    present: Vec<Option<(usize, usize)>>,
}

impl Scope {
    /// Inside one record.
    pub(super) fn new(shape: &'static Shape) -> Self {
        Self {
            levels: vec![Level::record(shape)],
            present: Vec::new(),
        }
    }

    /// The record the place is inside of.
    pub(super) fn record(&self) -> &'static Shape {
        // There is always one: what was entered is left.
        self.levels[self.levels.len() - 1].shape
    }

    pub(super) fn enter(&mut self, level: Level) {
        self.levels.push(level);
    }

    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// From here on `test` holds.
    pub(super) fn assume(&mut self, test: Test) {
        self.present.push(match test {
            Test::Field(place) => Some(self.absolute(place)),
            Test::First(_) | Test::Last(_) => None,
        });
    }

    /// What was assumed last is no longer known.
    pub(super) fn forget_assumption(&mut self) {
        self.present.pop();
    }

    /// Whether the field is known to be there.
    pub(super) fn is_present(&self, place: Place) -> bool {
        self.present.contains(&Some(self.absolute(place)))
    }

    /// What an `{{#if}}` about `argument` asks.
    pub(super) fn test(&self, argument: &str, at: &At) -> Result<Test, RenderError> {
        let Some(local) = argument.strip_prefix('@') else {
            return Ok(Test::Field(self.field(argument, at)?.0));
        };
        let (up, name) = self.outwards(local, at)?;
        let item = self.levels[self.levels.len() - 1 - up].item;
        match name {
            "first" if item => Ok(Test::First(up)),
            "last" if item => Ok(Test::Last(up)),
            "first" | "last" => Err(at.error(format!("{argument:?} is not inside {{{{#each}}}}"))),
            _ => Err(at.error(format!(
                "there is no {argument:?}; there are @first and @last"
            ))),
        }
    }

    /// Where the field at `path` is, and what it holds.
    pub(super) fn field(&self, path: &str, at: &At) -> Result<(Place, Kind), RenderError> {
        let (up, name) = self.outwards(path, at)?;
        let shape = self.levels[self.levels.len() - 1 - up].shape;
        let slot = shape
            .fields
            .iter()
            .position(|(field, ..)| *field == name)
            .ok_or_else(|| {
                let fields: Vec<_> = shape.fields.iter().map(|(field, ..)| *field).collect();
                at.error(format!(
                    "{} has no field {name:?}; it has {}",
                    shape.name,
                    fields.join(", ")
                ))
            })?;
        Ok((Place { up, slot }, shape.fields[slot].1))
    }

    /// Splits `../../name`; there are that many records around.
    fn outwards<'p>(&self, path: &'p str, at: &At) -> Result<(usize, &'p str), RenderError> {
        let mut name = path;
        let mut up = 0;
        while let Some(rest) = name.strip_prefix("../") {
            (up, name) = (up + 1, rest);
        }
        if up >= self.levels.len() {
            return Err(at.error(format!("{path:?} leads out of the outermost record")));
        }
        if name.contains(['.', '/']) {
            return Err(at.error(format!(
                "{path:?} has several steps; enter the record with {{{{#with}}}}"
            )));
        }
        Ok((up, name))
    }

    fn absolute(&self, place: Place) -> (usize, usize) {
        (self.levels.len() - place.up, place.slot)
    }
}
