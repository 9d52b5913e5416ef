//! Slabs on a device (xillver, xillverCp): the table there, and the stages. Discs are for the host (docs/rejected.md).
//!
//! ```text
//! slab   shares of the table's directions, the place among the cut-offs
//! cells  the table's spectrum in its cells
//! bins   integrals over the bins, with the primary spectrum
//! ```

use super::{
    evaluate::{Evaluator, RENORMALISED},
    primary::{CUT_STEP, INDEX_STEP, SEEDS},
};
use crate::model::components::{CUBIC, POWER, THERMAL};
use std::fmt::Write;

/// Numbers that a device's table may take at all (2 GiB); see `Program::fitting`.
const MOST_NUMBERS: usize = 1 << 29;
/// Directions that a shader has room for.
const MOST_DIRECTIONS: usize = 60;
/// Numbers of a slab behind its directions.
const MORE: usize = 3;
/// Numbers per invocation: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
const RUN_CELLS: u32 = 32;
const RUN_BINS: u32 = 256;

type File = (&'static str, &'static str);

const ROOM: File = ("room", include_str!("../../../../../../shaders/model/room.wgsl"));
const SHARED: File = ("reflection", include_str!("../../../../../../shaders/model/reflection.wgsl"));
const SLAB: File = ("reflection_slab", include_str!("../../../../../../shaders/model/reflection_slab.wgsl"));
const CELLS: File = ("reflection_cells", include_str!("../../../../../../shaders/model/reflection_cells.wgsl"));
const BINS: File = ("reflection_bins", include_str!("../../../../../../shaders/model/reflection_bins.wgsl"));
const CUT: File = ("reflection_cut", include_str!("../../../../../../shaders/model/reflection_cut.wgsl"));
const COMPTONISED: File =
    ("reflection_thermal", include_str!("../../../../../../shaders/model/reflection_thermal.wgsl"));

/// A stage: its text without the files that every stage has, the slots that it fills, and how many numbers an invocation works out.
pub(crate) struct Part {
    pub text: String,
    pub slots: u32,
    pub run: u32,
}

/// Where numbers begin in the table, from its start, where the axes do.
struct Offsets {
    primary: usize,
    bins: usize,
    spectra: usize,
    end: usize,
}

/// A stage's text: `front`, files, what is done first and what gives a number.
fn whole(front: &str, files: &[File], setup: &str, call: &str) -> String {
    let files: Vec<&str> = files.iter().map(|(_, text)| *text).collect();
    let files = files.join("\n");
    format!(
        "{front}\n{files}\nfn stage_setup() {{\n    {setup}\n}}\n\nfn stage_bin(i: u32) -> f32 {{\n    return {call};\n}}\n\n"
    )
}

impl Evaluator {
    fn offsets(&self, bins: usize) -> Offsets {
        let nodes: usize = self.excerpt.axes.iter().map(|axis| axis.nodes.len()).sum();
        let primary = 5 * self.excerpt.axes.len() + nodes;
        let bins_at = primary + 4 + self.primary.numbers.len();
        let spectra = bins_at + 2 * bins;
        Offsets { primary, bins: bins_at, spectra, end: spectra + self.excerpt.spectra.len() }
    }

    /// Numbers of the table of a device for so many bins; `None`: there is none, and the host computes the spectra.
    pub fn device_numbers(&self, bins: usize) -> Option<usize> {
        let numbers = self.offsets(bins).end;
        let fits = numbers <= MOST_NUMBERS && self.excerpt.cosines.len() <= MOST_DIRECTIONS;
        (fits && self.scene.is_none()).then_some(numbers)
    }

    /// The table of a device, as [`Offsets`] says.
    pub fn device_table(&self, bins: &[(f64, f64)], out: &mut Vec<f32>) {
        let start = out.len();
        let offsets = self.offsets(bins.len());
        let mut at = 5 * self.excerpt.axes.len();
        for axis in &self.excerpt.axes {
            let (first, last) = (axis.nodes[0], axis.nodes[axis.nodes.len() - 1]);
            let slack = 1e-6 * (first.abs() + last.abs());
            let numbers =
                [axis.nodes.len() as f64, at as f64, f64::from(u8::from(axis.log)), first - slack, last + slack];
            out.extend(numbers.map(|x| x as f32));
            at += axis.nodes.len();
        }
        out.extend(self.excerpt.axes.iter().flat_map(|axis| &axis.nodes).map(|x| *x as f32));
        let primary = &self.primary;
        out.extend([primary.index.0 as f32, primary.index.1 as f32, primary.cut.0 as f32, primary.cut.1 as f32]);
        out.extend(primary.numbers.iter().map(|x| *x as f32));
        for (lo, hi) in bins {
            let (cell, rest) = self.cell((lo * hi).sqrt());
            out.extend([cell as f32, rest as f32]);
        }
        debug_assert_eq!(out.len() - start, offsets.spectra);
        out.extend(&self.excerpt.spectra);
        debug_assert_eq!(out.len() - start, offsets.end);
    }

