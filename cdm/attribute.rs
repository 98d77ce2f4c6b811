//! Attributes: named, typed, one-dimensional values attached to groups, variables and members.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;

use crate::{Block, DataType};

/// A named list of values, or (for containers) named attributes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attribute {
    /// Raw name.
    pub name: Arc<str>,
    /// Type of one value. `Char`: the values are the bytes of one text.
    pub data_type: DataType,
    /// Number of values; for `Char` the bytes of the text.
    pub len: u64,
    /// The values, laid out as a variable of shape `[len]` would be.
    pub values: Block,
}

impl Attribute {
    /// A text attribute (`NC_CHAR`).
    pub fn text(name: impl Into<Arc<str>>, text: &str) -> Self {
        Self {
            name: name.into(),
            data_type: DataType::Char,
            len: text.len() as u64,
            values: Block::Fixed(Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    /// A list of strings (`NC_STRING`).
    pub fn strings<S: AsRef<str>>(name: impl Into<Arc<str>>, texts: &[S]) -> Self {
        Self {
            name: name.into(),
            data_type: DataType::String,
            len: texts.len() as u64,
            values: Block::varying(texts.iter().map(|t| t.as_ref().as_bytes())),
        }
    }

    /// A list of numbers: `data` are their packed native-endian bytes.
    pub fn numbers(name: impl Into<Arc<str>>, data_type: DataType, data: Bytes) -> Self {
        let size = data_type.fixed_size().unwrap_or(1).max(1);
        Self { name: name.into(), data_type, len: data.len() as u64 / size, values: Block::Fixed(data) }
    }

    /// One `Float64`.
    pub fn float64(name: impl Into<Arc<str>>, value: f64) -> Self {
        Self::numbers(name, DataType::Float64, Bytes::copy_from_slice(&value.to_ne_bytes()))
    }

    /// One `Int32`.
    pub fn int32(name: impl Into<Arc<str>>, value: i32) -> Self {
        Self::numbers(name, DataType::Int32, Bytes::copy_from_slice(&value.to_ne_bytes()))
    }

    /// The text of a `Char` attribute or of a single `String`/`Url`; invalid UTF-8 is replaced.
    pub fn as_text(&self) -> Option<std::borrow::Cow<'_, str>> {
        match (&self.data_type, &self.values) {
            (DataType::Char, Block::Fixed(bytes)) => Some(String::from_utf8_lossy(bytes)),
            (DataType::String | DataType::Url, Block::Varying { bytes, ends }) if ends.len() == 1 => {
                Some(String::from_utf8_lossy(bytes))
            }
            _ => None,
        }
    }
}

/// Attributes in file order; names are unique. Copies share them until one is changed.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attributes(Arc<Vec<Attribute>>);

impl Attributes {
    /// The attribute called `name`.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.iter().find(|a| &*a.name == name)
    }

    /// The text of the attribute called `name` ([`Attribute::as_text`]).
    pub fn text(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.get(name)?.as_text()
    }

    /// Appends, or replaces the one of the same name in place.
    pub fn set(&mut self, attribute: Attribute) {
        let all = Arc::make_mut(&mut self.0);
        match all.iter_mut().find(|a| a.name == attribute.name) {
            Some(old) => *old = attribute,
            None => all.push(attribute),
        }
    }

    /// In file order.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.0.iter()
    }

    /// Keeps those for which `keep` says true.
    pub fn retain(&mut self, keep: impl FnMut(&Attribute) -> bool) {
        Arc::make_mut(&mut self.0).retain(keep);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Up to so many attributes are compared with each other, which takes less than a table of them.
const FEW: usize = 16;

/// As many [`Attributes::set`], in time that does not grow with their number squared.
impl FromIterator<Attribute> for Attributes {
    fn from_iter<I: IntoIterator<Item = Attribute>>(iter: I) -> Self {
        let mut few = Self::default();
        let mut iter = iter.into_iter();
        while few.len() < FEW {
            let Some(attribute) = iter.next() else { return few };
            few.set(attribute);
        }
        let mut all = Arc::unwrap_or_clone(few.0);
        let mut positions: HashMap<Arc<str>, usize> =
            all.iter().enumerate().map(|(i, a)| (Arc::clone(&a.name), i)).collect();
        for attribute in iter {
            match positions.entry(Arc::clone(&attribute.name)) {
                Entry::Vacant(free) => {
                    free.insert(all.len());
                    all.push(attribute);
                }
                Entry::Occupied(taken) => {
                    if let Some(old) = all.get_mut(*taken.get()) {
                        *old = attribute;
                    }
                }
            }
        }
        Self(Arc::new(all))
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = &'a Attribute;
    type IntoIter = std::slice::Iter<'a, Attribute>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts_in_the_place_of_the_first() {
        // Fewer and more than are compared with each other; names come again before and after that.
        for count in [2, FEW - 1, FEW, FEW + 1, 3 * FEW] {
            let names = (0..count).chain([0, count - 1]);
            let all: Attributes =
                names.enumerate().map(|(i, n)| Attribute::text(format!("a{n}"), &i.to_string())).collect();
            let found: Vec<_> = all.iter().map(|a| (a.name.to_string(), a.as_text().unwrap())).collect();
            let mut wanted: Vec<_> = (0..count).map(|n| (format!("a{n}"), n.to_string().into())).collect();
            wanted[0].1 = count.to_string().into();
            wanted[count - 1].1 = (count + 1).to_string().into();
            assert_eq!(found, wanted, "{count}");
        }
    }
}
