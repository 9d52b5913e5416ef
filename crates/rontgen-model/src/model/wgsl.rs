//! The GPU form of a model: WGSL text put together from the components' shaders.
//!
//! The text is not a whole shader. It calls accessors that the kernel's wrapper defines (see [`Stage`]) and defines what the
//! wrapper calls; so the same component serves whatever layout the kernel chooses.

use super::{
    components::relativistic::device::Mesh,
    plan::{Leaf, Tree},
    program::Instance,
};
use std::fmt::Write;

const ANGLE: &str = include_str!("../../../../shaders/include/angle.wgsl");
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
/// - `fn source(slot: u32, i: u32) -> f32`: bin i of the output of an earlier stage (0 where there is none), of a longer one number i, beyond E, too.
///
/// Names in use: those above, `stage_*`, `c0`, `c1`, ..., `a0`, `a1`, ... (the components' rooms) and the functions of `shaders/include` and `shaders/model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Text of the stage.
    pub wgsl: String,
    /// Number of the output: later stages read it by this number; the last stage's output is the model.
    pub slot: u32,
    /// Slots of E numbers that it fills, from that one.
    pub slots: u32,
    /// Numbers that one invocation had best work out; `None`: any.
    pub run: Option<u32>,
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

fn formula(tree: &Tree, instances: &[Instance], sums: &[(usize, u32)]) -> String {
    match tree {
        Tree::Leaf(Leaf::Shift(k, slot)) => {
            if let Some((_, slot)) = sums.iter().find(|(other, _)| other == k) {
                return format!("relativistic_blur({slot}u, i)");
            }
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
        Tree::Sum(a, b) => format!("({} + {})", formula(a, instances, sums), formula(b, instances, sums)),
        Tree::Product(a, b) => format!("({} * {})", formula(a, instances, sums), formula(b, instances, sums)),
    }
}

pub(crate) fn stages(trees: &[Tree], instances: &[Instance], bins: &[(f64, f64)]) -> Vec<Stage> {
    let mut out = Vec::with_capacity(trees.len());
    // Where the outputs of the trees are, and what comes next.
    let (mut slots, mut next) = (Vec::with_capacity(trees.len()), 0);
    for tree in trees {
        if let Tree::Leaf(Leaf::Host(k)) = tree {
            let own =
                instances.get(*k).and_then(|i| Some((i, i.reflection.as_ref().filter(|_| !i.device.is_empty())?)));
            if let Some((instance, reflection)) = own {
                for part in reflection.parts(bins, instance.first_parameter, instance.device.start, next) {
                    let wgsl = format!(
                        "{}{}{VALUE}",
                        with_files(&[("math", MATH), ("angle", ANGLE), ("bins", BINS)]),
                        part.text
                    );
                    out.push(Stage { wgsl, slot: next, slots: part.slots, run: Some(part.run), host: false });
                    next += part.slots;
                }
                slots.push(next - 1);
                continue;
            }
            out.push(Stage { wgsl: String::new(), slot: next, slots: 1, run: None, host: true });
            slots.push(next);
            next += 1;
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
        used.iter_mut().for_each(|leaf| {
            if let Leaf::Shift(_, slot) | Leaf::Given(slot) = leaf {
                *slot = slots.get(*slot).map_or(0, |slot: &u32| *slot as usize);
            }
        });
        let tree = moved(tree, &slots);
        let mut files: Vec<(&str, &str)> = vec![("math", MATH), ("angle", ANGLE), ("bins", BINS)];
        let (mut variables, mut setup, mut constants) = (String::new(), String::new(), String::new());
        let mut sums = Vec::new();
        for leaf in used {
            let (Leaf::Shift(k, _) | Leaf::Component(k)) = leaf else { continue }; // leaves() names a fused one's components
            let Some(instance) = instances.get(k) else { continue };
            if let (Leaf::Shift(_, source), Some(convolution)) = (&leaf, instance.convolution)
                && convolution.is_relativistic()
            {
                let mesh = Mesh::new(bins);
                constants = mesh.constants();
                let (first, table, source) = (instance.first_parameter, instance.table.start, *source as u32);
                let (parts, slot) = mesh.parts(convolution.name(), first, table, source, next);
                sums.push((k, slot));
                for part in parts {
                    let shader = convolution.shader();
                    let line = [&[ROOM][..], shader.needs, &[(shader.file, shader.source)]].concat();
                    let own = if part.line { &line[..] } else { &[] };
                    let wgsl = with_files(&[&[("math", MATH), ("angle", ANGLE), ("bins", BINS)], own].concat());
                    let wgsl = format!("{wgsl}{constants}\n{}\n{VALUE}", part.text);
                    out.push(Stage { wgsl, slot: next, slots: part.slots, run: part.run, host: false });
                    next += part.slots;
                }
                continue;
            }
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
        let wgsl = format!(
            "{}{constants}\n{variables}\nfn stage_setup() {{\n{setup}}}\n\nfn stage_bin(i: u32) -> f32 {{\n    return {};\n}}\n\n{VALUE}",
            with_files(&files),
            formula(&tree, instances, &sums)
        );
        out.push(Stage { wgsl, slot: next, slots: 1, run: None, host: false });
        slots.push(next);
        next += 1;
    }
    out
}

const VALUE: &str = "fn stage_value(i: u32) -> f32 {\n    stage_setup();\n    return stage_bin(i);\n}\n";

fn with_files(files: &[(&str, &str)]) -> String {
    files.iter().flat_map(|(_, source)| [source, "\n"]).collect()
}

/// A tree that reads stages where their outputs are.
fn moved(tree: &Tree, slots: &[u32]) -> Tree {
    let at = |slot: &usize| slots.get(*slot).map_or(0, |slot| *slot as usize);
    match tree {
        Tree::Leaf(Leaf::Shift(k, slot)) => Tree::Leaf(Leaf::Shift(*k, at(slot))),
        Tree::Leaf(Leaf::Given(slot)) => Tree::Leaf(Leaf::Given(at(slot))),
        Tree::Leaf(leaf) => Tree::Leaf(leaf.clone()),
        Tree::Sum(a, b) => Tree::Sum(Box::new(moved(a, slots)), Box::new(moved(b, slots))),
        Tree::Product(a, b) => Tree::Product(Box::new(moved(a, slots)), Box::new(moved(b, slots))),
    }
}
