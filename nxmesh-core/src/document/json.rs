//! Values that say one thing: a field written twice is refused, where
//! `serde_json` silently takes the last.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{message::shown, text::Read};

/// What an error begins with when there is no room left.
pub(super) const NO_ROOM: &str = "a document has at most ";

/// What an error says when there are too many documents; the parser says so of other bounds.
pub(super) const TOO_MUCH: &str = "too large or too complex";

/// How many values may still be read into one document, and into the text it is in.
#[derive(Debug)]
pub(super) struct Room<'t> {
    left: Cell<usize>,
    whole: usize,
    text: &'t Cell<usize>,
}

impl<'t> Room<'t> {
    pub(super) const fn for_values(values: usize, text: &'t Cell<usize>) -> Self {
        Self {
            left: Cell::new(values),
            whole: values,
            text,
        }
    }

    fn take<E: Error>(&self) -> Result<(), E> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(E::custom(format!("{NO_ROOM}{} values", self.whole)));
        };
        let Some(of_text) = self.text.get().checked_sub(1) else {
            return Err(E::custom(TOO_MUCH));
        };
        self.left.set(left);
        self.text.set(of_text);
        Ok(())
    }
}

/// What is being read.
#[derive(Clone, Copy)]
enum Part<'r> {
    /// A whole document, which may be a list.
    Document(&'r RefCell<Read>),
    /// The items of a list: each is a document, read and typed before the next.
    Items(&'r RefCell<Read>),
    /// Anything within a document.
    Value,
}

/// Reads a value in which no field stands twice.
#[derive(Clone, Copy)]
pub(super) struct Strict<'r> {
    room: &'r Room<'r>,
    part: Part<'r>,
}

impl<'r> Strict<'r> {
    /// Any value.
    pub(super) const fn value(room: &'r Room<'_>) -> Self {
        let part = Part::Value;
        Self { room, part }
    }

    /// A document. The items of a list are put into `list`, and an empty array
    /// stands for them.
    pub(super) const fn document(room: &'r Room<'_>, list: &'r RefCell<Read>) -> Self {
        let part = Part::Document(list);
        Self { room, part }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.room.take()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        if let Part::Items(list) = self.part {
            loop {
                let room = Room::for_values(super::MAX_VALUES, self.room.text);
                let Some(item) = items.next_element_seed(Strict::value(&room))? else {
                    return Ok(Value::Array(array));
                };
                if !list.borrow_mut().add(item) {
                    return Err(A::Error::custom(TOO_MUCH));
                }
            }
        }
        while let Some(item) = items.next_element_seed(Self::value(self.room))? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                let field = shown(&key, 80);
                return Err(A::Error::custom(format!(
                    "the field {field} is written twice"
                )));
            }
            let part = match self.part {
                Part::Document(list) if key == "items" => Part::Items(list),
                _ => Part::Value,
            };
            let room = self.room;
            let value = fields.next_value_seed(Strict { room, part })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
