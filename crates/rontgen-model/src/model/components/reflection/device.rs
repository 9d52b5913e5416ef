//! Reflection on a device: its table there, and its stages.
//!
//! ```text
//! returning  of lamps: for each ring its illumination over that by the lamp alone
//! zones      of each zone the directions, the place among the cut-offs, and the line in cells of the table's width (of xillver one, without a line)
//! cells      of each zone the table's spectrum in its cells
//! sum        the zones' spectra spread by their lines, added up
//! whole      that and the primary spectrum in cells
//! bins       integrals over the bins; of xillver with the primary spectrum
//! ```

use super::{
    evaluate::{Evaluator, RENORMALISED, SHIFTS},
    primary::{CUT_STEP, INDEX_STEP, SEEDS},
    zones::ZONES,
};
use crate::model::components::{
    CUBIC, DISKLINE, PAIR, POWER, RELATIVISTIC, RELATIVISTIC_LIGHT, RELATIVISTIC_PLACES, THERMAL,
    relativistic::layout::{HEADER, POINTS},
    stretch,
};
use rontgen_kerr::kerr::{FINENESS, returning::RINGS};
use std::fmt::Write;

/// Numbers that a device's table may take at all (2 GiB); see `Program::fitting`.
const MOST_NUMBERS: usize = 1 << 29;
/// Directions that a shader has room for.
const MOST_DIRECTIONS: usize = 60;
/// Numbers of a zone before its line's.
const HEAD: usize = 8;
/// Cells beside the band, for parabolas and for what f32 knows of a redshift.
const BESIDE: isize = 4;
/// Numbers per invocation: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
const RUN_RETURNING: u32 = 10;
const RUN_CELLS: u32 = 32;
const RUN_SUM: usize = 16;
const MOST_TURNS: usize = 50_000;
const RUN_BINS: u32 = 256;

/// What a disc's bins are of: cells that have all in them.
const ALONE: &str = "fn reflection_source_setup() -> f32 { return 1.0; }\n\
    fn reflection_continuum(ln_middle: f32, middle: f32, extent: f32) -> f32 { return 0.0; }\n";

type File = (&'static str, &'static str);

const ROOM: File = ("room", include_str!("../../../../../../shaders/model/room.wgsl"));
const SHARED: File = ("reflection", include_str!("../../../../../../shaders/model/reflection.wgsl"));
const RETURNING: File =
    ("reflection_returning", include_str!("../../../../../../shaders/model/reflection_returning.wgsl"));
const DISC: File = ("reflection_zones", include_str!("../../../../../../shaders/model/reflection_zones.wgsl"));
const SLAB: File = ("reflection_slab", include_str!("../../../../../../shaders/model/reflection_slab.wgsl"));
const CELLS: File = ("reflection_cells", include_str!("../../../../../../shaders/model/reflection_cells.wgsl"));
const SUM: File = ("reflection_sum", include_str!("../../../../../../shaders/model/reflection_sum.wgsl"));
const SOURCE: File = ("reflection_source", include_str!("../../../../../../shaders/model/reflection_source.wgsl"));
const WHOLE: File = ("reflection_whole", include_str!("../../../../../../shaders/model/reflection_whole.wgsl"));
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

/// A stage's name, which its functions have, too, the numbers that it fills, numbers per invocation, and its files with what stands before them.
struct Wanted<'t> {
    name: &'static str,
    numbers: usize,
    run: u32,
    before: &'t str,
    files: Vec<File>,
}

impl<'t> Wanted<'t> {
    fn new(name: &'static str, numbers: usize, run: u32, before: &'t str, files: Vec<File>) -> Self {
        Self { name, numbers, run, before, files }
    }

    fn text(&self, front: &str) -> String {
        let files: Vec<&str> = self.files.iter().map(|(_, text)| *text).collect();
        let (name, before, files) = (self.name, self.before, files.join("\n"));
        format!(
            "{front}{before}\n{files}\nfn stage_setup() {{\n    reflection_{name}_setup();\n}}\n\nfn stage_bin(i: u32) -> f32 {{\n    return \
             reflection_{name}(i);\n}}\n\n"
        )
    }
}

