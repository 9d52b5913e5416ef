// Compton reflection: the Green's function of Magdziarz & Zdziarski (1995) and its integral over an incident spectrum; see
// green.rs.

// What is incident in pexrav: a power law with a cutoff.
var<private> green_index: f32;
var<private> green_inverse: f32;

// E F_E of what is incident at x = E/511 keV.
fn green_source(x: f32) -> f32 {
    let e = x * 511.0;
    return safe_exp((2.0 - green_index) * log(e) - e * green_inverse);
}

// Coefficients for the angle and opacity that green_setup was given.
var<private> green_terms: array<f32, 17>;
var<private> green_cosine: f32;
var<private> green_opacity: f32;
var<private> green_surface: f32;
var<private> green_stretch: f32;
var<private> green_small: vec2<f32>;
var<private> green_constant: f32;
var<private> green_first: vec3<f32>;
var<private> green_second: vec2<f32>;
var<private> green_exponent: f32;
var<private> green_onset: vec2<f32>;
var<private> green_hard: vec2<f32>;
var<private> green_soft: array<f32, 5>;
var<private> green_factor: array<f32, 5>;
var<private> green_least: f32;

fn green_poly(x: f32, a: f32, b: f32, c: f32, d: f32, e: f32) -> f32 {
    return a + x * (b + x * (c + x * (d + x * e)));
}

// x^p for x >= 0.
fn green_power(x: f32, p: f32) -> f32 {
    return select(0.0, safe_exp(p * log(max(x, 1e-37))), x > 0.0);
}

fn green_setup(m: f32, opacity: f32) {
    let p = 0.254 - 0.041 * green_power(m, -3.798);
    let low = min(m, 0.524);
    green_terms[0] = green_poly(m, 0.8827, -0.5885, 0.7988, -0.4117, 0.0);
    green_terms[1] = green_poly(m, 0.0517, 0.1076, -0.1691, 0.0678, 0.0);
    green_terms[2] = green_poly(m, 0.0014, 0.0043, 0.0, 0.0, 0.0);
    green_terms[3] = green_poly(m, -0.0003, -0.0027, 0.0021, 0.0, 0.0);
    green_terms[4] = green_poly(m, -1.3259, 1.6214, -3.7007, 2.1722, 0.0) + safe_exp(20.3 * (m - 1.063));
    green_terms[5] = green_poly(m, 0.079, -0.4029, 0.6619, 0.221, 0.0) - safe_exp(17.7 * (m - 1.041));
    green_terms[6] = green_poly(m, 0.0751, -0.1848, 0.4068, -0.4126, 0.0) + safe_exp(9.8 * (m - 1.185));
    green_terms[7] = green_poly(m, -0.002, -0.0394, 0.1004, -0.0597, 0.0);
    green_terms[8] = green_poly(m, 3.2953, -3.6996, 7.9837, -4.6855, 0.0);
    green_terms[9] = green_poly(m, -0.5278, 0.9857, -1.7454, -0.3464, 0.0) + safe_exp(27.6 * (m - 0.959));
    green_terms[10] = green_poly(m, -0.1919, 0.5798, -1.2879, 1.4885, 0.0) - safe_exp(18.3 * (m - 0.986));
    green_terms[11] = green_poly(m, 0.02, 0.0832, -0.0333, -0.237, 0.0) + safe_exp(16.6 * (m - 1.086));
    green_terms[12] = green_poly(m, -2.2779, 2.4031, -4.0733, 1.9499, 0.0) - safe_exp(19.6 * (m - 0.968));
    green_terms[13] = green_poly(m, 0.479, -1.0166, 3.1727, -4.0108, 3.0545) - safe_exp(30.4 * (m - 0.957));
    green_terms[14] = green_poly(m, 0.1122, -0.358, 0.4985, -0.375, -0.5349) + safe_exp(31.2 * (m - 0.972));
    green_terms[15] = green_poly(m, -0.016, -0.0471, -0.0536, 0.2006, 0.2929) - safe_exp(30.6 * (m - 1.009));
    green_terms[16] = green_poly(m, 0.0005, 0.0021, -0.0447, 0.1749, -0.2303) + safe_exp(16.9 * (m - 1.13));
    green_cosine = m;
    green_opacity = opacity;
    green_surface = green_poly(m, 0.802, -1.019, 2.528, -3.198, 1.457) + green_power(0.030 / m, 4.0);
    green_stretch = green_poly(m, 0.006, 0.089, -0.102, 0.056, 0.0);
    green_small = vec2(0.911 - 0.549 * green_power(1.0 - m, 1.471) - 2.0 * p, p);
    green_constant = 0.161 + 0.439 * green_power(m, 0.189) - 0.791 * green_power(m, 7.789);
    green_first = vec3(max(-0.871 + 1.740 * green_power(m, 0.176) - 1.088 * green_power(m, 0.907), 0.0),
        0.934 + 0.054 * green_power(m, -0.666), green_poly(low, 4.647, -11.574, 11.046, 0.0, 0.0));
    green_second = vec2(0.012 + 0.199 * green_power(m, 0.939) + 0.861 * green_power(m, 8.999),
        green_poly(m, -1.281, 2.374, -4.332, 2.630, 0.0));
    green_exponent = 2.882 + 0.035 * green_power(m, -1.065);
    green_onset = vec2(30.28 + 69.29 * m, 1.037 * green_power(1.0 - sqrt(1.0 - 0.874 * m * m), 0.123));
    green_hard = vec2(0.618 - 0.830 * m, 0.128 - 0.132 * m);
    green_soft = array<f32, 5>(0.632 - 0.875 * m, green_poly(m, -0.672, -0.286, 0.717, -0.481, 0.0),
        green_poly(m, 0.0126, -0.0160, 0.0077, 0.0, 0.0), green_poly(m, 0.0111, 0.0030, -0.0014, 0.0, 0.0),
        green_poly(m, -2.437, -0.328, -0.260, 0.279, 0.0));
    green_factor = array<f32, 5>(green_poly(m, 56.50, -27.54, 671.8, -1245.0, 708.4),
        green_poly(m, -0.897, -0.826, 2.273, -0.984, 0.0), 1.240 - 1.297 * m, green_poly(m, -0.490, 1.181, -1.038, 0.0, 0.0),
        1.858 * (green_power(m, 2.033) + 0.745 * green_power(m, 1.065)));
    green_least = 1.0 - sqrt(1.0 - (m - 0.05) * (m - 0.05));
}

