//! The rows of a batch on the CPU, one by one: read or drawn where a tile needs them, without a copy of the batch.

use crate::device::{Cpu, Fault, RowBlocks};
use crate::kernels::poisson::{self, Source};
use crate::kernels::standardize;
use crate::summarize::{Spectra, Targets};

/// Stream of the twins, apart from that of the counts.
pub(super) const TWIN_STREAM: u32 = 0x8000_0000;

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

    /// Row `r` of the batch, standardised, into `input`. `counts` is scratch for a spectrum; `kept`, a row too, receives the
    /// target where [`Batch::keeps_targets`].
    pub(super) fn fetch(&self, cpu: &Cpu, r: usize, counts: &mut [f32], kept: &mut [f32], input: &mut [f32]) {
        let bins = counts.len();
        let (means, sds) = self.scale.split_at(bins);
        let source = self.source_row(r);
        match self.spectra {
            Spectra::Stored { counts, .. } => standardize::apply_row(row(counts, source), means, sds, input),
            Spectra::Drawn { expected, source: key } => {
                let mu = row(expected, source);
                let number = self.first + r;
                let draw = |key: Source, out: &mut [f32]| {
                    if !poisson::draw_row(key, number as u32, mu, out) {
                        cpu.status.raise(Fault::Poisson, number);
                    }
                };
                draw(key, counts);
                match self.targets {
                    Targets::Counts => kept[..bins].copy_from_slice(counts),
                    Targets::Twin => {
                        draw(Source { stream: key.stream | TWIN_STREAM, ..key }, &mut kept[..bins]);
                    }
                    Targets::Expected => {}
                }
                standardize::apply_row(counts, means, sds, input);
            }
        }
    }

    /// What row `r` is compared with.
    pub(super) fn target<'t>(&self, r: usize, kept: &'t [f32]) -> &'t [f32]
    where
        'a: 't,
    {
        match self.spectra {
            Spectra::Stored { counts, targets } => row(targets.unwrap_or(counts), self.source_row(r)),
            Spectra::Drawn { expected, .. } if self.targets == Targets::Expected => row(expected, self.source_row(r)),
            Spectra::Drawn { .. } => kept,
        }
    }
}
