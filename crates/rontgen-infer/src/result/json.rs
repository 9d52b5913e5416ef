//! How results travel in JSON: NaN as `null`, and named numbers as a map that keeps its order.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;

/// Reads a number, or `null` as NaN.
///
/// # Errors
/// Whatever the deserializer returns.
pub fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// What a number is that older documents do not have.
pub(super) fn nan() -> f64 {
    f64::NAN
}

/// Writes what is named (parameters, derived quantities) as a map in its order.
///
/// # Errors
/// Whatever the serializer returns.
pub fn write_ordered<T: Serialize, S: Serializer>(list: &[(String, T)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(list.len()))?;
    for (name, value) in list {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// Reads a map into what it names, in the order of the document.
///
/// # Errors
/// Whatever the deserializer returns, and an error for a name that stands there twice.
pub fn read_ordered<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, T)>, D::Error> {
    struct Ordered<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Ordered<T> {
        type Value = Vec<(String, T)>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a map from parameter names (or those of derived quantities) to their summaries")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut list: Self::Value = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, T>()? {
                if list.iter().any(|(n, _)| *n == name) {
                    return Err(serde::de::Error::custom(format!("{name} stands there twice")));
                }
                list.push((name, value));
            }
            Ok(list)
        }
    }
    deserializer.deserialize_map(Ordered(PhantomData))
}
