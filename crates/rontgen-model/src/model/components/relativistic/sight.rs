//! What a relativistic component needs of the rays: the box of spins, inclinations and heights that a run's parameters leave it.

use super::{Disc, LAOR_SPIN, Light, layout};
use crate::model::relativity;
use rontgen_kerr::kerr::{
    LARGEST_SPIN, LEAST_HEIGHT, metric,
    table::{Bounds, height_share},
};

/// The box of a component, and the limb darkening where it is fixed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sight {
    pub bounds: Bounds,
    /// Laws of limb darkening: first, and how many.
    pub laws: (usize, usize),
    /// Photon indices that light which returns to the disc is needed for.
    pub returning: Option<(f64, f64)>,
}

/// Spins at which a range of heights is looked at.
const SAMPLES: usize = 33;

/// Photon indices of light that returns, where nothing else is known.
const INDICES: (f64, f64) = (-10.0, 10.0);

/// Where a component's parameters stand.
struct Places {
    spin: Option<usize>,
    tilt: usize,
    /// The inner radius, which the outer one comes after.
    inner: usize,
    inner_name: &'static str,
    height: Option<usize>,
    limb: Option<usize>,
    /// Of a lamp: the photon index, and the switch of returning light behind it.
    index: Option<usize>,
    /// The inner radius is in innermost stable orbits.
    stable: bool,
}

fn places(name: &str) -> Option<Places> {
    let line = usize::from(!name.contains("conv") && !name.contains("blur"));
    match name {
        "laor" | "kdblur" | "laor2" | "kdblur2" => Some(Places {
            spin: None,
            tilt: line + 3,
            inner: line + 1,
            inner_name: "Rin_G",
            height: None,
            limb: None,
            index: None,
            stable: false,
        }),
        "relline_lp" | "relconv_lp" => {
            let (height, limb, index) = (Some(line), Some(line + 6), Some(line + 7));
            Some(Places { spin: Some(2), tilt: 3, inner: 4, inner_name: "Rin", height, limb, index, stable: false })
        }
        "relline" | "relconv" => Some(Places {
            spin: Some(line + 3),
            tilt: line + 4,
            inner: line + 5,
            inner_name: "Rin",
            height: None,
            limb: Some(7 + 2 * line),
            index: None,
            stable: false,
        }),
        "kerrdisk" | "kerrconv" => Some(Places {
            spin: Some(line + 3),
            tilt: line + 4,
            inner: line + 5,
            inner_name: "Rin_ms",
            height: None,
            limb: None,
            index: None,
            stable: true,
        }),
        "relxill" => Some(Places {
            spin: Some(3),
            tilt: 4,
            inner: 5,
            inner_name: "Rin",
            height: None,
            limb: None,
            index: None,
            stable: false,
        }),
        "relxilllp" => Some(Places {
            spin: Some(2),
            tilt: 3,
            inner: 4,
            inner_name: "Rin",
            height: Some(0),
            limb: None,
            index: None,
            stable: false,
        }),
        "relxillcp" => Some(Places {
            spin: Some(1),
            tilt: 0,
            inner: 2,
            inner_name: "Rin",
            height: None,
            limb: None,
            index: None,
            stable: false,
        }),
        "relxilllpcp" => Some(Places {
            spin: Some(1),
            tilt: 0,
            inner: 2,
            inner_name: "Rin",
            height: Some(4),
            limb: None,
            index: None,
            stable: false,
        }),
        _ => None,
    }
}

/// The height in GM/c2 of a parameter, negative in horizons, as it is: inside the hole, too.
pub(in crate::model::components) fn height_of(spin: f64, height: f64) -> f64 {
    if height < 0.0 { -height * metric::horizon(spin) } else { height }
}