fn green_primitive(y: f32, root: f32) -> f32 {
    let d = root * y;
    let t = 0.5774 * (2.0 * d - 1.0);
    return y * (3.0 - log_1p(green_opacity * y * y * y)) + 0.5 / root * log((1.0 - d + d * d) / ((1.0 + d) * (1.0 + d)))
        - 1.73205 / root * sign(t) * arctan_positive(abs(t));
}

fn green_survival(y0: f32, y: f32) -> f32 {
    let root = green_power(green_opacity, 0.3333);
    return green_primitive(y, root) - green_primitive(y0, root);
}

fn green_scattered(y: f32) -> f32 {
    return 1.0 / (1.0 + green_opacity * y * y * y);
}

// The two limits of the profile in dy, of which the lesser counts.
fn green_limits(dy: f32) -> vec2<f32> {
    let first = green_first.x * green_power(max(green_first.y - dy, 0.0), green_first.z);
    let second = green_second.x * green_power(2.150 - dy, green_second.y);
    let large = green_power(max(green_constant + first + second, 0.0), green_exponent)
        / (1.0 + safe_exp(green_onset.x * (green_onset.y - green_power(dy, 0.123))));
    return vec2(green_small.x + green_small.y * dy, large);
}

fn green_above(dy: f32) -> bool {
    let limits = green_limits(dy);
    return limits.x > limits.y;
}

// Where the profile has kinks, in dy: where one of its terms ends, and where one limit passes the other (2 if nowhere).
fn green_kinks() -> vec2<f32> {
    let step = (2.0 - green_least) / 64.0;
    let at_first = green_above(green_least + 0.5 * step);
    var crossing = 2.0;
    for (var k = 1.0; k < 64.0; k += 1.0) {
        if green_above(green_least + k * step) != at_first {
            var low = green_least + max(k - 1.0, 0.5) * step;
            crossing = green_least + k * step;
            for (var n = 0u; n < 24u; n++) {
                let middle = 0.5 * (low + crossing);
                if green_above(middle) == at_first {
                    low = middle;
                } else {
                    crossing = middle;
                }
            }
            break;
        }
    }
    return vec2(min(green_first.y, crossing), max(green_first.y, crossing));
}

// Few scatterings: wavelengths that differ by less than 2.
fn green_few(y: f32, dy: f32) -> f32 {
    let y0 = y - dy;
    let ln = log(min(y0, 10.0));
    let a = ln * green_poly(ln, green_terms[0], green_terms[1], green_terms[2], green_terms[3], 0.0);
    let b = ln * green_poly(ln, green_terms[4], green_terms[5], green_terms[6], green_terms[7], 0.0);
    let c = ln * green_poly(ln, green_terms[8], green_terms[9], green_terms[10], green_terms[11], 0.0);
    let d = ln * green_poly(ln, green_terms[12], green_terms[13], green_terms[14], green_terms[15], green_terms[16]);
    var base = 0.0;
    if y0 < 10.0 {
        // ln of (y0 + 2)/y by what is missing to 2.
        base = safe_exp(green_poly(log_1p((2.0 - dy) / y) / log((y0 + 2.0) / y0), a, b, c, d, 0.0));
    } else {
        let inverse = 1.0 / (10.0 + dy);
        let long = 1.0 + green_stretch * (0.326 * (green_power(0.1 * y0, 1.692) - 1.0) + ln - 2.303);
        base = long * y * inverse * safe_exp(green_poly(5.4848 * log_1p((2.0 - dy) * inverse), a, b, c, d, 0.0));
    }
    let limits = green_limits(dy);
    let deep = 1.0 + (safe_exp(0.381 * dy) - 2.0) * sqrt(max(1.0 - green_scattered(y), 0.0));
    let escapes = green_surface + (1.0 - green_surface) * deep * safe_exp(green_survival(y0, y));
    return base * min(limits.x, limits.y) * green_scattered(y0) * escapes;
}

