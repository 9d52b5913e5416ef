//! A toy instrument with known right answers: 60 energies, 40 channels, 0.5 to 6.5 keV, a power law of 1000 s. Files are put together byte by
//! byte; expected counts are added up here, so that a file's C-STAT can be told without reading it.

#![allow(dead_code)]

use super::fits::{Data, file, table};

pub const ENERGIES: usize = 60;
pub const CHANNELS: usize = 40;
pub const EXPOSURE: f64 = 1000.0;

/// n + 1 limits from 0.5 to 6.5 keV.
pub fn grid(n: usize) -> Vec<f64> {
    (0..=n).map(|i| 0.5 + 6.0 * i as f64 / n as f64).collect()
}

pub fn area() -> Vec<f64> {
    (0..ENERGIES).map(|i| 100.0 + 50.0 * (i as f64 / 7.0).sin()).collect()
}

/// Energies by channels: a triangle of 0.4 keV half width, cut off where the channels end.
pub fn matrix() -> Vec<Vec<f64>> {
    let (e, c) = (grid(ENERGIES), grid(CHANNELS));
    // Integral of the triangle from -infinity.
    let below = |x: f64| {
        let t = (x / 0.4).clamp(-1.0, 1.0);
        if t < 0.0 { 0.5 * (1.0 + t) * (1.0 + t) } else { 1.0 - 0.5 * (1.0 - t) * (1.0 - t) }
    };
    let row = |i: usize| {
        let centre = 0.5 * (e[i] + e[i + 1]);
        c.windows(2).map(|w| below(w[1] - centre) - below(w[0] - centre)).collect()
    };
    (0..ENERGIES).map(row).collect()
}

/// Photons/cm2/s in each bin of a power law of index 1.7 and norm 0.02.
pub fn flux(edges: &[f64]) -> Vec<f64> {
    let primitive = |e: f64| 0.02 * e.powf(-0.7) / -0.7;
    edges.windows(2).map(|w| primitive(w[1]) - primitive(w[0])).collect()
}

/// Expected counts of every channel.
pub fn expected(matrix: &[Vec<f64>], area: &[f64]) -> Vec<f64> {
    let photons = flux(&grid(ENERGIES));
    (0..CHANNELS).map(|c| (0..ENERGIES).map(|i| photons[i] * area[i] * matrix[i][c]).sum::<f64>() * EXPOSURE).collect()
}

/// Counts near those expected: half a standard deviation up and down in turn.
pub fn counts() -> Vec<i32> {
    let mu = expected(&matrix(), &area());
    mu.iter().enumerate().map(|(i, m)| (m + if i % 2 == 0 { 0.5 } else { -0.5 } * m.sqrt()).round() as i32).collect()
}

pub fn cstat(counts: &[f64], mu: &[f64]) -> f64 {
    counts.iter().zip(mu).map(|(&k, m)| 2.0 * (m - k + if k > 0.0 { k * (k / m).ln() } else { 0.0 })).sum()
}

/// C-STAT of the toy's own counts and expected counts in bins that are lists of channels (from 0).
pub fn cstat_of(bins: &[Vec<usize>]) -> f64 {
    let (n, mu) = (counts(), expected(&matrix(), &area()));
    let sum = |of: &dyn Fn(usize) -> f64| bins.iter().map(|b| b.iter().map(|&i| of(i)).sum()).collect::<Vec<f64>>();
    cstat(&sum(&|i| f64::from(n[i])), &sum(&|i| mu[i]))
}

/// Every channel a bin, but for these.
pub fn all_but(left_out: &[usize]) -> Vec<Vec<usize>> {
    (0..CHANNELS).filter(|i| !left_out.contains(i)).map(|i| vec![i]).collect()
}

/// How the files are to be written.
#[derive(Clone)]
pub struct Rmf {
    pub name: &'static str,
    pub cards: Vec<(&'static str, &'static str)>,
    pub edges: Vec<f64>,
    pub rows: Vec<Vec<f64>>,
    /// Factor of all energies.
    pub scale: f64,
    pub first: i32,
}

impl Default for Rmf {
    fn default() -> Self {
        let cards = vec![("TLMIN4", "1"), ("TELESCOP", "'TOY'"), ("INSTRUME", "'TOY'"), ("DETCHANS", "40")];
        Rmf { name: "MATRIX", cards, edges: grid(ENERGIES), rows: matrix(), scale: 1.0, first: 1 }
    }
}

