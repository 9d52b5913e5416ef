//! Reads the reference numbers of the shared data: gzipped CSV tables and the index of XSPEC's outputs.

#![allow(dead_code)] // each test uses its part

pub mod device;
pub mod points;
pub mod xspec;

use crate::common::data;
use std::{collections::BTreeMap, io::Read, path::Path};

/// Default settings with the excerpt of AtomDB's tables that comes with the tests.
pub fn with_excerpt() -> rontgen::model::Settings {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/apec");
    rontgen::model::Settings::default().with_atomdb(Some(folder))
}

/// Whether a component is one of those that every test of components looks at: not reflection by the user's table, which `tests/reflection.rs` and
/// `tests/reflection_device.rs` hold to account.
pub fn has_shader(component: &rontgen::model::catalogue::Component) -> bool {
    !rontgen::model::reflection::needs_table(&component.name.to_lowercase())
}

/// A CSV table with columns e_lo and e_hi.
pub struct Table {
    columns: BTreeMap<String, Vec<f64>>,
}

impl Table {
    pub fn read(name: &str) -> Self {
        let file = std::fs::File::open(data(name)).unwrap();
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap().split(',').collect();
        let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in lines {
            for (name, value) in names.iter().zip(line.split(',')) {
                columns.entry(name.to_string()).or_default().push(value.parse().unwrap_or(f64::NAN));
            }
        }
        Self { columns }
    }

    pub fn column(&self, name: &str) -> Vec<f64> {
        self.columns[name].clone()
    }

    pub fn edges(&self) -> Vec<f64> {
        let mut edges = self.column("e_lo");
        edges.push(*self.columns["e_hi"].last().unwrap());
        edges
    }
}

pub struct Set {
    pub column: String,
    pub parameters: Vec<(String, f64)>,
    pub abund: Option<String>,
    pub xsect: Option<String>,
    /// XSPEC's `xset` strings were not the defaults.
    pub xset: bool,
}

pub struct Golden {
    pub key: String,
    pub component: String,
    pub kind: String,
    pub table: Table,
    pub sets: Vec<Set>,
}

/// All of reference/xspec.
pub fn reference() -> Vec<Golden> {
    let index = std::fs::read_to_string(data("reference/xspec/index.json")).unwrap();
    let index: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&index).unwrap();
    let text = |v: &serde_json::Value| v.as_str().map(str::to_string);
    let mut out = Vec::new();
    for (key, entry) in index {
        let Some(file) = entry.get("file").and_then(text) else { continue };
        let sets = entry["sets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|set| Set {
                column: text(&set["column"]).unwrap(),
                parameters: set["params"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter_map(|(n, v)| Some((n.clone(), v.as_f64()?)))
                    .collect(),
                abund: text(&set["abund"]),
                xsect: text(&set["xsect"]),
                xset: set.get("xset").is_some_and(|x| x.as_object().is_some_and(|x| !x.is_empty())),
            })
            .collect();
        out.push(Golden {
            key,
            component: text(&entry["component"]).unwrap(),
            kind: text(&entry["type"]).unwrap(),
            table: Table::read(&format!("reference/xspec/{file}")),
            sets,
        });
    }
    out
}
