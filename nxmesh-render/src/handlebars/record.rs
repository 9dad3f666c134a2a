//! What templates are run over: records of words, flags and lists.
//!
//! A record's fields are known when a template is compiled, so an unknown
//! field is an error there, and running needs no look-up by name. There is no
//! field of plain text: what a template writes was quoted before, or approved
//! as a snippet.

use nxmesh_core::snippet::ApprovedSnippet;

use crate::token::Word;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Word,
    /// May be written inside an `{{#if}}` about it only.
    OptionalWord,
    Flag,
    /// Whole directives; stands where directives stand.
    Snippet,
    /// Entered by `{{#with}}`; may be absent.
    Record(&'static Shape),
    /// Entered by `{{#each}}`.
    List(&'static Shape),
}

/// The fields of a kind of record.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What errors call it.
    pub(crate) name: &'static str,
    /// What it is, for those who write templates.
    pub(crate) doc: &'static str,
    /// Names, kinds, and what they mean where the names do not say it; a field's
    /// slot is its place here.
    pub(crate) fields: &'static [(&'static str, Kind, &'static str)],
}

/// The value of a field.
pub(crate) enum Field<'v> {
    Absent,
    Word(&'v Word<'v>),
    Flag(bool),
    Snippet(&'v ApprovedSnippet<'v>),
    Record(&'v dyn Record),
    List(&'v dyn List),
}

impl Field<'_> {
    /// What `{{#if}}` sees.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Word(_) | Self::Snippet(_) | Self::Record(_) => true,
            Self::Flag(flag) => *flag,
            Self::List(list) => list.len() > 0,
        }
    }
}

/// A record while a template runs.
pub(crate) trait Record {
    /// The field at `slot` of the record's shape.
    fn field(&self, slot: usize) -> Field<'_>;
}

/// A list of records while a template runs.
pub(crate) trait List {
    fn len(&self) -> usize;
    fn get(&self, index: usize) -> &dyn Record;
}

/// A record whose fields are known.
pub(crate) trait Shaped: Record {
    const SHAPE: &'static Shape;
}

/// A type that can be a field.
pub(crate) trait Typed {
    const KIND: Kind;
    fn field(&self) -> Field<'_>;
}

impl Typed for Word<'_> {
    const KIND: Kind = Kind::Word;
    fn field(&self) -> Field<'_> {
        Field::Word(self)
    }
}

impl Typed for Option<Word<'_>> {
    const KIND: Kind = Kind::OptionalWord;
    fn field(&self) -> Field<'_> {
        self.as_ref().map_or(Field::Absent, Field::Word)
    }
}

impl Typed for bool {
    const KIND: Kind = Kind::Flag;
    fn field(&self) -> Field<'_> {
        Field::Flag(*self)
    }
}

impl Typed for ApprovedSnippet<'_> {
    const KIND: Kind = Kind::Snippet;
    fn field(&self) -> Field<'_> {
        Field::Snippet(self)
    }
}

impl<T: Shaped> Typed for Option<T> {
    const KIND: Kind = Kind::Record(T::SHAPE);
    fn field(&self) -> Field<'_> {
        self.as_ref()
            .map_or(Field::Absent, |record| Field::Record(record))
    }
}

impl<T: Shaped> Typed for Vec<T> {
    const KIND: Kind = Kind::List(T::SHAPE);
    fn field(&self) -> Field<'_> {
        Field::List(self)
    }
}

impl<T: Shaped> List for Vec<T> {
    fn len(&self) -> usize {
        Self::len(self)
    }
    fn get(&self, index: usize) -> &dyn Record {
        &self[index]
    }
}

impl<T: Shaped> Typed for &[T] {
    const KIND: Kind = Kind::List(T::SHAPE);
    fn field(&self) -> Field<'_> {
        Field::List(self)
    }
}

impl<T: Shaped> List for &[T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    fn get(&self, index: usize) -> &dyn Record {
        &self[index]
    }
}

impl<T: Shaped> Record for &T {
    fn field(&self, slot: usize) -> Field<'_> {
        T::field(self, slot)
    }
}

impl<T: Shaped> Shaped for &T {
    const SHAPE: &'static Shape = T::SHAPE;
}

impl<T: Shaped> Record for Box<T> {
    fn field(&self, slot: usize) -> Field<'_> {
        T::field(self, slot)
    }
}

impl<T: Shaped> Shaped for Box<T> {
    const SHAPE: &'static Shape = T::SHAPE;
}

/// In a list of words each word is a record with the field `this`.
pub(crate) struct Item<'a>(pub(crate) Word<'a>);

impl Record for Item<'_> {
    fn field(&self, _slot: usize) -> Field<'_> {
        Field::Word(&self.0)
    }
}

impl Shaped for Item<'_> {
    const SHAPE: &'static Shape = &Shape {
        name: "word",
        doc: " One of a list of words.",
        fields: &[("this", Kind::Word, "")],
    };
}

/// Defines a record: a plain struct whose fields templates can name.
macro_rules! record {
    ($(#[doc = $doc:literal])* $name:ident<$life:lifetime> { $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)* }) => {
        $(#[doc = $doc])*
        pub(crate) struct $name<$life> { $($(#[doc = $field_doc])* pub(crate) $field: $type,)* }

        impl<$life> $crate::handlebars::record::Record for $name<$life> {
            fn field(&self, slot: usize) -> $crate::handlebars::record::Field<'_> {
                let mut place = 0;
                $(
                    if slot == place {
                        return $crate::handlebars::record::Typed::field(&self.$field);
                    }
                    place += 1;
                )*
                // The last one counts for nobody.
                let _ = place;
                $crate::handlebars::record::Field::Absent
            }
        }

        impl<$life> $crate::handlebars::record::Shaped for $name<$life> {
            const SHAPE: &'static $crate::handlebars::record::Shape = &$crate::handlebars::record::Shape {
                name: stringify!($name),
                doc: concat!($($doc, "\n",)*),
                fields: &[$((
                    stringify!($field),
                    <$type as $crate::handlebars::record::Typed>::KIND,
                    concat!($($field_doc, "\n",)*),
                ),)*],
            };
        }
    };
}
pub(crate) use record;
