//! A convolution on a device: stages of its own that put the source onto equal steps of ln E, work out the line's means over hats, and sum their products. An
//! array that is longer than the energies takes several slots, one behind the other.
//!
//! The ramps of bins that differ much from the next are not looked at one by one there, as `blur.rs` does; the steps are finer instead.

use std::fmt::Write;

/// Steps of ln E: this many mean bins, between these.
const BINS: f64 = 2.0;
const FINEST: f64 = 1.4e-4;
const COARSEST: f64 = 5e-4;
/// Light is not redder than this, and not bluer (ln g): 0.045 and 1.8.
const RED: f64 = 3.1;
const BLUE: f64 = 0.6;
/// An array takes no more slots than this, unless it has fewer numbers than the second.
const MOST_SLOTS: usize = 8;
const FEW: usize = 4096;
/// Numbers of the line's means that an invocation works out, which builds a line for them.
const RUN: u32 = 1024;

const STEPS: &str = include_str!("../../../../../../shaders/model/spread.wgsl");
const HATS: &str = include_str!("../../../../../../shaders/model/spread_hats.wgsl");

/// Steps of ln E on a device.
pub(crate) struct Mesh {
    steps: usize,
    first: f64,
    step: f64,
    energies: usize,
}

/// A stage of a convolution: its text, without that of the includes, the slots it fills, and how many numbers an invocation works out.
pub(crate) struct Part {
    pub text: String,
    /// Needs the text of the line.
    pub line: bool,
    pub slots: u32,
    pub run: Option<u32>,
}

impl Mesh {
    pub fn new(bins: &[(f64, f64)]) -> Self {
        let energies = bins.len().max(1);
        let (lo, hi) = (bins.first().map_or(1.0, |b| b.0), bins.last().map_or(2.0, |b| b.1));
        let extent = (hi / lo).ln();
        let wanted = (BINS * extent / energies as f64).clamp(FINEST, COARSEST);
        let room = (MOST_SLOTS * energies).max(FEW);
        let mut steps = ((extent / wanted).ceil() as usize).clamp(4, room);
        while steps > 4 && Self::hats_of(steps, extent) > room {
            steps = (steps * 9 / 10).max(4);
        }
        Self { steps, first: lo.ln(), step: extent / steps as f64, energies }
    }

    /// Numbers that the line's means may take.
    fn hats_of(steps: usize, extent: f64) -> usize {
        let step = extent / steps as f64;
        ((RED / step).ceil() as usize).min(steps) + ((BLUE / step).ceil() as usize).min(steps) + 4
    }

    fn slots(&self, numbers: usize) -> u32 {
        u32::try_from(numbers.div_ceil(self.energies)).unwrap_or(u32::MAX)
    }

    /// What stands before the text of every stage that uses the steps.
    pub fn constants(&self) -> String {
        let reach = ((RED / self.step).ceil() as usize).min(self.steps);
        // {:?} writes a point or an exponent.
        format!(
            "const SPREAD_STEPS = {}u;\nconst SPREAD_REACH = {reach}u;\nconst SPREAD_FIRST = {:?};\nconst SPREAD_STEP = {:?};\n{STEPS}",
            self.steps, self.first, self.step
        )
    }

    /// The stages before the one that holds the convolution `name`, whose parameters and table begin at these numbers: of the source in a slot, to be
    /// put into slots from `next`. Returns them and the slot that `relativistic_blur` reads.
    pub fn parts(&self, name: &str, parameter: usize, table: usize, source: u32, next: u32) -> ([Part; 3], u32) {
        let (wide, hats) =
            (self.slots(self.steps), self.slots(Self::hats_of(self.steps, self.step * self.steps as f64)));
        let plain = |call: String, slots: u32| {
            let mut text = String::new();
            let _ = write!(text, "fn stage_setup() {{\n}}\n\nfn stage_bin(i: u32) -> f32 {{\n    return {call};\n}}\n");
            Part { text, line: false, slots, run: None }
        };
        let cells = plain(format!("spread_cell({source}u, i)"), wide);
        let text = format!(
            "{HATS}\nvar<private> spread_line: Relativistic;\nvar<private> spread_room: Room;\n\nfn stage_setup() {{\n    spread_line = {name}_setup({parameter}u, {table}u, 0u, \
             &spread_room);\n    spread_corners(spread_line);\n}}\n\nfn stage_bin(i: u32) -> f32 {{\n    return spread_hat(spread_line, &spread_room, i);\n}}\n"
        );
        let line = Part { text, line: true, slots: hats, run: Some(RUN) };
        let sums = plain(format!("spread_sum({next}u, {}u, i)", next + wide), wide);
        ([cells, line, sums], next + wide + hats)
    }
}
