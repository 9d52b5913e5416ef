//! The embedded tables: cross sections (`data/cross_sections.bin.gz`, packed by `data/pack_cross_sections.py`) and
//! abundances (`data/abundances.json`).

use super::{absorption::Jump, bytes::Reader};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

/// Rows closer than this, relative, are the two sides of a jump.
const JUMP_DISTANCE: f64 = 3e-7;
/// Where the rows of a jump stand, relative to the first: just below it, so that an energy that stands for the edge, in single precision,
/// lies above. Energies of edges are round numbers, and so are those of many bins.
const SIDES: [f64; 2] = [-1.7e-7, -0.7e-7];

/// Whether a column jumps between a row and the next.
fn jumps_between(column: &[f32], row: usize) -> bool {
    let (a, b) = (f64::from(column[row]), f64::from(column[row + 1]));
    a > 0.0 && b > 0.0 && (b / a - 1.0).abs() > 1e-3
}

/// Cross sections of several species on one energy grid, in 1e-22 cm2 per atom.
#[derive(Debug)]
pub struct CrossSections {
    /// Energies in keV, ascending; jumps are two rows a relative 1e-7 apart, just below the edge.
    pub energies: Vec<f64>,
    ln_energies: Vec<f64>,
    columns: Vec<(String, Vec<f32>)>,
}

impl CrossSections {
    /// Species in the table's order (`H`, `He`, ..., `H2`).
    pub fn species(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Cross sections of all species at one energy: log sigma linear in log E between rows, 0 where either neighbour is 0
    /// and above the table; below it the first interval is extended.
    pub fn at(&self, energy: f64, out: &mut Vec<f64>) {
        out.clear();
        let row = self.energies.partition_point(|e| *e <= energy);
        let above = row >= self.energies.len();
        let low = row.saturating_sub(1).min(self.energies.len().saturating_sub(2));
        let (Some(a), Some(b)) = (self.ln_energies.get(low), self.ln_energies.get(low + 1)) else { return };
        let t = (energy.max(1e-6).ln() - a) / (b - a);
        for (_, column) in &self.columns {
            let pair = (column.get(low), column.get(low + 1));
            out.push(match pair {
                (Some(&s0), Some(&s1)) if !above && s0 > 0.0 && s1 > 0.0 => {
                    let (s0, s1) = (f64::from(s0), f64::from(s1));
                    s0 * (t * (s1 / s0).ln()).exp()
                }
                _ => 0.0,
            });
        }
    }

    /// Edges of every species but helium, ascending in energy: two rows next to each other between which it jumps.
    pub fn jumps(&self) -> Vec<Jump> {
        let near = |i: &usize| self.energies[i + 1] < self.energies[*i] * (1.0 + JUMP_DISTANCE);
        let rows: Vec<usize> = (0..self.energies.len().saturating_sub(1)).filter(near).collect();
        let edges = |row: usize| {
            let jumps = move |(_, (name, column)): &(usize, &(String, Vec<f32>))| {
                !name.starts_with("He") && jumps_between(column, row)
            };
            self.columns
                .iter()
                .enumerate()
                .filter(jumps)
                .map(move |(species, _)| Jump { energy: self.energies[row], species })
        };
        rows.into_iter().flat_map(edges).collect()
    }

    /// Cross sections of all species over a bin by the rule of bcmc: the value at the arithmetic middle; where an edge of the
    /// species falls inside, ln(sigma E^3) at the middle of each part, averaged by width. Helium always takes the middle.
    pub fn over(&self, lo: f64, hi: f64) -> Vec<f64> {
        let middle = 0.5 * (lo + hi);
        let mut out = Vec::new();
        self.at(middle, &mut out);
        let first = self.energies.partition_point(|e| *e <= lo);
        let last = self.energies.partition_point(|e| *e < hi).min(self.energies.len().saturating_sub(1));
        // Jumps: two rows next to each other.
        let pairs: Vec<usize> =
            (first..last).filter(|&i| self.energies[i + 1] < self.energies[i] * (1.0 + JUMP_DISTANCE)).collect();
        if pairs.is_empty() {
            return out;
        }
        let mut part = Vec::new();
        for (k, (name, column)) in self.columns.iter().enumerate() {
            let jumps = |i: &usize| jumps_between(column, *i);
            let edges: Vec<f64> = pairs.iter().copied().filter(jumps).map(|i| self.energies[i]).collect();
            if name.starts_with("He") || edges.is_empty() {
                continue;
            }
            let ends = edges.iter().copied().chain([hi]);
            let (mut from, mut sum) = (lo, 0.0);
            for to in ends {
                let at = 0.5 * (from + to);
                self.at(at, &mut part);
                sum += (to - from) * (part[k].max(1e-300) * at.powi(3)).ln();
                from = to;
            }
            out[k] = (sum / (hi - lo)).exp() / middle.powi(3);
        }
        out
    }

    /// The raw rows of one species, in the order of [`CrossSections::energies`].
    pub fn column(&self, species: &str) -> Option<&[f32]> {
        self.columns.iter().find(|(name, _)| name == species).map(|(_, c)| c.as_slice())
    }
}

fn unpack(packed: &[u8]) -> Option<BTreeMap<String, CrossSections>> {
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut raw).ok()?;
    let mut reader = Reader(&raw);
    if reader.take(4)? != b"RXS1" {
        return None;
    }
    let mut tables = BTreeMap::new();
    for _ in 0..reader.count()? {
        let name = reader.text()?;
        let (rows, count) = (reader.count()?, reader.count()?);
        let names = (0..count).map(|_| reader.text()).collect::<Option<Vec<_>>>()?;
        let planes = reader.take(rows.checked_mul(8)?)?;
        let mut energies: Vec<f64> =
            (0..rows).map(|i| f64::from_le_bytes(std::array::from_fn(|k| planes[k * rows + i]))).collect();
        for k in 1..energies.len() {
            let jump = energies[k - 1];
            if energies[k] < jump * (1.0 + JUMP_DISTANCE) {
                (energies[k - 1], energies[k]) = (jump * (1.0 + SIDES[0]), jump * (1.0 + SIDES[1]));
            }
        }
        let mut columns = Vec::with_capacity(count);
        for species in names {
            let planes = reader.take(rows.checked_mul(4)?)?;
            let mut bits = 0u32;
            let column = (0..rows)
                .map(|i| {
                    let zigzag = u32::from_le_bytes(std::array::from_fn(|k| planes[k * rows + i]));
                    bits = bits.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg());
                    f32::from_bits(bits)
                })
                .collect();
            columns.push((species, column));
        }
        let ln_energies = energies.iter().map(|e| e.ln()).collect();
        tables.insert(name, CrossSections { energies, ln_energies, columns });
    }
    Some(tables)
}