impl Rmf {
    pub fn with(mut self, key: &'static str, value: &'static str) -> Self {
        self.cards.retain(|(k, _)| *k != key);
        self.cards.push((key, value));
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.cards.retain(|(k, _)| *k != key);
        self
    }

    /// With the area multiplied in.
    pub fn with_area(mut self, factor: f64) -> Self {
        for (row, a) in self.rows.iter_mut().zip(area()) {
            row.iter_mut().for_each(|v| *v *= a * factor);
        }
        self
    }

    /// One group for each row, from its first element that is not 0 to its last.
    pub fn table(&self) -> Vec<u8> {
        let n = self.rows.len();
        let (mut first, mut len, mut values, mut groups) = (vec![], vec![], vec![], vec![]);
        for row in &self.rows {
            let a = row.iter().position(|v| *v != 0.0).unwrap_or(0);
            let b = row.iter().rposition(|v| *v != 0.0).map_or(a, |b| b + 1);
            groups.push(i16::from(b > a));
            first.push((a as i32 + self.first) as i16);
            len.push((b - a) as i16);
            values.push(row[a..b].to_vec());
        }
        let scaled = |e: &[f64]| Data::D(e.iter().map(|e| e * self.scale).collect());
        table(
            self.name,
            &self.cards,
            &[
                ("ENERG_LO", scaled(&self.edges[..n])),
                ("ENERG_HI", scaled(&self.edges[1..])),
                ("N_GRP", Data::I(groups)),
                ("F_CHAN", Data::I(first)),
                ("N_CHAN", Data::I(len)),
                ("MATRIX", Data::HeapD(values)),
            ],
        )
    }

    pub fn file(&self) -> Vec<u8> {
        file(&[self.table(), ebounds(&[], &grid(CHANNELS), self.scale, self.first)])
    }
}

/// EBOUNDS of these limits.
pub fn ebounds(cards: &[(&str, &str)], limits: &[f64], scale: f64, first: i32) -> Vec<u8> {
    let n = limits.len() - 1;
    let scaled = |e: &[f64]| Data::D(e.iter().map(|e| e * scale).collect());
    table(
        "EBOUNDS",
        cards,
        &[
            ("CHANNEL", Data::J((0..n as i32).map(|i| i + first).collect())),
            ("E_MIN", scaled(&limits[..n])),
            ("E_MAX", scaled(&limits[1..])),
        ],
    )
}

pub fn arf_with(cards: &[(&str, &str)], edges: &[f64], area: &[f64], scale: f64) -> Vec<u8> {
    let scaled = |e: &[f64]| Data::D(e.iter().map(|e| e * scale).collect());
    let mut all = vec![("TELESCOP", "'TOY'"), ("INSTRUME", "'TOY'")];
    all.extend_from_slice(cards);
    let columns = [
        ("ENERG_LO", scaled(&edges[..area.len()])),
        ("ENERG_HI", scaled(&edges[1..])),
        ("SPECRESP", Data::D(area.to_vec())),
    ];
    file(&[table("SPECRESP", &all, &columns)])
}

pub fn arf() -> Vec<u8> {
    arf_with(&[], &grid(ENERGIES), &area(), 1.0)
}

const SPECTRUM: [(&str, &str); 8] = [
    ("EXPOSURE", "1000.0"),
    ("POISSERR", "T"),
    ("TELESCOP", "'TOY'"),
    ("INSTRUME", "'TOY'"),
    ("DETCHANS", "40"),
    ("HDUCLAS2", "'TOTAL'"),
    ("RESPFILE", "'toy.rmf'"),
    ("ANCRFILE", "'toy.arf'"),
];

/// A SPECTRUM extension of these counts; cards replace the toy's own (an empty value removes one).
pub fn spectrum_hdu(counts: Data, cards: &[(&str, &str)], more: Vec<(&str, Data)>) -> Vec<u8> {
    let mut all: Vec<(&str, &str)> =
        SPECTRUM.into_iter().filter(|(k, _)| !cards.iter().any(|(other, _)| other == k)).collect();
    all.extend(cards.iter().filter(|(_, v)| !v.is_empty()));
    let mut columns = vec![("CHANNEL", Data::J((1..=CHANNELS as i32).collect())), ("COUNTS", counts)];
    columns.extend(more);
    table("SPECTRUM", &all, &columns)
}

pub fn pha(cards: &[(&str, &str)], more: Vec<(&str, Data)>) -> Vec<u8> {
    file(&[spectrum_hdu(Data::J(counts()), cards, more)])
}
