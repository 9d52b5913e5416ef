//! How results travel in JSON: NaN as `null`, and parameters as a map that keeps its order.

use super::ParameterSummary;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};

/// Reads a number, or `null` as NaN.
///
/// # Errors
/// Whatever the deserializer returns.
pub fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Writes named parameters as a map in their order.
///
/// # Errors
/// Whatever the serializer returns.
pub fn write_ordered<S: Serializer>(list: &[(String, ParameterSummary)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(list.len()))?;
    for (name, value) in list {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// Reads a map into named parameters, in the order of the document.
///
/// # Errors
/// Whatever the deserializer returns, and an error for a name that stands there twice.
pub fn read_ordered<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, ParameterSummary)>, D::Error> {
    struct Ordered;
    impl<'de> Visitor<'de> for Ordered {
        type Value = Vec<(String, ParameterSummary)>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a map from parameter names to their summaries")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut list: Self::Value = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, ParameterSummary>()? {
                if list.iter().any(|(n, _)| *n == name) {
                    return Err(serde::de::Error::custom(format!("parameter {name} stands there twice")));
                }
                list.push((name, value));
            }
            Ok(list)
        }
    }
    deserializer.deserialize_map(Ordered)
}
