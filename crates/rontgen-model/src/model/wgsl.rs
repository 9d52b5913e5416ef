//! The GPU form of a model: WGSL text put together from the components' shaders.
//!
//! The text is not a whole shader. It calls accessors that the kernel's wrapper defines (see [`Stage`]) and defines what the
//! wrapper calls; so the same component serves whatever layout the kernel chooses.

use super::{
    plan::{Leaf, Tree},
    program::Instance,
};
use std::fmt::Write;

const MATH: &str = include_str!("../../../../shaders/include/math.wgsl");
const BINS: &str = include_str!("../../../../shaders/include/bins.wgsl");
const ROOM: (&str, &str) = ("room", include_str!("../../../../shaders/model/room.wgsl"));

/// One stage of a model on a device.
///
/// `wgsl` defines
/// - `fn stage_value(i: u32) -> f32`: photons/cm2/s in energy bin i for the current spectrum;
/// - `fn stage_setup()` and `fn stage_bin(i: u32) -> f32`: the same in two steps, for an invocation that loops over bins
///   of one spectrum: `stage_setup` once, then `stage_bin` per bin (`stage_value` calls both).
///
/// It uses, and the wrapper must define
/// - `fn par(k: u32) -> f32`: k-th of the M model parameters of the current spectrum;
/// - `fn edge_lo(i: u32)`, `width`, `mid_hi`, `mid_lo`, `ln_mid` `-> f32`: columns 0 to 4 of [`super::Program::bin_table`],
///   and `edge_hi`: its column 7 (bins need not touch);
/// - `fn table(k: u32) -> f32`: [`super::Program::tables`];
/// - `fn energies() -> u32`: E;
/// - `fn source(slot: u32, i: u32) -> f32`: bin i of the output of an earlier stage (0 where there is none).
///
/// Names in use: those above, `stage_*`, `c0`, `c1`, ..., `a0`, `a1`, ... (the components' rooms) and the functions of `shaders/include` and `shaders/model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Text of the stage.
    pub wgsl: String,
    /// Number of the output: later stages read it by this number; the last stage's output is the model.
    pub slot: u32,
    /// Whether the output does not come from a shader but from [`super::Program::host_stages`]; then `wgsl` is empty. Such stages come
    /// first.
    pub host: bool,
}

fn leaves(tree: &Tree, out: &mut Vec<Leaf>) {
    match tree {
        Tree::Leaf(Leaf::Fused(list)) => out.extend(list.iter().map(|&k| Leaf::Component(k))),
        Tree::Leaf(leaf) => out.push(leaf.clone()),
        Tree::Sum(a, b) | Tree::Product(a, b) => {
            leaves(a, out);
            leaves(b, out);
        }
    }
}

/// `X_value(c3, i)`, or with a `function` that stands beside it `X_function(c3, i)`.
fn call(instances: &[Instance], k: usize, function: Option<&str>) -> String {
    let Some(shader) = instances.get(k).and_then(|i| i.code).map(|code| code.shader()) else {
        return "0.0".into();
    };
    let (value, room) = (shader.value, room(shader.room, k));
    match function {
        Some(function) => format!("{}_{function}(c{k}{room}, i)", value.trim_end_matches("_value")),
        None => format!("{value}(c{k}{room}, i)"),
    }
}

/// The argument that hands a component its room.
fn room(has_one: bool, k: usize) -> String {
    if has_one { format!(", &a{k}") } else { String::new() }
}

fn formula(tree: &Tree, instances: &[Instance]) -> String {
    match tree {
        Tree::Leaf(Leaf::Shift(k, slot)) => {
            let Some(shader) = instances.get(*k).and_then(|i| i.convolution).map(|c| c.shader()) else {
                return "0.0".into();
            };
            format!("{}(c{k}{}, {slot}u, i)", shader.value, room(shader.room, *k))
        }
        Tree::Leaf(Leaf::Component(k)) => call(instances, *k, None),
        Tree::Leaf(Leaf::Given(slot)) => format!("source({slot}u, i)"),
        Tree::Leaf(Leaf::Host(_)) => "0.0".into(),
        Tree::Leaf(Leaf::Fused(list)) => {
            let all = |function: &str, sign: &str| {
                list.iter().map(|&k| call(instances, k, Some(function))).collect::<Vec<_>>().join(sign)
            };
            format!("scaled_exp({}, {})", all("scale", " * "), all("exponent", " + "))
        }
        Tree::Sum(a, b) => format!("({} + {})", formula(a, instances), formula(b, instances)),
        Tree::Product(a, b) => format!("({} * {})", formula(a, instances), formula(b, instances)),
    }
}

pub(crate) fn stages(trees: &[Tree], instances: &[Instance]) -> Vec<Stage> {
    let mut out = Vec::with_capacity(trees.len());
    for (slot, tree) in trees.iter().enumerate() {
        if matches!(tree, Tree::Leaf(Leaf::Host(_))) {
            out.push(Stage { wgsl: String::new(), slot: u32::try_from(slot).unwrap_or(u32::MAX), host: true });
            continue;
        }
        let mut used = Vec::new();
        leaves(tree, &mut used);
        // A factor of a sum that was multiplied out appears more than once.
        let mut seen = Vec::new();
        used.retain(|leaf| {
            let new = !seen.contains(leaf);
            seen.push(leaf.clone());
            new
        });
        let mut files: Vec<(&str, &str)> = vec![("math", MATH), ("bins", BINS)];
        let (mut variables, mut setup) = (String::new(), String::new());
        for leaf in used {
            let (Leaf::Shift(k, _) | Leaf::Component(k)) = leaf else { continue }; // leaves() names a fused one's components
            let Some(instance) = instances.get(k) else { continue };
            let (shader, name, slot) = match (leaf, instance.code, instance.convolution) {
                (Leaf::Shift(_, slot), _, Some(convolution)) => {
                    (convolution.shader(), convolution.name(), format!(", {slot}u"))
                }
                (Leaf::Component(_), Some(code), _) => (code.shader(), code.name(), String::new()),
                _ => continue,
            };
            let mut needs: Vec<(&str, &str)> = shader.needs.to_vec();
            if shader.room {
                needs.insert(0, ROOM);
            }
            needs.push((shader.file, shader.source));
            for (file, source) in needs {
                if !files.iter().any(|(name, _)| *name == file) {
                    files.push((file, source));
                }
            }
            // Writing to a String cannot fail.
            let _ = writeln!(variables, "var<private> c{k}: {};", shader.structure);
            if shader.room {
                let _ = writeln!(variables, "var<private> a{k}: Room;");
            }
            let _ = writeln!(
                setup,
                "    c{k} = {name}_setup({}u, {}u{slot}{});",
                instance.first_parameter,
                instance.table.start,
                room(shader.room, k)
            );
        }
        let mut wgsl = String::new();
        for (_, source) in files {
            wgsl.push_str(source);
            wgsl.push('\n');
        }
        let _ = write!(
            wgsl,
            "{variables}\nfn stage_setup() {{\n{setup}}}\n\nfn stage_bin(i: u32) -> f32 {{\n    return {};\n}}\n\n\
             fn stage_value(i: u32) -> f32 {{\n    stage_setup();\n    return stage_bin(i);\n}}\n",
            formula(tree, instances)
        );
        out.push(Stage { wgsl, slot: u32::try_from(slot).unwrap_or(u32::MAX), host: false });
    }
    out
}