static TABLES: LazyLock<BTreeMap<String, CrossSections>> = LazyLock::new(|| {
    // Part of the program, and read by a test: a failure here cannot reach a user.
    unpack(include_bytes!("../../../../data/cross_sections.bin.gz")).expect("embedded cross sections")
});

static ABUNDANCES: LazyLock<BTreeMap<String, BTreeMap<String, f64>>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../data/abundances.json")).expect("embedded abundances")
});

/// The table `tbabs`, `vern` or `bcmc`.
pub fn cross_sections(name: &str) -> Option<&'static CrossSections> {
    TABLES.get(name)
}

/// Names of the abundance tables.
pub fn abundance_tables() -> Vec<&'static str> {
    ABUNDANCES.keys().map(String::as_str).collect()
}

/// Number abundances relative to hydrogen, by element symbol.
pub fn abundances(table: &str) -> Option<&'static BTreeMap<String, f64>> {
    ABUNDANCES.get(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_tables_unpack_to_the_published_rows() {
        let tbabs = cross_sections("tbabs").unwrap();
        assert_eq!(tbabs.energies.len(), 10850);
        assert_eq!(tbabs.species().count(), 19);
        assert_eq!(tbabs.energies[0], 0.03);
        assert_eq!(tbabs.column("H").unwrap()[0], 7064.208);
        assert_eq!(tbabs.column("H2").unwrap()[1], 26872.03);
        assert_eq!(cross_sections("vern").unwrap().column("Ni").unwrap()[0], 110.6008);
        let mut at = Vec::new();
        tbabs.at(tbabs.energies[1], &mut at);
        assert!((at[0] - 7035.07).abs() < 1e-3);
        tbabs.at(200.0, &mut at);
        assert!(at.iter().all(|s| *s == 0.0));
        for table in ["tbabs", "vern", "bcmc"] {
            let table = cross_sections(table).unwrap();
            assert!(table.energies.windows(2).all(|w| w[1] > w[0]));
        }
    }

    #[test]
    fn abundances_are_relative_to_hydrogen() {
        assert_eq!(abundance_tables().len(), 9);
        for table in abundance_tables() {
            let table = abundances(table).unwrap();
            assert_eq!(table["H"], 1.0);
            assert!(table["O"] > 1e-4 && table["O"] < 1e-3);
        }
    }
}
