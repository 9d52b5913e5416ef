// bapec, bvapec, bvvapec with a velocity that no parameter changes: photons of the cells between the edges of a bin, of two nodes.
// table: see crates/rontgen-model/src/model/components/plasma/frozen.rs.

struct Cells {
    first: u32,
    groups: u32,
    cells: u32,
    // The row of the node below with its first group.
    rows: u32,
    places: u32,
    bins: u32,
    p: u32,
    shift: u32,
    part: f32,
    share_below: f32,
    share_above: f32,
}

fn plasma_cells_setup(p: u32, t: u32) -> Cells {
    var c: Cells;
    let nodes = u32(table(t));
    c.groups = u32(table(t + 1u));
    c.cells = u32(table(t + 2u));
    c.bins = u32(table(t + 5u));
    c.first = t + 16u + nodes;
    c.p = p;
    let stride = c.groups * c.cells;
    c.places = c.first + c.groups + nodes * stride;
    let abundances = u32(table(t + 6u));
    let kt = par(p);
    let redshift = par(p + abundances + 1u);
    var below = 0u;
    while below + 2u < nodes && table(t + 17u + below) <= kt {
        below++;
    }
    c.rows = c.first + c.groups + below * stride;
    let kt_below = table(t + 16u + below);
    let above = clamp((kt - kt_below) / (table(t + 17u + below) - kt_below), 0.0, 1.0);
    let inside = kt >= table(t + 7u) && kt <= table(t + 8u) && redshift >= table(t + 9u) && redshift <= table(t + 10u);
    // NaN outside of what the table was made for.
    let scale = select(bitcast<f32>(0x7fc00000u + below), par(p + abundances + 3u) / stretch(redshift), inside);
    c.share_below = scale * (1.0 - above);
    c.share_above = scale * above;
    let most = max(f32(c.cells) - table(c.places + 3u * c.bins - 1u) - 4.0, 1.0);
    let shift = clamp((log_1p(max(redshift, -0.999)) - table(t + 4u)) * table(t + 3u) + 3.0, 1.0, most);
    c.shift = u32(shift);
    c.part = fract(shift);
    return c;
}

// Number of the cell of an edge, and the place in it.
fn cells_edge(c: Cells, cell: f32, part: f32) -> vec2<f32> {
    let place = part + c.part;
    let carry = place >= 1.0;
    return vec2<f32>(cell + f32(c.shift) + select(0.0, 1.0, carry), select(place, place - 1.0, carry));
}

// Photons of a row's cells before `cell` in its chunk.
fn cells_before(row: u32, cell: u32) -> f32 {
    return select(table(row + max(cell, 1u) - 1u), 0.0, cell % 8u == 0u);
}

// Photons of the cells from an edge's to before `cell` (one before or two behind); negative backwards.
fn cells_span(row: u32, from_cell: u32, to_cell: u32) -> f32 {
    var sum = cells_before(row, to_cell) - cells_before(row, from_cell);
    // At most one border of chunks lies between.
    if to_cell / 8u > from_cell / 8u {
        sum += table(row + from_cell / 8u * 8u + 7u);
    } else if to_cell / 8u < from_cell / 8u {
        sum -= table(row + to_cell / 8u * 8u + 7u);
    }
    return sum;
}

// Photons between the lower end of an edge's cell and the edge: the cubic through the cumulative numbers of four ends.
fn cells_part(row: u32, edge: vec2<f32>) -> f32 {
    let cell = u32(edge.x);
    let f0 = cells_span(row, cell, cell - 1u);
    let f2 = cells_span(row, cell, cell + 1u);
    let f3 = cells_span(row, cell, cell + 2u);
    let c1 = f2 - f0 / 3.0 - f3 / 6.0;
    let c2 = 0.5 * (f0 + f2);
    let c3 = (f3 - f0) / 6.0 - 0.5 * f2;
    return edge.y * (c1 + edge.y * (c2 + edge.y * c3));
}

fn cells_between(row: u32, lower: vec2<f32>, upper: vec2<f32>) -> f32 {
    let from_cell = u32(lower.x);
    let to_cell = u32(upper.x);
    var sum = cells_before(row, to_cell) - cells_before(row, from_cell);
    for (var chunk = from_cell / 8u; chunk < to_cell / 8u; chunk++) {
        sum += table(row + 8u * chunk + 7u);
    }
    return sum + (cells_part(row, upper) - cells_part(row, lower));
}

fn cells_value(c: Cells, i: u32) -> f32 {
    let at = c.places + i;
    let lower = cells_edge(c, table(at), table(at + c.bins));
    let upper = cells_edge(c, table(at + 2u * c.bins), table(at + 3u * c.bins));
    var below = 0.0;
    var above = 0.0;
    for (var k = 0u; k < c.groups; k++) {
        let parameter = u32(table(c.first + k));
        let weight = select(1.0, par(c.p + parameter), parameter > 0u);
        let row = c.rows + k * c.cells;
        below += weight * cells_between(row, lower, upper);
        above += weight * cells_between(row + c.groups * c.cells, lower, upper);
    }
    return c.share_below * below + c.share_above * above;
}
