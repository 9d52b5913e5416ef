// wabs, zwabs: exp(-nH sigma), sigma E^3 in 15 quadratic pieces; mean over the bin by trapezoids split where pieces meet.

// table: per piece its lowest energy (keV) and the coefficients of sigma E^3.
struct Wisconsin { minus: f32, stretch: f32, first: u32 }

fn wabs_setup(p: u32, t: u32) -> Wisconsin {
    return Wisconsin(-par(p), 1.0, t);
}

fn zwabs_setup(p: u32, t: u32) -> Wisconsin {
    return Wisconsin(-par(p), stretch(par(p + 1u)), t);
}

fn wisconsin_value(c: Wisconsin, i: u32) -> f32 {
    let lo = edge_lo(i) * c.stretch;
    let hi = edge_hi(i) * c.stretch;
    var piece = 0u;
    while piece < 14u && table(c.first + 4u * (piece + 1u)) <= lo {
        piece++;
    }
    var sum = 0.0;
    var at = lo;
    loop {
        var end = hi;
        if piece < 14u {
            end = min(hi, table(c.first + 4u * (piece + 1u)));
        }
        sum += (end - at) * 0.5 * (wisconsin_at(c, piece, at) + wisconsin_at(c, piece, end));
        at = end;
        piece++;
        if !(end < hi) {
            break;
        }
    }
    return sum / (hi - lo);
}

fn wisconsin_at(c: Wisconsin, piece: u32, e: f32) -> f32 {
    let at = c.first + 4u * min(piece, 14u);
    let sigma = (table(at + 1u) + e * (table(at + 2u) + e * table(at + 3u))) / (e * e * e);
    return safe_exp(c.minus * sigma);
}