/// Where numbers begin in the table, from its start.
struct Offsets {
    axes: usize,
    primary: usize,
    energies: usize,
    moments: usize,
    bins: usize,
    spectra: usize,
    end: usize,
}

impl Evaluator {
    fn offsets(&self, bins: usize) -> Offsets {
        let rays = self.scene.as_ref().map_or(0, |scene| HEADER + POINTS + scene.images.len() + scene.lamps.len());
        let nodes: usize = self.excerpt.axes.iter().map(|axis| axis.nodes.len()).sum();
        let axes = rays;
        let primary = axes + 5 * self.excerpt.axes.len() + nodes;
        let energies = primary + 4 + self.primary.numbers.len();
        let moments = energies + 2 * self.excerpt.energies.len();
        let returning = self.scene.as_ref().and_then(|scene| scene.returning.as_ref());
        let bins_at = moments + returning.map_or(0, |moments| moments.numbers.len());
        let spectra = bins_at + 2 * bins;
        Offsets { axes, primary, energies, moments, bins: bins_at, spectra, end: spectra + self.excerpt.spectra.len() }
    }

    /// Numbers of the table of a device for so many bins; `None`: there is none, and the host computes the spectra.
    pub fn device_numbers(&self, bins: usize) -> Option<usize> {
        let numbers = self.offsets(bins).end;
        let fits = numbers <= MOST_NUMBERS && self.excerpt.cosines.len() <= MOST_DIRECTIONS && FINENESS == 1;
        fits.then_some(numbers)
    }

    /// Cells of what comes out, from the excerpt's first, and how many.
    fn out(&self, bins: &[(f64, f64)]) -> (isize, usize) {
        if self.scene.is_none() {
            return (0, self.excerpt.cells);
        }
        let (lo, hi) = (bins.first().map_or(1.0, |b| b.0), bins.last().map_or(2.0, |b| b.1));
        let (mut lo, mut hi) = (lo * stretch(self.redshifts.0), hi * stretch(self.redshifts.1));
        if self.renormalise {
            (lo, hi) =
                (lo.min(RENORMALISED * stretch(self.redshifts.0)), hi.max(RENORMALISED * stretch(self.redshifts.1)));
        }
        let place = |e: f64| (e.ln() - self.excerpt.first) / self.excerpt.step;
        let (from, to) = (place(lo).floor() as isize - BESIDE, place(hi).ceil() as isize + BESIDE);
        (from, (to - from) as usize)
    }

    /// Cells that a line may take.
    fn line_cells(&self) -> usize {
        match self.scene {
            Some(_) => ((SHIFTS.1 / SHIFTS.0).ln() / self.excerpt.step).ceil() as usize + 3,
            None => 0,
        }
    }

    /// The table of a device, as [`Offsets`] says.
    pub fn device_table(&self, bins: &[(f64, f64)], out: &mut Vec<f32>) {
        let start = out.len();
        let offsets = self.offsets(bins.len());
        if let Some(scene) = &self.scene {
            out.extend(scene.header().iter().map(|x| *x as f32));
            out.extend(scene.images.iter().chain(scene.lamps.iter()).map(|x| *x as f32));
        }
        debug_assert_eq!(out.len() - start, offsets.axes);
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
        out.extend(self.excerpt.energies.iter().flatten().map(|x| *x as f32));
        if let Some(moments) = self.scene.as_ref().and_then(|scene| scene.returning.as_ref()) {
            out.extend(moments.numbers.iter().map(|x| *x as f32));
        }
        let (from, _) = self.out(bins);
        for (lo, hi) in bins {
            let (cell, rest) = self.cell((lo * hi).sqrt(), from);
            out.extend([cell as f32, rest as f32]);
        }
        debug_assert_eq!(out.len() - start, offsets.spectra);
        out.extend(&self.excerpt.spectra);
        debug_assert_eq!(out.len() - start, offsets.end);
    }

