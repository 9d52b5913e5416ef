//! The tiles of C that a workgroup computes, as a table, and the text of their unrolled loops.
//!
//! A larger tile reads each operand less often; a second buffer lets the reads of the next step of K overlap the products of this
//! one. Both cost workgroup memory and leave fewer workgroups, so a tile is chosen by the adapter's limits and by the problem.

use std::fmt::Write;

/// One way of cutting C is `rows x cols` per workgroup, `depth` of K per step, `each` rows and columns of C per invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Name, for messages and measurements.
    pub name: &'static str,
    /// Rows of C per workgroup.
    pub rows: usize,
    /// Columns of C per workgroup.
    pub cols: usize,
    /// Terms of K per step.
    pub depth: usize,
    /// Rows and columns of C per invocation.
    pub each: [usize; 2],
    /// Buffers of the operands: 1, or 2, where the next step's operands are read while this one's are multiplied.
    pub buffers: usize,
}

const fn tile(name: &'static str, [rows, cols, depth]: [usize; 3], each: [usize; 2], buffers: usize) -> Tile {
    Tile { name, rows, cols, depth, each, buffers }
}

/// All tiles, from small to large. The first [`PORTABLE`] stay within WebGPU's default limits.
pub const TILES: [Tile; 6] = [
    tile("32x32", [32, 32, 32], [4, 4], 1),
    tile("64x64", [64, 64, 16], [8, 8], 1),
    tile("128x64", [128, 64, 16], [8, 8], 1),
    tile("128x128", [128, 128, 16], [8, 8], 1),
    tile("128x128x2", [128, 128, 16], [8, 8], 2),
    tile("256x128x2", [256, 128, 16], [8, 8], 2),
];
/// Tiles of [`TILES`] that stay within WebGPU's default limits.
pub const PORTABLE: usize = 4;
/// Where no tile makes enough workgroups.
const SMALL_TILE: usize = 0;
const MIDDLE_TILE: usize = 1;
/// Fewer workgroups than this leave a GPU idle: K is split until there are about so many.
const ENOUGH_GROUPS: usize = 128;
/// Smallest share of K worth a workgroup.
const MIN_SPLIT: usize = 128;

impl Tile {
    /// Returns the invocations along rows and along columns.
    pub fn lanes(&self) -> [usize; 2] {
        [self.rows / self.each[0], self.cols / self.each[1]]
    }

    /// Returns the invocations of a workgroup.
    pub fn invocations(&self) -> usize {
        self.lanes().iter().product()
    }

    /// Returns the bytes of workgroup memory.
    pub fn bytes(&self) -> usize {
        4 * self.buffers * self.depth * (self.rows + self.cols)
    }

    /// Returns whether an adapter with such limits can run it.
    pub fn fits(&self, limits: &wgpu::Limits) -> bool {
        let invocations = self.invocations() as u32;
        self.bytes() <= limits.max_compute_workgroup_storage_size as usize
            && invocations <= limits.max_compute_invocations_per_workgroup
            && invocations <= limits.max_compute_workgroup_size_x
    }

    fn groups(&self, m: usize, n: usize) -> usize {
        m.div_ceil(self.rows) * n.div_ceil(self.cols)
    }

    /// Returns the parts of K, and the terms in each.
    pub fn split(&self, m: usize, k: usize, n: usize) -> (usize, usize) {
        let most = (ENOUGH_GROUPS / self.groups(m, n).max(1)).min(k / MIN_SPLIT).max(1);
        let chunk = k.div_ceil(most).next_multiple_of(self.depth).max(self.depth);
        (k.div_ceil(chunk).max(1), chunk)
    }

    /// Constants and unrolled text of the shader.
    pub(super) fn defines(&self) -> Vec<(&'static str, String)> {
        let Tile { rows, cols, depth, buffers, .. } = *self;
        let [ty, tx] = self.lanes();
        let quads = |size: usize| (buffers * depth * size / 4).to_string();
        vec![
            ("ROWS", format!("{rows}u")),
            ("COLS", format!("{cols}u")),
            ("DEPTH", format!("{depth}u")),
            ("TX", format!("{tx}u")),
            ("TY", format!("{ty}u")),
            ("LANES", self.invocations().to_string()),
            ("A_QUADS", quads(rows)),
            ("B_QUADS", quads(cols)),
            (if buffers == 2 { "DOUBLE" } else { "SINGLE" }, String::new()),
            ("ACCUMULATORS", self.accumulators()),
            ("FETCH", self.blocks("FETCH")),
            ("REGISTERS", self.blocks("REGISTERS")),
            ("KEEP", self.blocks("KEEP")),
            ("MULTIPLY", self.multiply()),
            ("SUMS_HELD", self.places().map(|(r, q)| format!("c{r}_{q}")).collect::<Vec<_>>().join(", ")),
            ("HELD", self.places().count().to_string()),
            ("ACROSS", format!("{}u", self.each[1] / 4)),
            ("COLUMN_MOMENTS", self.column_sums(true)),
            ("COLUMN_PRODUCTS", self.column_sums(false)),
        ]
    }

