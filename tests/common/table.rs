//! XSPEC table models written for tests.

#![allow(dead_code)]

use super::fits::{Data, file_with, table};

/// One interpolated parameter: name, METHOD, values.
pub struct Axis<'a>(pub &'a str, pub i32, pub Vec<f32>);

/// A table model in the making; the fields may be spoilt before [`Model::bytes`].
pub struct Model<'a> {
    pub cards: Vec<(&'a str, &'a str)>,
    pub axes: Vec<Axis<'a>>,
    pub added: Vec<&'a str>,
    /// n + 1 energies.
    pub edges: Vec<f32>,
    /// Per grid point (last axis fastest) the spectrum, then those of the additional parameters.
    pub spectra: Vec<Vec<Vec<f32>>>,
    pub paramval: Vec<Vec<f32>>,
    pub numbvals: Vec<i32>,
    pub nintparm: String,
    pub naddparm: String,
}

impl<'a> Model<'a> {
    /// `spectrum(point, kind)`: kind 0 is the interpolated one, k the one of additional parameter k.
    pub fn new(
        additive: bool,
        axes: Vec<Axis<'a>>,
        added: Vec<&'a str>,
        edges: Vec<f32>,
        spectrum: impl Fn(&[f32], usize) -> Vec<f32>,
    ) -> Self {
        let mut points: Vec<Vec<f32>> = vec![Vec::new()];
        for axis in &axes {
            points = points.iter().flat_map(|p| axis.2.iter().map(|x| [&p[..], &[*x]].concat())).collect();
        }
        let kinds = 1 + added.len();
        let spectra = points.iter().map(|p| (0..kinds).map(|k| spectrum(p, k)).collect()).collect();
        let cards = [("MODLNAME", "'test'"), ("REDSHIFT", "F"), ("ESCALE", "F")];
        let add = [("ADDMODEL", if additive { "T" } else { "F" })];
        Self {
            cards: [&cards[..], &add[..]].concat(),
            numbvals: axes.iter().map(|a| a.2.len() as i32).chain(added.iter().map(|_| 0)).collect(),
            nintparm: axes.len().to_string(),
            naddparm: added.len().to_string(),
            axes,
            added,
            edges,
            spectra,
            paramval: points,
        }
    }

    pub fn set(mut self, key: &'a str, value: &'a str) -> Self {
        self.cards.retain(|(k, _)| *k != key);
        self.cards.push((key, value));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let rows = self.axes.len() + self.added.len();
        let longest = self.axes.iter().map(|a| a.2.len()).max().unwrap_or(1) + 1;
        let of = |axis: &dyn Fn(&Axis<'_>) -> f32, added: f32| {
            Data::E(self.axes.iter().map(axis).chain(self.added.iter().map(|_| added)).collect())
        };
        let first = |a: &Axis<'_>| *a.2.first().unwrap_or(&0.0);
        let last = |a: &Axis<'_>| *a.2.last().unwrap_or(&0.0);
        let mut values = Vec::new();
        for axis in &self.axes {
            values.extend(axis.2.iter().copied().chain(std::iter::repeat(0.0)).take(longest));
        }
        values.resize(rows * longest, 0.0);
        let names = self.axes.iter().map(|a| a.0.to_string()).chain(self.added.iter().map(|n| n.to_string())).collect();
        let methods = self.axes.iter().map(|a| a.1).chain(self.added.iter().map(|_| 0)).collect();
        let parameters = table(
            "PARAMETERS",
            &[("NINTPARM", &self.nintparm), ("NADDPARM", &self.naddparm)],
            &[
                ("NAME", Data::Text(12, names)),
                ("METHOD", Data::J(methods)),
                ("INITIAL", of(&first, 0.0)),
                ("DELTA", of(&|_| 0.01, 0.01)),
                ("MINIMUM", of(&first, -10.0)),
                ("BOTTOM", of(&first, -10.0)),
                ("TOP", of(&last, 10.0)),
                ("MAXIMUM", of(&last, 10.0)),
                ("NUMBVALS", Data::J(self.numbvals.clone())),
                ("VALUE", Data::VectorE(longest, values)),
            ],
        );
        let n = self.edges.len() - 1;
        let energies = table(
            "ENERGIES",
            &[],
            &[("ENERG_LO", Data::E(self.edges[..n].to_vec())), ("ENERG_HI", Data::E(self.edges[1..].to_vec()))],
        );
        let names: Vec<String> = (1..=self.added.len()).map(|k| format!("ADDSP{k:03}")).collect();
        let column = |k: usize| Data::VectorE(n, self.spectra.iter().flat_map(|s| s[k].clone()).collect());
        let mut columns = vec![("PARAMVAL", Data::VectorE(self.axes.len().max(1), self.paramval.concat()))];
        columns.push(("INTPSPEC", column(0)));
        columns.extend(names.iter().enumerate().map(|(k, name)| (name.as_str(), column(k + 1))));
        file_with(&self.cards, &[parameters, energies, table("SPECTRA", &[], &columns)])
    }
}

/// Photons of a power law of norm 1 in a bin.
pub fn power_law(index: f64, lo: f64, hi: f64) -> f64 {
    if (index - 1.0).abs() < 1e-9 {
        (hi / lo).ln()
    } else {
        (hi.powf(1.0 - index) - lo.powf(1.0 - index)) / (1.0 - index)
    }
}
