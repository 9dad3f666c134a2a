//! Typed values of JSON, with a pointer to what is wrong.
//!
//! A place knows the place around it, on the stack: that costs nothing until an error wants its
//! pointer. So every type is read by this deserializer alone, right or wrong, and its code is in
//! a program once.

mod access;

use std::fmt;

use serde::de::{self, Deserializer, Expected, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use access::{Fields, Items, Variant};

/// What is wrong, and the JSON pointer (RFC 6901) to it.
#[derive(Debug)]
pub(super) struct Error(Box<Wrong>);

#[derive(Debug)]
struct Wrong {
    /// None until it has left the value it is about.
    pointer: Option<String>,
    message: String,
}

impl Error {
    /// Told of the innermost value it passes.
    fn at(mut self, place: Place<'_>) -> Self {
        self.0.pointer.get_or_insert_with(|| place.pointer());
        self
    }

    /// The pointer and the message.
    pub(super) fn into_parts(self) -> (String, String) {
        (self.0.pointer.unwrap_or_default(), self.0.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Wrong {
            pointer: None,
            message: message.to_string(),
        }))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unit => {
                Self::custom(format_args!("invalid type: null, expected {expected}"))
            }
            found => Self::custom(format_args!("invalid type: {found}, expected {expected}")),
        }
    }
}

/// Where a value stands in its document.
#[derive(Debug, Clone, Copy)]
struct Place<'p> {
    /// The value it is in, and the step from there; None for the document.
    around: Option<(&'p Self, Step<'p>)>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Item(usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        let Some((around, step)) = self.around else {
            return String::new();
        };
        let mut pointer = around.pointer();
        match step {
            Step::Key(key) => push_key(&mut pointer, key),
            Step::Item(number) => pointer.push_str(&format!("/{number}")),
        }
        pointer
    }
}

/// Escapes as RFC 6901, section 3 says.
pub(super) fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// A value in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointed<'de, 'p> {
    value: &'de Value,
    place: Place<'p>,
}

impl<'de> Pointed<'de, '_> {
    /// A whole document.
    pub(super) const fn document(value: &'de Value) -> Self {
        let place = Place { around: None };
        Self { value, place }
    }

    fn seq<V: Visitor<'de>>(&self, items: &'de [Value], visitor: V) -> Result<V::Value, Error> {
        let mut left = Items::new(items, &self.place);
        let read = visitor.visit_seq(&mut left)?;
        match left.len() {
            0 => Ok(read),
            _ => Err(de::Error::invalid_length(items.len(), &"fewer items")),
        }
    }

    fn map<V: Visitor<'de>>(
        &self,
        fields: &'de Map<String, Value>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut left = Fields::new(fields, &self.place);
        let read = visitor.visit_map(&mut left)?;
        match left.len() {
            0 => Ok(read),
            _ => Err(de::Error::invalid_length(fields.len(), &"fewer fields")),
        }
    }
}

impl<'de> Deserializer<'de> for Pointed<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.as_i64() {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => self.seq(items, visitor),
            Value::Object(fields) => self.map(fields, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (variant, value) = match self.value {
            Value::String(variant) => (variant, None),
            Value::Object(fields) => {
                let mut fields = fields.iter();
                match (fields.next(), fields.next()) {
                    (Some((variant, value)), None) => (variant, Some(value)),
                    _ => {
                        let found = Unexpected::Map;
                        return Err(de::Error::invalid_value(found, &"map with a single key"));
                    }
                }
            }
            other => {
                let found = unexpected(other);
                return Err(de::Error::invalid_type(found, &"string or map"));
            }
        };
        visitor.visit_enum(Variant {
            variant,
            value,
            around: &self.place,
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}
