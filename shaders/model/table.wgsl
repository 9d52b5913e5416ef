// atable, mtable, etable, pca: interpolation in a table of spectra. The table's header: crates/rontgen-model/src/model/table/layout.rs.
//
// The weights of the spectra around a point are products of two short lists: rows_a/weights_a of the first four axes,
// rows_b/weights_b of the others.

struct Tabulated {
    first: u32,
    kind: u32,
    spectra: u32,
    stride: u32,
    added: u32,
    parameter: u32,
    count_a: u32,
    count_b: u32,
    shifted: bool,
    scale: f32,
    norm: f32,
    amplitude: f32,
    rows_a: array<u32, 16>,
    rows_b: array<u32, 16>,
    weights_a: array<f32, 16>,
    weights_b: array<f32, 16>,
}

fn tabulated_setup(p: u32, t: u32) -> Tabulated {
    var c: Tabulated;
    c.first = t;
    c.kind = u32(table(t));
    c.added = u32(table(t + 2u));
    c.stride = u32(table(t + 3u));
    c.shifted = table(t + 4u) > 0.5;
    c.spectra = t + u32(table(t + 9u));
    c.count_a = 1u;
    c.count_b = 1u;
    c.weights_a[0] = 1.0;
    c.weights_b[0] = 1.0;
    let axes = u32(table(t + 1u));
    var place = t + 12u;
    for (var axis = 0u; axis < axes; axis++) {
        let nodes = u32(table(place));
        let first = place + 2u;
        let value = par(p + axis);
        // Nodes not above the value.
        var low = 0u;
        var high = nodes;
        while low < high {
            let middle = (low + high) / 2u;
            if table(first + middle) <= value { low = middle + 1u; } else { high = middle; }
        }
        low = max(low, 1u) - 1u;
        var fraction = 0.0;
        if low + 1u < nodes {
            let a = table(first + low);
            let b = table(first + low + 1u);
            if table(place + 1u) > 0.5 && a > 0.0 {
                fraction = log_1p((value - a) / a) / log_1p((b - a) / a);
            } else {
                fraction = (value - a) / (b - a);
            }
            fraction = clamp(fraction, 0.0, 1.0);
        }
        // Rows are counted as nested in all axes: those of either list move on with every axis.
        let in_a = axis < 4u;
        for (var k = 0u; k < c.count_a; k++) { c.rows_a[k] = c.rows_a[k] * nodes; }
        for (var k = 0u; k < c.count_b; k++) { c.rows_b[k] = c.rows_b[k] * nodes; }
        if in_a {
            for (var k = 0u; k < c.count_a; k++) { c.rows_a[k] += low; }
            if fraction > 0.0 {
                for (var k = 0u; k < c.count_a; k++) {
                    c.rows_a[c.count_a + k] = c.rows_a[k] + 1u;
                    c.weights_a[c.count_a + k] = c.weights_a[k] * fraction;
                    c.weights_a[k] *= 1.0 - fraction;
                }
                c.count_a *= 2u;
            }
        } else {
            for (var k = 0u; k < c.count_b; k++) { c.rows_b[k] += low; }
            if fraction > 0.0 {
                for (var k = 0u; k < c.count_b; k++) {
                    c.rows_b[c.count_b + k] = c.rows_b[k] + 1u;
                    c.weights_b[c.count_b + k] = c.weights_b[k] * fraction;
                    c.weights_b[k] *= 1.0 - fraction;
                }
                c.count_b *= 2u;
            }
        }
        place = first + nodes;
    }
    c.parameter = p + axes;
    var next = c.parameter + c.added;
    var escale = 1.0;
    var redshift = 1.0;
    if table(t + 5u) > 0.5 {
        escale = max(par(next), 1e-30);
        next++;
    }
    if table(t + 6u) > 0.5 {
        redshift = max(1.0 + par(next), 1e-3);
        next++;
    }
    c.scale = redshift / escale;
    c.norm = 1.0;
    if c.kind == 0u {
        c.norm = par(next) / redshift;
    }
    c.amplitude = 1.0;
    if c.kind == 3u {
        c.amplitude = exp(clamp(par(next), -30.0, 30.0) * 2.3025851);
    }
    return c;
}

fn atable_setup(p: u32, t: u32) -> Tabulated { return tabulated_setup(p, t); }
fn mtable_setup(p: u32, t: u32) -> Tabulated { return tabulated_setup(p, t); }
fn etable_setup(p: u32, t: u32) -> Tabulated { return tabulated_setup(p, t); }
fn pca_setup(p: u32, t: u32) -> Tabulated { return tabulated_setup(p, t); }

// The interpolated spectrum at one of its energies.
fn tabulated_at(c: ptr<function, Tabulated>, energy: u32) -> f32 {
    var sum = 0.0;
    for (var kind = 0u; kind <= (*c).added; kind++) {
        var factor = 1.0;
        if kind > 0u {
            factor = par((*c).parameter + kind - 1u);
            if factor == 0.0 { continue; }
        }
        for (var a = 0u; a < (*c).count_a; a++) {
            var inner = 0.0;
            for (var b = 0u; b < (*c).count_b; b++) {
                let row = ((*c).rows_a[a] + (*c).rows_b[b]) * ((*c).added + 1u) + kind;
                inner += (*c).weights_b[b] * table((*c).spectra + row * (*c).stride + energy);
            }
            sum += factor * (*c).weights_a[a] * inner;
        }
    }
    return sum;
}

fn tabulated_moved(c: ptr<function, Tabulated>, i: u32) -> f32 {
    let t = (*c).first;
    let edges = t + u32(table(t + 10u));
    let cells = u32(table(t + 11u));
    let first = table(edges);
    var lo = edge_lo(i) * (*c).scale;
    var left = width(i) * (*c).scale;
    // Less of a bin than this is the rounding of a common edge.
    let least = 1e-4 * left;
    if lo < first {
        left -= first - lo;
        lo = first;
    }
    if left <= least { return table(t + 7u); }
    if table(edges + cells) - lo <= least { return table(t + 8u); }
    // Edges not above lo.
    var low = 0u;
    var high = cells + 1u;
    while low < high {
        let middle = (low + high) / 2u;
        if table(edges + middle) <= lo { low = middle + 1u; } else { high = middle; }
    }
    var cell = max(low, 1u) - 1u;
    var sum = 0.0;
    var covered = 0.0;
    while cell < cells && left > 0.0 {
        let a = table(edges + cell);
        let b = table(edges + cell + 1u);
        let room = b - max(lo, a);
        let overlap = min(room, left);
        sum += tabulated_at(c, cell) * overlap;
        covered += overlap / (b - a);
        left -= room;
        cell++;
    }
    if (*c).kind == 0u { return sum * (*c).norm; }
    return sum / max(covered, 1e-30);
}

fn tabulated_value(from_setup: Tabulated, i: u32) -> f32 {
    var c = from_setup;
    var value = 0.0;
    if c.shifted {
        value = tabulated_moved(&c, i);
    } else {
        value = tabulated_at(&c, i) * c.norm;
    }
    if c.kind == 2u { return safe_exp(-value); }
    if c.kind == 3u { return max(exp(min(value * 2.3025851, 18.0)) - 1.0, 0.0) * c.amplitude; }
    return value;
}
