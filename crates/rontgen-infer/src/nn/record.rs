//! Named arrays: what networks and samplers keep of themselves, wherever it is kept.

use crate::InferError;
use std::borrow::Cow;

/// A record does not hold what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No array of this name and type is there.
    #[error("checkpoint: no array {name:?} of type {kind}{found}")]
    Missing {
        /// Name that was asked for.
        name: String,
        /// Type that was asked for.
        kind: &'static str,
        /// What is there instead, with a space before it; empty for nothing.
        found: String,
    },
}

impl From<RecordError> for InferError {
    fn from(error: RecordError) -> InferError {
        InferError::Unfit(error.to_string())
    }
}

/// One entry holds numbers of one type, or texts.
#[derive(Debug, Clone, PartialEq)]
pub enum Array<'a> {
    /// Numbers of 32 bits.
    F32(Cow<'a, [f32]>),
    /// Numbers of 64 bits.
    F64(Cow<'a, [f64]>),
    /// Unsigned integers of 32 bits.
    U32(Cow<'a, [u32]>),
    /// Unsigned integers of 64 bits.
    U64(Cow<'a, [u64]>),
    /// Texts.
    Text(Vec<String>),
}

impl Array<'_> {
    /// Returns the name of the type of its elements.
    pub fn kind(&self) -> &'static str {
        ["f32", "f64", "u32", "u64", "text"][usize::from(self.tag() - 1)]
    }

    /// Returns the number of that type, from 1.
    pub fn tag(&self) -> u8 {
        match self {
            Array::F32(_) => 1,
            Array::F64(_) => 2,
            Array::U32(_) => 3,
            Array::U64(_) => 4,
            Array::Text(_) => 5,
        }
    }
}

/// Named arrays, borrowed until they are kept somewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record<'a> {
    arrays: Vec<(String, Array<'a>)>,
}

macro_rules! typed {
    ($put:ident, $get:ident, $take:ident, $scalar:ty, $variant:ident, $kind:literal) => {
        /// Adds an array; one of the same name is replaced.
        pub fn $put(self, name: &str, values: impl Into<Cow<'a, [$scalar]>>) -> Self {
            self.put(name, Array::$variant(values.into()))
        }

        /// The array `name`, in the order it was put.
        pub fn $get(&self, name: &str) -> Result<&[$scalar], RecordError> {
            match self.find(name) {
                Some(Array::$variant(values)) => Ok(values),
                other => Err(missing(name, $kind, other)),
            }
        }

        /// As the getter, but without a copy: the array leaves the record.
        pub fn $take(&mut self, name: &str) -> Result<Vec<$scalar>, RecordError> {
            match self.arrays.iter().position(|(n, array)| n == name && matches!(array, Array::$variant(_))) {
                Some(index) => match self.arrays.swap_remove(index).1 {
                    Array::$variant(values) => Ok(values.into_owned()),
                    other => Err(missing(name, $kind, Some(&other))),
                },
                None => Err(missing(name, $kind, self.find(name))),
            }
        }
    };
}

impl<'a> Record<'a> {
    /// Makes a record without entries.
    pub fn new() -> Self {
        Record::default()
    }

    typed!(put_f32, f32, take_f32, f32, F32, "f32");
    typed!(put_f64, f64, take_f64, f64, F64, "f64");
    typed!(put_u32, u32, take_u32, u32, U32, "u32");
    typed!(put_u64, u64, take_u64, u64, U64, "u64");

    /// Adds a list of texts; one of the same name is replaced.
    pub fn put_text<S: AsRef<str>>(self, name: &str, values: &[S]) -> Self {
        self.put(name, Array::Text(values.iter().map(|v| v.as_ref().to_string()).collect()))
    }

    /// Returns the texts called `name`.
    pub fn text(&self, name: &str) -> Result<&[String], RecordError> {
        match self.find(name) {
            Some(Array::Text(values)) => Ok(values),
            other => Err(missing(name, "text", other)),
        }
    }

    /// Returns a single number that was put as an array of one.
    pub fn number(&self, name: &str) -> Result<u64, RecordError> {
        match self.u64(name)? {
            [value] => Ok(*value),
            _ => Err(missing(name, "u64 (one element)", self.find(name))),
        }
    }

    /// Returns whether an array of this name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns the names of all entries, in the order they were put.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.iter().map(|(name, _)| name.as_str())
    }

    /// Adds an entry; one of the same name is replaced.
    pub fn put(mut self, name: &str, array: Array<'a>) -> Self {
        self.arrays.retain(|(n, _)| n != name);
        self.arrays.push((name.to_string(), array));
        self
    }

    /// Returns all entries with their names, in the order they were put.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &(String, Array<'a>)> {
        self.arrays.iter()
    }

    fn find(&self, name: &str) -> Option<&Array<'a>> {
        self.arrays.iter().find(|(n, _)| n == name).map(|(_, array)| array)
    }
}

fn missing(name: &str, kind: &'static str, found: Option<&Array<'_>>) -> RecordError {
    let found = found.map(|array| format!("; found one of type {}", array.kind())).unwrap_or_default();
    RecordError::Missing { name: name.to_string(), kind, found }
}
