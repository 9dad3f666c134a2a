//! Reading traffic settings that stand among the fields of their owner.
//!
//! serde's `flatten` does the same by reading everything into a buffer first,
//! which loses the place of an error; here each value is read where it stands.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

use super::TrafficSettings;

/// A deserializer of an owner that sees only the fields that are its own; the
/// traffic settings beside them are read into `settings`.
pub(in crate::model) struct Splitting<'s, D> {
    pub(in crate::model) inner: D,
    pub(in crate::model) settings: &'s mut TrafficSettings,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Splitting<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Owner {
            visitor,
            fields,
            settings: self.settings,
        };
        // The names are a hint that formats without names of their own need.
        self.inner.deserialize_struct(name, fields, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}

struct Owner<'s, V> {
    visitor: V,
    fields: &'static [&'static str],
    settings: &'s mut TrafficSettings,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Owner<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Fields {
            map,
            own: self.fields,
            settings: self.settings,
        })
    }
}

/// The entries of a mapping that are the owner's.
struct Fields<'s, A> {
    map: A,
    own: &'static [&'static str],
    settings: &'s mut TrafficSettings,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if self.own.contains(&&*key) {
                return seed
                    .deserialize(StrDeserializer::<A::Error>::new(&key))
                    .map(Some);
            }
            if !self.settings.read(&key, &mut self.map)? {
                let known: Vec<String> = self
                    .own
                    .iter()
                    .chain(TrafficSettings::FIELDS)
                    .map(|field| format!("`{field}`"))
                    .collect();
                // In serde's words, which become a pointer and a rule.
                return Err(A::Error::custom(format_args!(
                    "unknown field `{key}`, expected one of {}",
                    known.join(", ")
                )));
            }
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
