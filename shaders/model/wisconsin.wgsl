// wabs, zwabs: exp(-nH sigma), sigma E^3 in 15 quadratic pieces; mean over the bin by trapezoids split where pieces meet.

// table: per piece its lowest energy (keV) in two parts and the coefficients of sigma E^3.
struct Wisconsin { minus: f32, stretch: f32, stretch_low: f32, first: u32 }

fn wabs_setup(p: u32, t: u32) -> Wisconsin {
    return Wisconsin(-par(p), 1.0, 0.0, t);
}

fn zwabs_setup(p: u32, t: u32) -> Wisconsin {
    let z = par(p + 1u);
    let s = stretch(z);
    return Wisconsin(-par(p), s, select(z - (s - 1.0), 0.0, z < -0.999), t);
}

// The middle of a bin in the source's frame, in two parts, and half its width there (keV).
fn wisconsin_bin(c: Wisconsin, i: u32) -> vec3<f32> {
    let middle = product_parts(mid_hi(i), c.stretch);
    return vec3<f32>(middle.x, middle.y + (mid_lo(i) * c.stretch + mid_hi(i) * c.stretch_low), 0.5 * width(i) * c.stretch);
}

// How far the end of a piece lies above the lower edge of a bin; the last one has none. Edges alone are 2e-7 keV off.
fn wisconsin_end(c: Wisconsin, bin: vec3<f32>, piece: u32) -> f32 {
    if piece >= 14u {
        return 1e30;
    }
    let at = c.first + 5u * (piece + 1u);
    return ((table(at) - bin.x) + (table(at + 1u) - bin.y)) + bin.z;
}

fn wisconsin_value(c: Wisconsin, i: u32) -> f32 {
    let bin = wisconsin_bin(c, i);
    let hi = edge_hi(i) * c.stretch;
    let whole = 2.0 * bin.z;
    var piece = 0u;
    while piece < 14u && wisconsin_end(c, bin, piece) <= 0.0 {
        piece++;
    }
    var sum = 0.0;
    var at = 0.0;
    var energy = edge_lo(i) * c.stretch;
    loop {
        let end = wisconsin_end(c, bin, piece);
        let last = end >= whole;
        var to_energy = hi;
        if !last {
            to_energy = table(c.first + 5u * (piece + 1u));
        }
        sum += (min(end, whole) - at) * 0.5 * (wisconsin_at(c, piece, energy) + wisconsin_at(c, piece, to_energy));
        if last {
            break;
        }
        at = end;
        energy = to_energy;
        piece++;
    }
    return sum / whole;
}

fn wisconsin_at(c: Wisconsin, piece: u32, e: f32) -> f32 {
    let at = c.first + 5u * min(piece, 14u);
    let sigma = (table(at + 2u) + e * (table(at + 3u) + e * table(at + 4u))) / (e * e * e);
    return safe_exp(c.minus * sigma);
}
