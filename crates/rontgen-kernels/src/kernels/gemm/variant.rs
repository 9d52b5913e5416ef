//! The pipelines of the family: which defines make which variant of the shader.

use super::{PORTABLE, Shape, TILES};
use crate::device::Kernel;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

const SOURCE: &str = include_str!("../../../../../shaders/gemm.wgsl");

/// What the epilogue does with a saved matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Saved {
    None,
    Save,
    Derivative,
}

/// What the epilogue leaves of every column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Columns {
    None,
    Moments,
    Back,
}

/// One pipeline of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    /// `None`: adds the parts of a split product.
    pub shape: Option<Shape>,
    /// Of A and B.
    pub vec4: [bool; 2],
    pub transposed: [bool; 2],
    /// Stores partial sums: no epilogue.
    pub split: bool,
    pub standardise: bool,
    pub bias: bool,
    pub saved: Saved,
    pub columns: Columns,
    pub sums: bool,
}

static TABLE: LazyLock<Mutex<HashMap<Variant, Arc<Kernel>>>> = LazyLock::new(Mutex::default);

impl Variant {
    /// The one that stores the parts of a split product.
    pub fn partial(self) -> Self {
        Self { split: true, bias: false, saved: Saved::None, columns: Columns::None, ..self }
    }

    /// The one that adds them.
    pub fn finish(self) -> Self {
        Self { shape: None, vec4: [false; 2], transposed: [false; 2], standardise: false, ..self }
    }

    pub fn kernel(self) -> Arc<Kernel> {
        let mut table = TABLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        table.entry(self).or_insert_with(|| Arc::new(self.build())).clone()
    }

    fn build(self) -> Kernel {
        let mut name = String::from("gemm");
        let mut defines: Vec<(&'static str, String)> = Vec::new();
        let flag = |key: &'static str| (key, String::new());
        let either = |condition: bool, yes: &'static str, no: &'static str| flag(if condition { yes } else { no });
        // Bindings are numbered without gaps; C comes after A and B, or after the partial sums.
        let mut next = if self.shape.is_some() { 3 } else { 2 };
        let mut binding = |key: &'static str| {
            next += 1;
            (key, (next - 1).to_string())
        };
        if let Some(shape) = self.shape {
            match shape {
                Shape::Tiles(tile) => {
                    name += ".tiles.";
                    name += TILES[tile].name;
                    defines.push(flag("TILES"));
                    defines.extend(TILES[tile].defines());
                }
                Shape::Direct => {
                    name += ".direct";
                    defines.push(flag("DIRECT"));
                }
            }
            let letter = |is: bool, yes: char, no: char| if is { yes } else { no };
            name.push('.');
            name.extend(self.vec4.map(|vec4| letter(vec4, '4', '1')));
            name.push('.');
            name.extend(self.transposed.map(|transposed| letter(transposed, 't', 'n')));
            defines.push(either(self.vec4[0], "A_4", "A_1"));
            defines.push(either(self.vec4[1], "B_4", "B_1"));
            defines.push(either(self.transposed[0], "A_T", "A_N"));
            defines.push(either(self.transposed[1], "B_T", "B_N"));
            defines.push(flag("PRODUCT"));
            if self.standardise {
                name += ".standardise";
                defines.push(binding("STANDARDISE"));
            } else {
                defines.push(flag("RAW"));
            }
        } else {
            name += ".finish";
            defines.push(flag("FINISH"));
            defines.push(either(self.columns == Columns::None, "FINISH_PLAIN", "FINISH_COLUMNS"));
        }
        defines.push(binding("C"));
        if self.sums {
            name += ".sums";
            defines.push(flag("SUMS"));
        }
        if self.split {
            name += ".split";
            defines.extend([flag("SPLIT"), flag("PLAIN")]);
            return Kernel::variant(name, SOURCE, defines);
        }
        defines.push(flag("WHOLE"));
        if self.bias {
            name += ".bias";
            defines.push(binding("BIAS"));
        }
        match self.saved {
            Saved::None => {}
            Saved::Save => {
                name += ".save";
                defines.push(binding("SAVE"));
            }
            Saved::Derivative => {
                name += ".derivative";
                defines.push(binding("DERIVATIVE"));
            }
        }
        match self.columns {
            Columns::None => defines.push(flag("PLAIN")),
            Columns::Moments => {
                name += ".moments";
                defines.push(flag("MOMENTS"));
            }
            Columns::Back => {
                name += ".back";
                defines.extend([binding("BACK"), binding("STATISTICS"), binding("VALUE"), flag("PRODUCTS")]);
            }
        }
        if self.columns != Columns::None {
            defines.push(binding("COLUMNS"));
        }
        if self.saved != Saved::Derivative && self.columns != Columns::Back {
            defines.push(flag("FORWARD"));
        }
        Kernel::variant(name, SOURCE, defines)
    }
}

fn family(shape: Shape) -> Vec<Variant> {
    let plain = Variant {
        shape: Some(shape),
        vec4: [true; 2],
        transposed: [false; 2],
        split: false,
        standardise: false,
        bias: false,
        saved: Saved::None,
        columns: Columns::None,
        sums: false,
    };
    let mut whole = Vec::new();
    for k in 0..16 {
        let bit = |at: usize| k >> at & 1 == 1;
        let ways = Variant { transposed: [bit(0), bit(1)], vec4: [bit(2), bit(3)], ..plain };
        if shape == Shape::Direct && bit(2) != bit(3) {
            continue;
        }
        for bias in [false, true] {
            whole.extend([Saved::None, Saved::Save, Saved::Derivative].map(|saved| Variant { bias, saved, ..ways }));
        }
        if let Shape::Tiles(_) = shape {
            whole.push(Variant { sums: true, ..ways });
            for columns in [Columns::None, Columns::Moments, Columns::Back] {
                whole.push(Variant { columns, ..ways });
            }
            for columns in [Columns::None, Columns::Moments] {
                whole.push(Variant { columns, standardise: true, ..ways });
            }
        }
    }
    let parts: Vec<_> = whole.iter().map(|variant| variant.partial()).collect();
    let finish: Vec<_> = whole.iter().map(|variant| variant.finish()).collect();
    [whole, parts, finish].concat()
}

fn distinct(shapes: impl Iterator<Item = Shape>) -> Vec<Kernel> {
    let mut kernels: Vec<(Variant, Kernel)> = Vec::new();
    for variant in shapes.flat_map(family) {
        if kernels.iter().all(|(known, _)| *known != variant) {
            kernels.push((variant, variant.build()));
        }
    }
    kernels.into_iter().map(|(_, kernel)| kernel).collect()
}

/// Every shader of this family within WebGPU's default limits, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    distinct((0..PORTABLE).map(Shape::Tiles).chain([Shape::Direct]))
}

/// Returns the shaders of this family that need larger limits than WebGPU's default ones. Some may also be among [`kernels`].
pub fn large_kernels() -> Vec<Kernel> {
    distinct((PORTABLE..TILES.len()).map(Shape::Tiles))
}