// Many scatterings.
fn green_many(y: f32, y0: f32) -> f32 {
    let dy = y - y0;
    let ln = log(y0);
    let height = 0.230 + 0.033 * ln + 0.763 * green_power(y0, -0.507) + 0.007 * green_power(y0, -1.553);
    let slope = -0.100 + 0.115 * ln + 0.100 * green_power(y0, 1.623);
    var bend = green_hard.x + green_hard.y * ln;
    if y0 >= 1.0 {
        bend = green_soft[0] + green_soft[1] * ln + green_soft[2] * green_power(green_soft[3] + 1.0 / y0, green_soft[4]);
    }
    let one = 1.0 + dy;
    return height * green_power(1.0 + 75.180 / (y0 * y), slope * (1.0 + bend / y)) * green_factor[4] * green_power(dy, -1.5)
        * one * green_power(1.0 + green_factor[0] / one, green_factor[1] + green_factor[2] * green_power(one, green_factor[3]))
        * safe_exp(green_survival(y0, y0 + dy - 0.15));
}

// Nodes and weights of Gauss-Legendre, four of eight points: the others are their negatives.
fn green_node(k: u32) -> vec2<f32> {
    var nodes = array<vec2<f32>, 4>(vec2(0.18343464, 0.36268378), vec2(0.52553241, 0.31370665), vec2(0.79666648, 0.22238103),
        vec2(0.96028986, 0.10122854));
    return nodes[k];
}

// What is integrated, over dy (mode 0, few scatterings), ln dy (1) or ln y0 (2, many both).
fn green_part(mode: u32, y: f32, place: f32) -> f32 {
    if mode == 0u {
        return green_source(1.0 / (y - place)) * green_few(y, place);
    }
    let own = safe_exp(place);
    let y0 = select(own, y - own, mode == 1u);
    return own * green_source(1.0 / y0) * green_many(y, y0);
}

// Middle and half width of panel k of 7, shares of the range of what few scatterings add: the function sets in steeply, and has kinks
// further on.
fn green_share(k: u32) -> vec2<f32> {
    if k < 2u {
        return select(vec2(0.01, 0.01), vec2(0.093333333, 0.073333333), k == 1u);
    }
    return vec2(f32(2u * k - 1u), 1.0) / 12.0;
}

// E F_E reflected at wavelength y.
fn green_reflected(y: f32) -> f32 {
    let most = min(y - 0.03333, 2.0);
    if most <= green_least {
        return 0.0;
    }
    let whole = most - green_least;
    // More scatterings: over ln dy as long as y0 changes little, then over ln y0.
    let end = min(0.5 * y, y - 0.03333);
    let split = min(y - 2.0, 0.5 * y);
    var sum = 0.0;
    // All panels from one place: drivers copy what is called to where it is called from.
    for (var k = 0u; k < 11u; k++) {
        var mode = 0u;
        var panel = vec2(green_least, 0.0) + whole * green_share(k);
        if k >= 7u {
            mode = select(1u, 2u, k >= 9u);
            let low = select(0.69314718, log(0.03333), mode == 2u);
            let high = select(end, split, mode == 2u);
            if high <= select(2.0, 0.03333, mode == 2u) {
                continue;
            }
            let quarter = 0.25 * (log(high) - low);
            panel = vec2(low + quarter * select(3.0, 1.0, k % 2u == 1u), quarter);
        }
        for (var n = 0u; n < 4u; n++) {
            let node = green_node(n);
            let aside = node.x * panel.y;
            sum += panel.y * node.y * (green_part(mode, y, panel.x + aside) + green_part(mode, y, panel.x - aside));
        }
    }
    return sum / y;
}

fn green_end(m: f32) -> f32 {
    return min(1.0 / (1.03333 - sqrt(1.0 - (m - 0.05) * (m - 0.05))), 4.0);
}

// The slab: opacities, and reflection without loss of energy.

