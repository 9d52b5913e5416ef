//! The rows of a batch on the CPU, one by one: read or drawn where a tile needs them, without a copy of the batch.

use crate::device::{Cpu, Fault, RowBlocks};
use crate::kernels::poisson::{self, Source};
use crate::kernels::standardize;
use crate::summarize::{Spectra, Targets};
use rayon::prelude::*;

/// Stream of the twins, apart from that of the counts.
pub const TWIN_STREAM: u32 = 0x8000_0000;

/// Which spectra a batch holds and what they are compared with.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) spectra: Spectra<'a>,
    pub(super) targets: Targets,
    /// Means and standard deviations of ln(1 + x), `2 x bins`.
    pub(super) scale: &'a [f32],
    /// Row of every spectrum of the batch, within the selection where there is one.
    pub(super) index: &'a [u32],
    pub(super) selection: Option<&'a [u32]>,
    /// Random numbers of the first row.
    pub(super) first: usize,
    /// What the draws give, where it is known already.
    pub(super) drawn: Option<&'a Drawn>,
}

/// The draws of a batch: counts, and twins where they are the targets.
pub(super) struct Drawn {
    pub(super) counts: Vec<f32>,
    pub(super) twins: Vec<f32>,
}

fn row(blocks: &RowBlocks<f32>, row: usize) -> &[f32] {
    let (block, cols) = (row / blocks.block_rows(), blocks.cols());
    &blocks.blocks[block].cpu()[(row % blocks.block_rows()) * cols..][..cols]
}

impl<'a> Batch<'a> {
    pub(super) fn rows(&self) -> usize {
        self.index.len()
    }

    /// Whether targets are drawn along with the spectra and have to be kept until the loss asks for them.
    pub(super) fn keeps_targets(&self) -> bool {
        matches!(self.spectra, Spectra::Drawn { .. }) && self.targets != Targets::Expected
    }

    fn source_row(&self, r: usize) -> usize {
        let row = self.index[r] as usize;
        self.selection.map_or(row, |rows| rows[row] as usize)
    }

    /// Asks for the numbers of row `r` (if there is one) ahead of their use: rows are picked at random, so that nothing else can
    /// know which comes next.
    // Stable Rust has this hint on x86-64 alone.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub(super) fn prefetch(&self, r: usize) {
        #[cfg(target_arch = "x86_64")]
        if r < self.index.len() {
            let blocks = match self.spectra {
                Spectra::Stored { counts, .. } => counts,
                Spectra::Drawn { expected, .. } => expected,
            };
            for line in row(blocks, self.source_row(r)).chunks(16) {
                // SAFETY: a hint, on an address of a live slice.
                unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
            }
        }
    }

    /// Row `r` of the batch, standardised, into `input`. `counts` is scratch for a spectrum; `kept`, a row too, receives the
    /// target where [`Batch::keeps_targets`].
    pub(super) fn fetch(&self, cpu: &Cpu, r: usize, counts: &mut [f32], kept: &mut [f32], input: &mut [f32]) {
        let bins = counts.len();
        let (means, sds) = self.scale.split_at(bins);
        let source = self.source_row(r);
        match self.spectra {
            Spectra::Stored { counts, .. } => standardize::apply_row(row(counts, source), means, sds, input),
            Spectra::Drawn { .. } => match self.drawn {
                Some(drawn) => standardize::apply_row(&drawn.counts[r * bins..][..bins], means, sds, input),
                None => {
                    self.draw(cpu, r, counts, if self.targets == Targets::Twin { kept } else { &mut [] });
                    if self.targets == Targets::Counts {
                        kept[..bins].copy_from_slice(counts);
                    }
                    standardize::apply_row(counts, means, sds, input);
                }
            },
        }
    }

    /// Draws row `r`, and its twin where there is room for one.
    fn draw(&self, cpu: &Cpu, r: usize, counts: &mut [f32], twin: &mut [f32]) {
        let Spectra::Drawn { expected, source } = self.spectra else { return };
        let (mu, number) = (row(expected, self.source_row(r)), self.first + r);
        let draw = |source: Source, out: &mut [f32]| {
            if !poisson::draw_row(source, number as u32, mu, out) {
                cpu.status.raise(Fault::Poisson, number);
            }
        };
        draw(source, counts);
        if !twin.is_empty() {
            draw(Source { stream: source.stream | TWIN_STREAM, ..source }, &mut twin[..mu.len()]);
        }
    }

    /// Draws all rows.
    pub(super) fn draw_all(&self, cpu: &Cpu) -> Drawn {
        let (rows, bins) = (self.rows(), self.scale.len() / 2);
        let twins = if self.targets == Targets::Twin { rows * bins } else { 0 };
        let mut drawn = Drawn { counts: vec![0.0; rows * bins], twins: vec![0.0; twins] };
        let counts = drawn.counts.par_chunks_mut(bins).enumerate();
        match twins {
            0 => counts.for_each(|(r, counts)| self.draw(cpu, r, counts, &mut [])),
            _ => counts
                .zip(drawn.twins.par_chunks_mut(bins))
                .for_each(|((r, counts), twin)| self.draw(cpu, r, counts, twin)),
        }
        drawn
    }

    /// What row `r` is compared with.
    pub(super) fn target<'t>(&self, r: usize, kept: &'t [f32]) -> &'t [f32]
    where
        'a: 't,
    {
        match self.spectra {
            Spectra::Stored { counts, targets } => row(targets.unwrap_or(counts), self.source_row(r)),
            Spectra::Drawn { expected, .. } if self.targets == Targets::Expected => row(expected, self.source_row(r)),
            Spectra::Drawn { .. } => match self.drawn {
                Some(Drawn { counts, twins }) => {
                    let bins = self.scale.len() / 2;
                    let all = if self.targets == Targets::Twin { twins } else { counts };
                    &all[r * bins..][..bins]
                }
                None => kept,
            },
        }
    }
}
