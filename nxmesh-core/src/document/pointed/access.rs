//! What lists, mappings and variants hold, each in its place.

use serde::de::{
    self, DeserializeSeed, Deserializer as _, EnumAccess, IntoDeserializer as _, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor, value::StrDeserializer,
};
use serde_json::{Map, Value, map};

use super::{Error, Place, Pointed, Step, unexpected};

/// The items of a list that are not read yet.
pub(super) struct Items<'de, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
    around: &'p Place<'p>,
}

impl<'de, 'p> Items<'de, 'p> {
    pub(super) fn new(items: &'de [Value], around: &'p Place<'p>) -> Self {
        let items = items.iter().enumerate();
        Self { items, around }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((number, value)) = self.items.next() else {
            return Ok(None);
        };
        let around = Some((self.around, Step::Item(number)));
        let place = Place { around };
        let read = seed.deserialize(Pointed { value, place });
        read.map(Some).map_err(|error| error.at(place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The fields of a mapping that are not read yet.
pub(super) struct Fields<'de, 'p> {
    fields: map::Iter<'de>,
    /// The key was read, the value not yet.
    next: Option<(&'de str, &'de Value)>,
    around: &'p Place<'p>,
}

impl<'de, 'p> Fields<'de, 'p> {
    pub(super) fn new(fields: &'de Map<String, Value>, around: &'p Place<'p>) -> Self {
        Self {
            fields: fields.iter(),
            next: None,
            around,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.fields.next() else {
            return Ok(None);
        };
        self.next = Some((key, value));
        let place = Place {
            around: Some((self.around, Step::Key(key))),
        };
        let read = seed.deserialize(de::value::BorrowedStrDeserializer::new(key));
        read.map(Some).map_err(|error: Error| error.at(place))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((key, value)) = self.next.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let around = Some((self.around, Step::Key(key)));
        let place = Place { around };
        let read = seed.deserialize(Pointed { value, place });
        read.map_err(|error| error.at(place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// A variant of an enum: a word, or a mapping of that word to what it holds.
pub(super) struct Variant<'de, 'p> {
    pub(super) variant: &'de str,
    pub(super) value: Option<&'de Value>,
    pub(super) around: &'p Place<'p>,
}

impl<'de, 'p> EnumAccess<'de> for Variant<'de, 'p> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let word: StrDeserializer<'de, Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> Variant<'de, '_> {
    fn held<T>(
        self,
        wanted: &'static str,
        read: impl FnOnce(Pointed<'de, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(value) = self.value else {
            return Err(de::Error::invalid_type(Unexpected::UnitVariant, &wanted));
        };
        let around = Some((self.around, Step::Key(self.variant)));
        let place = Place { around };
        read(Pointed { value, place }).map_err(|error| error.at(place))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None | Some(Value::Null) => Ok(()),
            Some(value) => self.held("unit variant", |_| {
                Err(de::Error::invalid_type(unexpected(value), &"unit variant"))
            }),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.held("newtype variant", |held| seed.deserialize(held))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.held("tuple variant", |held| held.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.held("struct variant", |held| {
            held.deserialize_struct("", fields, visitor)
        })
    }
}