    /// The cell of an energy, and the part of it below the energy.
    fn cell(&self, energy: f64) -> (f64, f64) {
        let place = (energy.ln() - self.excerpt.first) / self.excerpt.step;
        (place.floor(), place - place.floor())
    }

    /// The stages of a component whose parameters and table begin at these numbers, into slots of so many bins from `next` on; the last one's has its spectrum.
    pub fn parts(&self, bins: &[(f64, f64)], parameter: usize, table: usize, next: u32) -> Vec<Part> {
        let slots = |numbers: usize| u32::try_from(numbers.div_ceil(bins.len().max(1))).unwrap_or(u32::MAX);
        let slab = self.excerpt.cosines.len() + MORE;
        let cells = next + slots(slab);
        let front = format!(
            "{}const REFLECTION_SLAB_SLOT = {next}u;\nconst REFLECTION_CELLS_SLOT = {cells}u;\n{}",
            self.constants(bins, table),
            self.values(parameter)
        );
        let continuum = if self.kind.comptonised() { [ROOM, THERMAL, COMPTONISED] } else { [ROOM, POWER, CUT] };
        let last = [&[CUBIC, SHARED][..], &continuum, &[BINS]].concat();
        let part = |text, numbers, run| Part { text, slots: slots(numbers), run };
        vec![
            part(whole(&front, &[SHARED, SLAB], "", "reflection_slab(i)"), slab, slab as u32),
            part(
                whole(&front, &[SHARED, CELLS], "reflection_cells_setup();", "reflection_cells(i)"),
                self.excerpt.cells,
                RUN_CELLS,
            ),
            part(whole(&front, &last, "reflection_bins_setup();", "reflection_bin(i)"), bins.len(), RUN_BINS),
        ]
    }

    /// What the files of the shaders take from a run.
    fn constants(&self, bins: &[(f64, f64)], table: usize) -> String {
        let offsets = self.offsets(bins.len());
        let [below, beyond] = self.excerpt.more;
        let (at, rest) = self.cell(RENORMALISED * (1.0f64 - 1e-6).sqrt());
        let mut text = String::new();
        // Writing to a String cannot fail.
        for (name, value) in [
            ("AXES", table),
            ("PRIMARY", table + offsets.primary),
            ("BINS", table + offsets.bins),
            ("SPECTRA", table + offsets.spectra),
            ("CELLS", self.excerpt.cells),
            ("CUTS", self.excerpt.axes[4].nodes.len()),
            ("DIRECTIONS", self.excerpt.cosines.len()),
        ] {
            let _ = writeln!(text, "const REFLECTION_{name} = {value}u;");
        }
        for (name, value) in [
            ("STEP", self.excerpt.step),
            ("INDEX_STEP", INDEX_STEP),
            ("CUT_STEP", CUT_STEP),
            ("SEEDS", SEEDS),
            ("AT_REST", rest),
        ] {
            let _ = writeln!(text, "const REFLECTION_{name}: f32 = {value:?};");
        }
        for (name, value) in [("RENORMALISED", self.renormalise), ("BELOW", below), ("BEYOND", beyond)] {
            let _ = writeln!(text, "const REFLECTION_{name} = {value};");
        }
        let _ = writeln!(text, "const REFLECTION_AT_WHOLE = {at}i;");
        text
    }

    /// Functions that give the parameters.
    fn values(&self, first: usize) -> String {
        let places = self.kind.places();
        let at = |k: usize| format!("par({}u)", first + k);
        let role = |k: usize, missing: &str| places.roles[k].map_or(missing.to_string(), at);
        let mut text = String::new();
        for (name, value) in [
            ("index", role(0, "2.0")),
            ("iron", role(1, "1.0")),
            ("ionisation", role(2, "0.0")),
            ("density", role(3, &format!("{:?}", super::excerpt::DENSITY))),
            ("cut", format!("max({}, 1.0)", role(4, "300.0"))),
            ("tilt", role(5, "30.0")),
            ("redshift", at(places.redshift)),
            ("fraction", at(places.fraction)),
            ("norm", at(self.parameters - 1)),
        ] {
            let _ = writeln!(text, "fn reflection_{name}() -> f32 {{ return {value}; }}");
        }
        text
    }
}