    /// The cell of an energy, from number `from` on, and the part of it below the energy.
    fn cell(&self, energy: f64, from: isize) -> (f64, f64) {
        let place = (energy.ln() - self.excerpt.first) / self.excerpt.step - from as f64;
        (place.floor(), place - place.floor())
    }

    /// The stages of a component whose parameters and table begin at these numbers, into slots of so many bins from `next` on; the last one's has its spectrum.
    pub fn parts(&self, bins: &[(f64, f64)], parameter: usize, table: usize, next: u32) -> Vec<Part> {
        let slots = |numbers: usize| u32::try_from(numbers.div_ceil(bins.len().max(1))).unwrap_or(u32::MAX);
        let returning = self.scene.as_ref().is_some_and(|scene| scene.returning.is_some());
        let zones = if self.scene.is_some() { ZONES } else { 1 };
        let zone = self.excerpt.cosines.len() + HEAD + self.line_cells();
        let (_, count) = self.out(bins);
        let front = self.constants(bins, table);
        let continuum = if self.kind.comptonised() { [ROOM, THERMAL, COMPTONISED] } else { [ROOM, POWER, CUT] };
        let source = [&[CUBIC, SHARED][..], &continuum, &[SOURCE]].concat();
        let line = [ROOM, DISKLINE, CUBIC, PAIR, RELATIVISTIC_LIGHT, RELATIVISTIC_PLACES, RELATIVISTIC, SHARED];
        let disc = if self.scene.is_some() { self.disc(parameter) } else { String::new() };
        let mut stages: Vec<Wanted<'_>> = Vec::new();
        if returning {
            let files = [&line[..], &[RETURNING]].concat();
            stages.push(Wanted::new("returning", RINGS, RUN_RETURNING, &disc, files));
        }
        let (own, files) = match self.scene {
            Some(_) => ("zones", [&line[..], &[DISC]].concat()),
            None => ("slab", vec![CUBIC, SHARED, SLAB]),
        };
        stages.push(Wanted::new(own, zones * zone, zone as u32, &disc, files));
        stages.push(Wanted::new("cells", zones * self.excerpt.cells, RUN_CELLS, "", vec![CUBIC, SHARED, CELLS]));
        let mut last = [&source[..], &[BINS]].concat();
        if self.scene.is_some() {
            let run = (MOST_TURNS / (ZONES * (self.line_cells() / 8 + 8))).clamp(1, RUN_SUM) as u32;
            stages.push(Wanted::new("sum", count, run, "", vec![CUBIC, SHARED, SUM]));
            stages.push(Wanted::new("whole", count, RUN_BINS, "", [&source[..], &[WHOLE]].concat()));
            last = vec![CUBIC, SHARED, BINS];
        }
        let alone = if self.scene.is_some() { ALONE } else { "" };
        stages.push(Wanted::new("bins", bins.len(), RUN_BINS, alone, last));
        // Where the stages put their numbers; one that there is not is where the next one is.
        let (mut places, mut at) = (String::new(), next);
        for (name, others) in [
            ("RETURNING", &["returning"][..]),
            ("ZONES", &["zones", "slab"]),
            ("CELLS", &["cells"]),
            ("SUM", &["sum"]),
            ("OUT", &["whole"]),
        ] {
            let stage = stages.iter().find(|stage| others.contains(&stage.name));
            let place = if stage.is_none() && name == "OUT" { at - slots(zones * self.excerpt.cells) } else { at };
            // Writing to a String cannot fail.
            let _ = writeln!(places, "const REFLECTION_{name}_SLOT = {place}u;");
            at += stage.map_or(0, |stage| slots(stage.numbers));
        }
        let front = format!("{front}{places}{}", self.values(parameter));
        stages
            .iter()
            .map(|stage| Part { text: stage.text(&front), slots: slots(stage.numbers), run: stage.run })
            .collect()
    }