    fn accumulators(&self) -> String {
        self.places().fold(String::new(), |mut text, (r, q)| {
            let _ = writeln!(text, "    var c{r}_{q} = vec4<f32>();");
            text
        })
    }

    /// Rows, and quads of columns, of one invocation.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let quads = self.each[1] / 4;
        (0..self.each[0]).flat_map(move |r| (0..quads).map(move |q| (r, q)))
    }

    /// The 4 x 4 blocks of both operands, dealt out to the invocations: first those of A, then those of B.
    fn blocks(&self, what: &str) -> String {
        let lanes = self.invocations();
        let (of_a, of_b) = (self.rows * self.depth / 16, self.cols * self.depth / 16);
        let mut text = String::new();
        for i in 0..(of_a + of_b).div_ceil(lanes) {
            let (first, end) = (i * lanes, (i + 1) * lanes);
            let a = match what {
                "FETCH" => format!("x{i} = fetch_block_a(lane + {first}u, row0, next);"),
                "KEEP" => format!("keep_a(lane + {first}u, side, x{i});"),
                _ => String::new(),
            };
            let b = match what {
                "FETCH" => format!("x{i} = fetch_block_b(lane + {first}u - {of_a}u, column0, next);"),
                "KEEP" => format!("keep_b(lane + {first}u - {of_a}u, side, x{i});"),
                _ => String::new(),
            };
            let line = match what {
                "REGISTERS" => format!("var x{i} = mat4x4<f32>();"),
                _ if end <= of_a => a,
                _ if first >= of_a && end <= of_a + of_b => b,
                _ if first >= of_a => format!("if lane + {first}u < {}u {{ {b} }}", of_a + of_b),
                _ if end <= of_a + of_b => format!("if lane + {first}u < {of_a}u {{ {a} }} else {{ {b} }}"),
                _ => format!(
                    "if lane + {first}u < {of_a}u {{ {a} }} else if lane + {first}u < {}u {{ {b} }}",
                    of_a + of_b
                ),
            };
            let _ = writeln!(text, "        {line}");
        }
        text
    }

    fn multiply(&self) -> String {
        let mut text = String::new();
        for q in 0..self.each[0] / 4 {
            let _ = writeln!(text, "            let a{q} = tile_a[at_a + {q}u * TY];");
        }
        for q in 0..self.each[1] / 4 {
            let _ = writeln!(text, "            let b{q} = tile_b[at_b + {q}u * TX];");
        }
        for (r, q) in self.places() {
            let _ = writeln!(text, "            c{r}_{q} += a{}.{} * b{q};", r / 4, ["x", "y", "z", "w"][r % 4]);
        }
        text
    }

    fn row(r: usize) -> String {
        format!("first_row + {}u * TY + {}u", r / 4 * 4, r % 4)
    }

    /// Leaves of every quad of columns of this invocation's rows two vectors in the tiles' memory: means and sums of squared
    /// deviations of what was stored, or its sums and those of its products with `normals`.
    fn column_sums(&self, moments: bool) -> String {
        let (rows, quads) = (self.each[0], self.each[1] / 4);
        let mut text = String::new();
        for r in (0..rows).filter(|_| moments) {
            let _ = writeln!(text, "    let in{r} = select(0.0, 1.0, {} < parameters.m);", Self::row(r));
        }
        let all = |term: &dyn Fn(usize) -> String| (0..rows).map(term).collect::<Vec<_>>().join(" + ");
        for q in 0..quads {
            for r in 0..rows {
                let held = r * quads + q;
                let _ = writeln!(text, "    let v{r}_{q} = held[{held}];");
                if !moments {
                    let _ = writeln!(text, "    let w{r}_{q} = v{r}_{q} * normals[{held}];");
                }
            }
            let sum = all(&|r| format!("v{r}_{q}"));
            let (first, second) = if moments {
                let count = all(&|r| format!("in{r}"));
                let _ = writeln!(text, "    let mean{q} = ({sum}) / max({count}, 1.0);");
                for r in 0..rows {
                    let _ = writeln!(text, "    let d{r}_{q} = in{r} * (v{r}_{q} - mean{q});");
                }
                (format!("mean{q}"), all(&|r| format!("d{r}_{q} * d{r}_{q}")))
            } else {
                (sum, all(&|r| format!("w{r}_{q}")))
            };
            let at = format!("ty * (COLS / 4u) + {q}u * TX + tx");
            let _ = writeln!(text, "    tile_a[{at}] = {first};\n    tile_b[{at}] = {second};");
        }
        text
    }
}

/// Which tile of the table an adapter with such limits takes for `m x k` times `k x n`: the largest that fits and leaves no part
/// of the adapter idle.
pub fn choose(limits: &wgpu::Limits, m: usize, k: usize, n: usize) -> usize {
    let enough = |i: &usize| TILES[*i].fits(limits) && TILES[*i].groups(m, n) >= ENOUGH_GROUPS;
    (MIDDLE_TILE..TILES.len()).rev().find(enough).unwrap_or_else(|| {
        let middle = &TILES[MIDDLE_TILE];
        let groups = middle.groups(m, n) * middle.split(m, k, n).0;
        if 2 * groups >= ENOUGH_GROUPS { MIDDLE_TILE } else { SMALL_TILE }
    })
}
