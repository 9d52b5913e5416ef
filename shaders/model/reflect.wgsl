// reflect: the reflection of any spectrum by a cold slab, as pexrav has it for a power law. In a panel of wavelengths the Green's
// function is a Legendre series, and the incident E F_E (linear between the bins' middles, nothing beyond) is taken from bin to bin
// against it; see incident.rs.

struct Reflecting { slab: Slab, opacity: f32, shortest: f32, kinks: vec2<f32> }

// The series of the panel, and the panel: what its coordinate is (0: wavelength, 1: ln of what is added to it, 2: ln of it), the wavelength
// that comes out, middle and half width, and the wavelengths at its ends.
var<private> reflect_terms: array<f32, 8>;
var<private> reflect_mode: u32;
var<private> reflect_out: f32;
var<private> reflect_middle: f32;
var<private> reflect_half: f32;
var<private> reflect_low: f32;
var<private> reflect_high: f32;
var<private> reflect_slot: u32;
var<private> reflect_stretch: f32;

fn reflect_place(y0: f32) -> f32 {
    var u = y0;
    if reflect_mode == 1u {
        u = log(max(reflect_out - y0, 1e-30));
    } else if reflect_mode == 2u {
        u = log(y0);
    }
    return clamp((u - reflect_middle) / reflect_half, -1.0, 1.0);
}

fn reflect_wavelength(t: f32) -> f32 {
    let u = reflect_middle + reflect_half * t;
    if reflect_mode == 0u {
        return u;
    }
    return select(safe_exp(u), reflect_out - safe_exp(u), reflect_mode == 1u);
}

fn reflect_node(t: f32, weight: f32) {
    let y0 = reflect_wavelength(t);
    var value = weight;
    if reflect_mode == 0u {
        value *= green_few(reflect_out, reflect_out - y0);
    } else {
        value *= green_many(reflect_out, y0) * select(y0, reflect_out - y0, reflect_mode == 1u);
    }
    let p = reflect_polynomials(t);
    reflect_terms[0] += 0.5 * value;
    reflect_terms[1] += 1.5 * t * value;
    reflect_terms[2] += 2.5 * p[0] * value;
    reflect_terms[3] += 3.5 * p[1] * value;
    reflect_terms[4] += 4.5 * p[2] * value;
    reflect_terms[5] += 5.5 * p[3] * value;
    reflect_terms[6] += 6.5 * p[4] * value;
    reflect_terms[7] += 7.5 * p[5] * value;
}

// Legendre polynomials of order 2 to 7; without a loop, of whose turns software adapters have few.
fn reflect_polynomials(t: f32) -> array<f32, 6> {
    let p2 = 1.5 * t * t - 0.5;
    let p3 = (5.0 * t * p2 - 2.0 * t) / 3.0;
    let p4 = (7.0 * t * p3 - 3.0 * p2) / 4.0;
    let p5 = (9.0 * t * p4 - 4.0 * p3) / 5.0;
    let p6 = (11.0 * t * p5 - 5.0 * p4) / 6.0;
    let p7 = (13.0 * t * p6 - 6.0 * p5) / 7.0;
    return array<f32, 6>(p2, p3, p4, p5, p6, p7);
}

fn reflect_series(t: f32) -> f32 {
    let p = reflect_polynomials(t);
    return reflect_terms[0] + reflect_terms[1] * t + reflect_terms[2] * p[0] + reflect_terms[3] * p[1] + reflect_terms[4] * p[2]
        + reflect_terms[5] * p[3] + reflect_terms[6] * p[4] + reflect_terms[7] * p[5];
}

fn reflect_x(k: u32) -> f32 {
    return (mid_hi(k) + mid_lo(k)) * reflect_stretch / 511.0;
}

// E F_E of bin k.
fn reflect_bin(k: u32) -> f32 {
    let middle = mid_hi(k) + mid_lo(k);
    return source(reflect_slot, k) * middle * middle / width(k);
}

fn reflect_point(t: f32, x0: f32, x1: f32, f0: f32, f1: f32) -> f32 {
    let x = 1.0 / reflect_wavelength(t);
    return mix(f0, f1, clamp((x - x0) / (x1 - x0), 0.0, 1.0)) * reflect_series(t);
}

// Three points of Gauss-Legendre.
fn reflect_part(middle: f32, half: f32, x0: f32, x1: f32, f0: f32, f1: f32) -> f32 {
    return abs(half) * (0.55555556 * reflect_point(middle - 0.77459667 * half, x0, x1, f0, f1)
        + 0.88888889 * reflect_point(middle, x0, x1, f0, f1) + 0.55555556 * reflect_point(middle + 0.77459667 * half, x0, x1, f0, f1));
}

// From the middle of bin k to that of the next, as far as it lies in the panel.
fn reflect_segment(k: u32) -> f32 {
    if k + 1u >= energies() {
        return 0.0;
    }
    let x0 = reflect_x(k);
    let x1 = reflect_x(k + 1u);
    let low = max(1.0 / x1, reflect_low);
    let high = min(1.0 / x0, reflect_high);
    if high <= low {
        return 0.0;
    }
    let f0 = reflect_bin(k);
    let f1 = reflect_bin(k + 1u);
    let a = reflect_place(low);
    let b = reflect_place(high);
    // A narrow one is taken at its middle.
    if abs(b - a) < 0.03 {
        return abs(b - a) * reflect_point(0.5 * (a + b), x0, x1, f0, f1);
    }
    let parts = clamp(ceil(1.5 * abs(b - a)), 1.0, 3.0);
    let half = 0.5 * (b - a) / parts;
    var sum = 0.0;
    for (var part = 0.0; part < parts; part += 1.0) {
        sum += reflect_part(a + (2.0 * part + 1.0) * half, half, x0, x1, f0, f1);
    }
    return sum;
}