impl Sight {
    /// Of a component (lower-case name) whose k-th parameter lies in `range(k)`; `None` for components that no ray is traced for.
    pub fn of(name: &str, range: impl Fn(usize) -> Option<(f64, f64)>) -> Option<Self> {
        let places = places(name)?;
        let mut sight = Self::whole(name)?;
        if let Some((lo, hi)) = places.spin.and_then(&range) {
            sight.bounds.spin = (lo.max(-LARGEST_SPIN), hi.min(LARGEST_SPIN));
        }
        if let Some(tilt) = range(places.tilt) {
            sight.bounds.inclination = tilt;
        }
        if let Some((lo, hi)) = places.height.and_then(&range) {
            let (first, last) = sight.bounds.spin;
            let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
            for k in 0..SAMPLES {
                let spin = first + (last - first) * k as f64 / (SAMPLES - 1) as f64;
                // A range with both signs holds every height up to the larger end.
                let ends = if lo < 0.0 && hi > 0.0 { [lo, 0.0, hi] } else { [lo, hi, hi] };
                for end in ends {
                    let share = height_share(spin, height_of(spin, end));
                    (least, most) = (least.min(share), most.max(share));
                }
            }
            sight.bounds.height = Some((least, most));
        }
        if let Some((lo, hi)) = places.limb.and_then(&range)
            && lo == hi
        {
            sight.laws = (layout::law(lo), 1);
        }
        if let Some(index) = places.index {
            sight.returning = sight.returning.map(|usual| range(index).unwrap_or(usual));
            if range(index + 1).is_some_and(|(_, hi)| hi <= 0.5) {
                sight.returning = None;
            }
        }
        Some(sight)
    }

    /// Without knowing parameters: everything.
    pub fn whole(name: &str) -> Option<Self> {
        let places = places(name)?;
        // Beyond the inclinations that images are made for, it is the last of them.
        let mut bounds = Bounds { inclination: (0.0, 90.0), ..Bounds::all(places.height.is_some()) };
        if places.spin.is_none() {
            bounds.spin = (LAOR_SPIN, LAOR_SPIN);
        }
        let laws = if places.limb.is_some() { (0, layout::LAWS) } else { (layout::law(super::DARKENED), 1) };
        Some(Self { bounds, laws, returning: places.index.map(|_| INDICES) })
    }

    /// A switch or a law of limb darkening that is neither of its values, where the k-th parameter lies in `range(k)`: number of the parameter and a
    /// text that follows its name.
    pub fn between_switches(name: &str, range: impl Fn(usize) -> Option<(f64, f64)>) -> Option<(usize, String)> {
        let places = places(name)?;
        let switch = places.index.map(|k| k + 1).and_then(|k| Some((k, switch_problem(range(k)?)?)));
        switch.or_else(|| {
            let k = places.limb?;
            let (lo, hi) = range(k)?;
            let text = || format!("{lo} is no law of limb darkening; expected 0, 1 or 2");
            (lo == hi && ![0.0, 1.0, 2.0].contains(&lo)).then(|| (k, text()))
        })
    }