struct Slab {
    cosine: f32,
    metals: f32,
    iron: f32,
    // 1 + z in two parts.
    stretch: f32,
    stretch_low: f32,
    amount: f32,
    direct: f32,
    end: f32,
    first: u32,
    rows: u32,
    edges: u32,
}

fn slab_new(amount: f32, redshift: f32, metals: f32, iron: f32, cosine: f32, t: u32) -> Slab {
    let m = clamp(cosine, 0.05, 0.95);
    let z = stretch(redshift);
    let low = select(redshift - (z - 1.0), 0.0, redshift < -0.999);
    return Slab(m, max(metals, 0.0), max(iron, 0.0), z, low, abs(amount), select(0.0, 1.0, amount >= 0.0), green_end(m), t,
        u32(table(t)), u32(table(t + 1u)));
}

// Edge k as observed, from the middle of bin i (keV).
fn slab_edge(c: Slab, k: u32, i: u32) -> f32 {
    let at = c.first + 2u + 3u * c.rows + k;
    let energy = table(at);
    let observed = energy / c.stretch;
    let rest = quotient_rest(energy, c.stretch, c.stretch_low, observed) + table(at + c.edges) / c.stretch;
    return (observed - mid_hi(i)) + (rest - mid_lo(i));
}

// Edges at or below the lower end of bin i.
fn slab_edges_below(c: Slab, i: u32) -> u32 {
    let lower = edge_lo(i) * c.stretch;
    var low = 0u;
    var high = c.edges;
    while low < high {
        let middle = (low + high) / 2u;
        if table(c.first + 2u + 3u * c.rows + middle) <= lower {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    // One earlier: this comparison was rounded, the next is not.
    var k = max(low, 1u) - 1u;
    while k < c.edges && slab_edge(c, k, i) <= -0.5 * width(i) {
        k++;
    }
    return k;
}

// The first and the last row that hold above the edges before k and below edge k.
fn slab_rows(c: Slab, k: u32) -> vec2<u32> {
    let at = c.first + 2u + 3u * c.rows + 2u * c.edges;
    var rows = vec2(0u, c.rows - 1u);
    if k > 0u {
        rows.x = u32(table(at + c.edges + k - 1u));
    }
    if k < c.edges {
        rows.y = u32(table(at + k));
    }
    return rows;
}

// Opacity over that of scattering at E/0.55 keV in the slab's frame, from some rows alone: an energy next to an edge may be rounded
// across it.
fn slab_opacity(c: Slab, ln_e: f32, rows: vec2<u32>) -> f32 {
    var low = 0u;
    var high = c.rows;
    while low < high {
        let middle = (low + high) / 2u;
        if table(c.first + 2u + middle) <= ln_e {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    let held = min(max(low, rows.x + 1u), rows.y);
    let at = c.first + 1u + clamp(held, 1u, c.rows - 1u);
    let along = (ln_e - table(at)) / max(table(at + 1u) - table(at), 1e-12);
    let metals = table(at + c.rows);
    let iron = table(at + 2u * c.rows);
    let sum = c.metals * safe_exp(metals + along * (table(at + c.rows + 1u) - metals))
        + c.iron * safe_exp(iron + along * (table(at + 2u * c.rows + 1u) - iron));
    return max(sum * 124.21488, 1e-5);
}

fn slab_albedo(c: Slab, ln_e: f32, rows: vec2<u32>) -> f32 {
    let mu = c.cosine;
    let ln = log(1.0 + 1.0 / mu);
    let once = 0.375 * ((3.0 + mu * mu * (3.0 * mu * mu - 2.0)) * ln + (3.0 * mu * mu - 1.0) * (0.5 - mu));
    let opacity = slab_opacity(c, ln_e, rows);
    let scattered = 1.0 / (1.0 + opacity);
    let absorbed = sqrt(opacity * scattered);
    let depth = 1.7320508 * absorbed;
    // 1 - ln(1 + d)/d cancels at small depths.
    let lost = select(1.0 - log_1p(depth) / depth, depth * (0.5 - depth * (1.0 / 3.0 - depth * (0.25 - depth * 0.2))), depth < 0.05);
    let more = ((1.0 / absorbed - 1.0) * lost + 1.0) * (1.0 + 1.7320508 * mu) / (1.0 + depth * mu);
    return scattered * 0.5 * mu * ((more - 1.0) * ln + once);
}

// Share of the Green's function in what is reflected.
fn slab_share(x: f32) -> f32 {
    let along = clamp(log(x / 0.01957) / 0.18215121, 0.0, 1.0);
    return 0.5 * (1.0 - cos_sin(3.1415927 * along).x);
}

fn slab_asymptotic(c: Slab) -> f32 {
    // At x = 0.01947, 9.949 keV.
    return slab_opacity(c, 2.8953261, vec2(0u, c.rows)) * 0.01947 * 0.01947 * 0.01947;
}
