// Edges inside a bin, by the rule of bcmc and obcm: where the cross section of an element jumps inside a bin, ln(sigma E^3) is averaged
// over the parts, their widths as weights. Tables: ln E of the edges in two parts and the number of the column that jumps; ln E of
// the bins' lower ends in two parts and their widths in ln E.

struct Steps { edges: u32, count: u32, bins: u32, rows: u32, row_count: u32, ln_stretch: f32 }

// Place of an edge in bin i, in ln E.
fn steps_place(c: Steps, k: u32, i: u32) -> f32 {
    let high = (table(c.edges + k) - table(c.bins + i)) - c.ln_stretch;
    return high + (table(c.edges + c.count + k) - table(c.bins + energies() + i));
}

fn steps_column(c: Steps, k: u32) -> u32 { return u32(table(c.edges + 2u * c.count + k)); }

// The first edge that may lie in bin i; one early, since this comparison is rounded.
fn steps_first(c: Steps, i: u32) -> u32 {
    let lower = table(c.bins + i) + c.ln_stretch;
    var low = 0u;
    var high = c.count;
    while low < high {
        let middle = (low + high) / 2u;
        if table(c.edges + middle) < lower {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return max(low, 1u) - 1u;
}

fn steps_ln_sigma(c: Steps, sigmas: u32, y: f32) -> f32 {
    var low = 0u;
    var high = c.row_count;
    while low < high {
        let middle = (low + high) / 2u;
        if table(c.rows + middle) <= y {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    let row = clamp(low, 1u, c.row_count - 1u) - 1u;
    let y0 = table(c.rows + row);
    let s0 = table(sigmas + row);
    return s0 + (y - y0) / max(table(c.rows + row + 1u) - y0, 1e-12) * (table(sigmas + row + 1u) - s0);
}

// Whether an edge of that column lies in bin i before edge k.
fn steps_seen(c: Steps, first: u32, k: u32, column: u32, i: u32) -> bool {
    for (var m = first; m < k; m++) {
        if steps_column(c, m) == column && steps_place(c, m, i) > 0.0 {
            return true;
        }
    }
    return false;
}

// How much the cross section of a column whose first edge in bin i is k differs from that at the middle (ln E there with the redshift: y).
fn steps_change(c: Steps, k: u32, sigmas: u32, i: u32, y: f32) -> f32 {
    let column = steps_column(c, k);
    let lower = table(c.bins + i) + c.ln_stretch;
    let width_ln = table(c.bins + 2u * energies() + i);
    let whole = exp_m1(width_ln);
    var done = 0.0;
    var sum = 0.0;
    for (var m = k; m <= c.count; m++) {
        var end = whole;
        if m < c.count {
            let place = steps_place(c, m, i);
            if place < width_ln {
                if steps_column(c, m) != column {
                    continue;
                }
                end = exp_m1(place);
            }
        }
        let along = log_1p(0.5 * (done + end));
        sum += (end - done) * (steps_ln_sigma(c, sigmas, lower + along) + 3.0 * along);
        done = end;
        if end >= whole {
            break;
        }
    }
    let over = safe_exp(sum / whole - 3.0 * log_1p(0.5 * whole));
    return over - safe_exp(steps_ln_sigma(c, sigmas, y));
}

// Row below an end of a bin and the place between it and the next; (number of rows, 0) above the table.
struct RowsPlace { row: u32, place: f32 }

// How far the end that stands at `end` lies above a row: ln E of both in two parts, the low ones behind all high ones.
fn rows_above(first: u32, rows: u32, end: u32, ln_stretch: f32, row: u32) -> f32 {
    let high = table(end);
    let at = table(first + row);
    // The sum of the two largest of these is exact.
    let near = select((high - at) + ln_stretch, (high + ln_stretch) - at, abs(at) < abs(ln_stretch));
    return near + (table(end + 2u * energies()) - table(first + rows + row));
}

fn rows_place(first: u32, rows: u32, end: u32, ln_stretch: f32) -> RowsPlace {
    let y = table(end) + ln_stretch;
    var low = 0u;
    var high = rows;
    while low < high {
        let middle = (low + high) / 2u;
        if table(first + middle) <= y {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    // That comparison was rounded.
    var row = min(max(low, 1u), rows) - 1u;
    while row > 0u && rows_above(first, rows, end, ln_stretch, row) < 0.0 {
        row--;
    }
    while row + 1u < rows && rows_above(first, rows, end, ln_stretch, row + 1u) >= 0.0 {
        row++;
    }
    if row + 1u >= rows {
        return RowsPlace(rows, 0.0);
    }
    let gap = (table(first + row + 1u) - table(first + row)) + (table(first + rows + row + 1u) - table(first + rows + row));
    return RowsPlace(row, rows_above(first, rows, end, ln_stretch, row) / max(gap, 1e-12));
}