    /// What stands for a value that [`Sight::problem`] finds no sense in, where others of a run make sense.
    pub fn instead(name: &str, parameter: usize) -> &'static str {
        match places(name) {
            Some(places) if parameter == places.inner => "the disc begins at the orbit",
            Some(places) if Some(parameter) == places.height => "the lamp stands there",
            _ => "there is no disc, and no photon",
        }
    }

    /// What makes no sense in a component's parameters, where the k-th lies in `range(k)`: the text names the parameter, without its component.
    pub fn problem(name: &str, range: impl Fn(usize) -> Option<(f64, f64)>) -> Option<(usize, String)> {
        if let Some(wrong) = Self::between_switches(name, &range) {
            return Some(wrong);
        }
        let places = places(name)?;
        let spin = match places.spin {
            Some(k) => range(k)?,
            None => (LAOR_SPIN, LAOR_SPIN),
        };
        let spins = if spin.0 == spin.1 { format!("{}", spin.0) } else { format!("{} .. {}", spin.0, spin.1) };
        let (nearest, inner) = range(places.inner)?;
        // The innermost orbit of the largest spin is the smallest. 1.235, XSPEC's least radius, stands for the orbit of 0.998, 1.237.
        let isco = metric::isco(spin.1.min(LARGEST_SPIN));
        let given = if inner < 0.0 || places.stable { inner.abs() * isco } else { inner };
        if given < isco - 3e-3 {
            let orbits = inner < 0.0 || places.stable;
            let what = match orbits {
                true => format!("{} orbits ({given:.4} GM/c2)", inner.abs()),
                false => format!("{inner} GM/c2"),
            };
            let orbit = if places.stable { "1" } else { "-1" };
            return Some((
                places.inner,
                format!(
                    "{what} is inside the innermost stable orbit, {isco:.4} GM/c2 at spin {}; expected a radius outside of it, or {orbit} for the \
                     orbit itself",
                    spin.1
                ),
            ));
        }
        if let Some(k) = places.height {
            let (lo, hi) = range(k)?;
            // The smallest horizon is that of the largest spin of either sign.
            let widest = if spin.0.abs() > spin.1.abs() { spin.0 } else { spin.1 };
            let least = LEAST_HEIGHT * metric::horizon(widest);
            let highest = height_of(widest, hi).max(height_of(widest, lo));
            if highest < least * (1.0 - 1e-9) {
                return Some((
                    k,
                    format!(
                        "{highest:.4} GM/c2 is inside the horizon or closer to it than {LEAST_HEIGHT} of its radii ({:.4} GM/c2 at spin {spins}); \
                         expected a height of at least {least:.4}",
                        metric::horizon(widest)
                    ),
                ));
            }
        }
        let (least, outer) = range(places.inner + 1)?;
        let edges = |spin: f64| {
            let isco = metric::isco(spin.clamp(-LARGEST_SPIN, LARGEST_SPIN));
            match places.stable {
                true => (nearest.max(1.0) * isco, outer * isco),
                false if inner < 0.0 => ((-inner).max(1.0) * isco, outer),
                false => (nearest.max(isco), outer),
            }
        };
        let seen = [spin.0, spin.1].map(edges);
        if seen.iter().all(|(inner, outer)| outer <= inner) {
            let shown = |lo: f64, hi: f64| if lo == hi { format!("{lo}") } else { format!("{lo} .. {hi}") };
            let edge = seen[0].0.min(seen[1].0);
            let inner = shown(nearest, inner);
            let name = places.inner_name;
            // Radii of kerrdisk are in orbits: what they are in the unit of the edge is told, too.
            let unit = match places.stable {
                true => format!(" innermost stable orbits ({:.4} GM/c2)", seen[0].1.max(seen[1].1)),
                false => " GM/c2".into(),
            };
            return Some((
                places.inner + 1,
                format!(
                    "{}{unit} is not outside of the disc's inner edge, {edge:.4} GM/c2 by {name} {inner} and spin {spins}; expected it above {name}",
                    shown(least, outer)
                ),
            ));
        }
        None
    }

    /// The table of a component; made, read from the cache, or found in memory.
    pub fn table(&self) -> Vec<f64> {
        layout::lay_out(&relativity::rays(&self.bounds, self.returning.is_some()), self)
    }
}

/// What is wrong with a switch between these values.
pub(in crate::model::components) fn switch_problem((lo, hi): (f64, f64)) -> Option<String> {
    if lo != hi {
        return Some(format!("{lo} .. {hi}: a switch cannot be drawn; expected 0 or 1, fixed"));
    }
    (lo != 0.0 && lo != 1.0).then(|| format!("{lo} is neither off nor on; expected 0 or 1"))
}

impl Disc {
    /// Whether the outer edge is not outside of the inner one: there is no disc, and no light of it.
    pub fn is_empty(&self) -> bool {
        let stable = self.unit == super::Unit::Stable;
        let isco = metric::isco(self.spin);
        let inner = if self.inner < 0.0 || stable { self.inner.abs() * isco } else { self.inner };
        (if stable { self.outer * isco } else { self.outer }) <= inner.max(isco)
    }

    /// Radii (GM/c2) of the disc's edges for a hole of its spin: never inside the innermost stable orbit.
    pub fn edges(&self) -> (f64, f64) {
        let isco = metric::isco(self.spin);
        let stable = self.unit == super::Unit::Stable;
        let inner = if self.inner < 0.0 || stable { self.inner.abs() * isco } else { self.inner };
        let outer = if stable { self.outer * isco } else { self.outer };
        let most = rontgen_kerr::kerr::LARGEST_RADIUS;
        let inner = inner.clamp(isco, most / 1.01);
        (inner, outer.clamp(inner * 1.001, most))
    }

    /// Height of the lamp (GM/c2), if there is one: outside the horizon.
    pub fn height(&self) -> Option<f64> {
        let Light::Lamp { height, .. } = self.light else { return None };
        Some(height_of(self.spin, height).max(LEAST_HEIGHT * metric::horizon(self.spin)))
    }
}
