//! A `serde::Serializer` that sees the fields of the outermost struct or map, and hands everything else through.

use std::fmt::{self, Display, Write};

use serde::ser::{SerializeMap, SerializeStruct, SerializeStructVariant};
use serde::{Serialize, Serializer};

use super::scope::{Field, Scope};

/// Writes a value through `inner`, its fields by the rules in scope.
pub(super) struct Filter<'a, S> {
    pub(super) inner: S,
    pub(super) scope: Scope<'a>,
}

/// A value whose own fields are written by the rules in scope.
struct Filtered<'a, T: ?Sized> {
    value: &'a T,
    scope: Scope<'a>,
}

impl<T: Serialize + ?Sized> Serialize for Filtered<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Filter { inner, scope: self.scope })
    }
}

/// What has no fields of its own goes straight to `inner`.
macro_rules! hand_through {
    ($($method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(fn $method(self, $($argument: $type),*) -> Result<$output, S::Error> {
            self.inner.$method($($argument),*)
        })*
    };
}

impl<'a, S: Serializer> Serializer for Filter<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = S::SerializeSeq;
    type SerializeTuple = S::SerializeTuple;
    type SerializeTupleStruct = S::SerializeTupleStruct;
    type SerializeTupleVariant = S::SerializeTupleVariant;
    type SerializeMap = FilterMap<'a, S::SerializeMap>;
    type SerializeStruct = Filter<'a, S::SerializeStruct>;
    type SerializeStructVariant = Filter<'a, S::SerializeStructVariant>;

    hand_through! {
        serialize_bool(value: bool) -> S::Ok;
        serialize_i8(value: i8) -> S::Ok;
        serialize_i16(value: i16) -> S::Ok;
        serialize_i32(value: i32) -> S::Ok;
        serialize_i64(value: i64) -> S::Ok;
        serialize_i128(value: i128) -> S::Ok;
        serialize_u8(value: u8) -> S::Ok;
        serialize_u16(value: u16) -> S::Ok;
        serialize_u32(value: u32) -> S::Ok;
        serialize_u64(value: u64) -> S::Ok;
        serialize_u128(value: u128) -> S::Ok;
        serialize_f32(value: f32) -> S::Ok;
        serialize_f64(value: f64) -> S::Ok;
        serialize_char(value: char) -> S::Ok;
        serialize_str(value: &str) -> S::Ok;
        serialize_bytes(value: &[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(name: &'static str) -> S::Ok;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> S::Ok;
        serialize_seq(len: Option<usize>) -> S::SerializeSeq;
        serialize_tuple(len: usize) -> S::SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> S::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> S::SerializeTupleVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, value)
    }

    /// Serde writes a struct variant with a flattened field this way, so its fields are one level down.
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, &Filtered { value, scope: self.scope })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(FilterMap { inner: self.inner.serialize_map(len)?, scope: self.scope, held: None })
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Filter { inner: self.inner.serialize_struct(name, len)?, scope: self.scope })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let inner = self.inner.serialize_struct_variant(name, index, variant, len)?;
        Ok(Filter { inner, scope: self.scope })
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// The fields of structs and of struct variants, which differ in nothing but the trait.
macro_rules! filter_fields {
    ($compound:ident) => {
        impl<C: $compound> $compound for Filter<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), C::Error> {
                match self.scope.field(key, value)? {
                    Field::Untouched => self.inner.serialize_field(key, value),
                    Field::Filtered(scope) => self.inner.serialize_field(key, &Filtered { value, scope }),
                    Field::Named(name) => self.inner.serialize_field(name, value),
                    Field::Replaced(name, value) => self.inner.serialize_field(name, &value),
                    Field::Left => self.inner.skip_field(key),
                }
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.scope.absent(key);
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    };
}

filter_fields!(SerializeStruct);
filter_fields!(SerializeStructVariant);

/// The entries of a map, which a struct becomes by serde's `flatten`.
pub(super) struct FilterMap<'a, M> {
    inner: M,
    scope: Scope<'a>,
    /// A key whose value comes in a call of its own, and says whether the key is written.
    held: Option<String>,
}

impl<M: SerializeMap> SerializeMap for FilterMap<'_, M> {
    type Ok = M::Ok;
    type Error = M::Error;

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), M::Error> {
        let Some(text) = key_text(key) else {
            return self.inner.serialize_entry(key, value);
        };
        match self.scope.field(&text, value)? {
            Field::Untouched => self.inner.serialize_entry(key, value),
            Field::Filtered(scope) => self.inner.serialize_entry(key, &Filtered { value, scope }),
            Field::Named(name) => self.inner.serialize_entry(name, value),
            Field::Replaced(name, value) => self.inner.serialize_entry(name, &value),
            Field::Left => Ok(()),
        }
    }

    fn serialize_key<K: Serialize + ?Sized>(&mut self, key: &K) -> Result<(), M::Error> {
        self.held = key_text(key).filter(|key| self.scope.concerns(key));
        if self.held.is_some() { Ok(()) } else { self.inner.serialize_key(key) }
    }

    fn serialize_value<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), M::Error> {
        match self.held.take() {
            Some(key) => self.serialize_entry(&key, value),
            None => self.inner.serialize_value(value),
        }
    }

    fn end(self) -> Result<M::Ok, M::Error> {
        self.inner.end()
    }
}

/// A key that is text; JSON has no other keys, and writes numbers and the like as `Display` does.
fn key_text<K: Serialize + ?Sized>(key: &K) -> Option<String> {
    struct Text<'a, K: ?Sized>(&'a K);

    impl<K: Serialize + ?Sized> Display for Text<'_, K> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.serialize(f)
        }
    }

    let mut text = String::new();
    write!(text, "{}", Text(key)).is_ok().then_some(text)
}