    /// What the files of the shaders take from a run.
    fn constants(&self, bins: &[(f64, f64)], table: usize) -> String {
        let offsets = self.offsets(bins.len());
        let (from, count) = self.out(bins);
        let scene = self.scene.as_ref();
        let returning = scene.and_then(|scene| scene.returning.as_ref());
        let zones = if scene.is_some() { ZONES } else { 1 };
        let directions = self.excerpt.cosines.len();
        let [below, beyond] = if scene.is_some() { [true; 2] } else { self.excerpt.more };
        let (whole, rest) = self.cell(RENORMALISED * (1.0f64 - 1e-6).sqrt(), from);
        let mut text = String::new();
        for (name, value) in [
            ("TABLE", table),
            ("AXES", table + offsets.axes),
            ("PRIMARY", table + offsets.primary),
            ("ENERGIES", table + offsets.energies),
            ("MOMENTS", table + offsets.moments),
            ("BINS", table + offsets.bins),
            ("SPECTRA", table + offsets.spectra),
            ("CELLS", self.excerpt.cells),
            ("CUTS", self.excerpt.axes[4].nodes.len()),
            ("DIRECTIONS", directions),
            ("ZONES", zones),
            ("ZONE_SIZE", directions + HEAD + self.line_cells()),
            ("OUT", count),
            ("POWERS", returning.map_or(1, |moments| moments.powers)),
        ] {
            let _ = writeln!(text, "const REFLECTION_{name} = {value}u;");
        }
        for (name, value) in [
            ("STEP", self.excerpt.step),
            ("INDEX_STEP", INDEX_STEP),
            ("CUT_STEP", CUT_STEP),
            ("SEEDS", SEEDS),
            ("AT_REST", rest),
            ("LN_FIRST", self.excerpt.first + self.excerpt.step * from as f64),
            ("FIRST_POWER", returning.map_or(0.0, |moments| moments.first)),
            ("REDDEST", SHIFTS.0),
            ("BLUEST", SHIFTS.1),
        ] {
            let _ = writeln!(text, "const REFLECTION_{name}: f32 = {value:?};");
        }
        for (name, value) in [
            ("FLAT", scene.is_none()),
            ("BROKEN", self.kind.places().broken.is_some()),
            ("COMPTONISED", self.kind.comptonised()),
            ("RENORMALISED", self.renormalise),
            ("RETURNING", returning.is_some()),
            ("BELOW", below),
            ("BEYOND", beyond),
        ] {
            let _ = writeln!(text, "const REFLECTION_{name} = {value};");
        }
        let _ = writeln!(text, "const REFLECTION_FROM = {from}i;\nconst REFLECTION_AT_WHOLE = {whole}i;");
        text
    }

    /// Functions that give the parameters.
    fn values(&self, first: usize) -> String {
        let places = self.kind.places();
        let at = |k: usize| format!("par({}u)", first + k);
        let role = |k: usize, missing: &str| places.roles[k].map_or(missing.to_string(), at);
        let over = |k: Option<usize>| k.map_or("false".to_string(), |k| format!("{} > 0.5", at(k)));
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
        let [returning, boost] = [0, 1].map(|k| over(places.switches.map(|switches| switches[k])));
        let _ = writeln!(text, "fn reflection_switch() -> bool {{ return {returning}; }}");
        let _ = writeln!(text, "fn reflection_boost() -> bool {{ return {boost}; }}");
        text
    }

    /// A function that gives the disc.
    fn disc(&self, first: usize) -> String {
        let places = self.kind.places();
        let at = |k: usize| format!("par({}u)", first + k);
        let [spin, inner, outer] = places.disc.unwrap_or_default().map(at);
        let (kind, light) = match (places.lamp, places.broken) {
            (Some([height, _]), _) => (1, format!("{}, 0.0, reflection_index()", at(height))),
            (_, Some([index, beyond, radius])) => {
                (0, format!("{}, {}, max({}, 1e-3)", at(index), at(beyond), at(radius)))
            }
            _ => (0, "3.0, 3.0, 15.0".into()),
        };
        format!(
            "fn reflection_disc() -> RelativisticDisc {{\n    let outer = {outer};\n    return RelativisticDisc({spin}, reflection_tilt(), {inner}, \
             select(outer, -outer * (1.0 + relativistic_isco({spin})), outer < 0.0), false, 0.0, {kind}u, vec3<f32>({light}), false);\n}}\n"
        )
    }
}