// The integral over one panel of its coordinate.
fn reflect_panel(mode: u32, y: f32, begin: f32, end: f32) -> f32 {
    reflect_mode = mode;
    reflect_out = y;
    reflect_middle = 0.5 * (begin + end);
    reflect_half = 0.5 * (end - begin);
    let one = reflect_wavelength(-1.0);
    let other = reflect_wavelength(1.0);
    reflect_low = min(one, other);
    reflect_high = max(one, other);
    reflect_terms = array<f32, 8>(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (var n = 0u; n < 8u; n++) {
        let node = green_node(n / 2u);
        reflect_node(select(node.x, -node.x, n % 2u == 1u), node.y);
    }
    // The last bin whose middle lies below the panel.
    var low = 0u;
    var high = energies();
    while low < high {
        let middle = (low + high) / 2u;
        if reflect_x(middle) * reflect_high <= 1.0 {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    var sum = 0.0;
    // Four a turn: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
    for (var k = max(low, 1u) - 1u; k + 1u < energies(); k += 4u) {
        if reflect_x(k) * reflect_low >= 1.0 {
            break;
        }
        sum += reflect_segment(k) + reflect_segment(k + 1u) + reflect_segment(k + 2u) + reflect_segment(k + 3u);
    }
    return sum * reflect_half;
}

// Ends of the panels, shares of the range of what few scatterings add; the Green's function sets in steeply.
fn reflect_share(k: u32) -> f32 {
    let ends = array<f32, 12>(0.0, 0.004, 0.01, 0.02, 0.05, 0.1, 0.16666667, 0.33333333, 0.5, 0.66666667, 0.83333333, 1.0);
    var at = ends;
    return at[k];
}

// E F_E reflected at x.
fn reflect_reflected(r: Reflecting, x: f32) -> f32 {
    let y = 1.0 / x;
    if y - green_least <= r.shortest {
        return 0.0;
    }
    let whole = 2.0 - green_least;
    // More scatterings: over ln dy as long as y0 changes little, then over ln y0.
    let end = min(0.5 * y, y - r.shortest);
    let split = min(y - 2.0, 0.5 * y);
    var sum = 0.0;
    // All panels from one place: drivers copy what is called to where it is called from. Few scatterings: 11 panels, each in up to
    // three parts between kinks.
    for (var k = 0u; k < 37u; k++) {
        var mode = 0u;
        var begin = 0.0;
        var last = 0.0;
        if k < 33u {
            let near = green_least + whole * reflect_share(k / 3u);
            let far = green_least + whole * reflect_share(k / 3u + 1u);
            let one = clamp(r.kinks.x, near, far);
            let other = clamp(r.kinks.y, near, far);
            let part = k % 3u;
            begin = max(y - select(select(far, other, part == 1u), one, part == 0u), r.shortest);
            last = y - select(select(other, one, part == 1u), near, part == 0u);
            if last - begin <= 4e-7 * y {
                continue;
            }
        } else {
            mode = select(1u, 2u, k >= 35u);
            let least = select(2.0, r.shortest, mode == 2u);
            let most = select(end, split, mode == 2u);
            if most <= least {
                continue;
            }
            begin = log(least);
            last = log(most);
            let middle = 0.5 * (begin + last);
            if k % 2u == 1u {
                last = middle;
            } else {
                begin = middle;
            }
        }
        sum += reflect_panel(mode, y, begin, last);
    }
    return sum / y;
}

fn reflect_setup(p: u32, t: u32, slot: u32) -> Reflecting {
    let slab = slab_new(par(p), par(p + 1u), par(p + 2u), par(p + 3u), par(p + 4u), t);
    let highest = (mid_hi(energies() - 1u) + mid_lo(energies() - 1u)) * slab.stretch / 511.0;
    var r = Reflecting(slab, slab_asymptotic(slab), max(0.03333, 1.0 / highest), vec2(2.0, 2.0));
    if slab.amount > 0.0 && highest > 0.01957 {
        green_setup(slab.cosine, r.opacity);
        r.kinks = green_kinks();
    }
    return r;
}

fn reflect_value(r: Reflecting, slot: u32, i: u32) -> f32 {
    let c = r.slab;
    let photons = source(slot, i);
    var sum = photons * c.direct;
    let middle = mid_hi(i) + mid_lo(i);
    let x = middle * c.stretch / 511.0;
    if c.amount > 0.0 && x >= 2e-4 {
        let late = slab_share(x);
        if late < 1.0 {
            // At the bin's middle: on which side of an edge that lies f32 alone may not know.
            var edge = slab_edges_below(c, i);
            while edge < c.edges && slab_edge(c, edge, i) <= 0.0 {
                edge++;
            }
            let albedo = slab_albedo(c, log(middle / 0.55) + log(c.stretch), slab_rows(c, edge));
            sum += photons * albedo * c.amount * (1.0 - late);
        }
        if late > 0.0 {
            // Another component's coefficients may be in place.
            if green_cosine != c.cosine || green_opacity != r.opacity {
                green_setup(c.cosine, r.opacity);
            }
            reflect_slot = slot;
            reflect_stretch = c.stretch;
            sum += reflect_reflected(r, x) * c.amount * late * width(i) / (middle * middle);
        }
    }
    return sum;
}
