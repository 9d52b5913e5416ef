//! Reflection off ionised discs by the user's xillver tables: xillver, xillverCp, relxill, relxilllp, relxillCp, relxilllpCp.
//!
//! A table holds what a slab sends back in a direction for an incident power law with a cut-off (García & Kallman 2010, ApJ 718, 695; García et
//! al. 2013, ApJ 768, 146; 2014, ApJ 782, 76); it is the user's file ([`file`]), of which the part that the priors need is kept ([`excerpt`]). What
//! gravity does to it is computed here, from rays of our own ([`scene`], [`returning`]): a disc in [`zones`], of each the line, the angles at which
//! light leaves and the cut-off that the disc sees; the zones' spectra are spread by their lines on the table's own logarithmic energies and then
//! integrated over the bins ([`evaluate`]). Formulas and agreement: docs/relativity.md.

mod asked;
mod density;
pub(crate) mod device;
mod evaluate;
mod excerpt;
mod file;
mod primary;
mod returning;
mod scene;
mod spread;
mod zones;

pub use asked::look_in;
pub(crate) use asked::{Asked, default_folder, found, is_there};
pub(crate) use evaluate::Evaluator;

use crate::model::{ModelError, Settings};
use std::path::PathBuf;

/// The components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Xillver,
    XillverCp,
    Relxill,
    RelxillLp,
    RelxillCp,
    RelxillLpCp,
}

/// With their names in lower case and as they are written.
const ALL: [(Kind, &str, &str); 6] = [
    (Kind::Xillver, "xillver", "xillver"),
    (Kind::XillverCp, "xillvercp", "xillverCp"),
    (Kind::Relxill, "relxill", "relxill"),
    (Kind::RelxillLp, "relxilllp", "relxilllp"),
    (Kind::RelxillCp, "relxillcp", "relxillCp"),
    (Kind::RelxillLpCp, "relxilllpcp", "relxilllpCp"),
];

/// What a table's axis stands for; the order is that of the spectra in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Photon index.
    Index,
    /// Abundance of iron.
    Iron,
    /// Logarithm of the ionisation parameter.
    Ionisation,
    /// Logarithm of the density; not every table has it.
    Density,
    /// Cut-off \[keV\], of an exponential or the electrons' temperature.
    CutOff,
    /// Inclination \[degrees\].
    Angle,
}

pub(crate) const ROLES: [Role; 6] =
    [Role::Index, Role::Iron, Role::Ionisation, Role::Density, Role::CutOff, Role::Angle];

/// Where a component's parameters stand.
pub(crate) struct Places {
    /// Of the roles; `None`: it has none.
    pub roles: [Option<usize>; 6],
    pub redshift: usize,
    pub fraction: usize,
    /// Spin, inner and outer radius.
    pub disc: Option<[usize; 3]>,
    /// Inner index, outer index, radius between them.
    pub broken: Option<[usize; 3]>,
    /// Height, velocity.
    pub lamp: Option<[usize; 2]>,
    /// Index and type of a gradient of the ionisation.
    pub gradient: Option<[usize; 2]>,
    /// Returning radiation, and whether the fraction multiplies the reflection as computed.
    pub switches: Option<[usize; 2]>,
}

impl Kind {
    /// By the component's name in lower case.
    pub fn of(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, n, _)| *n == name).map(|(kind, ..)| *kind)
    }

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// Its name, for messages.
    pub fn written(self) -> &'static str {
        ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(.., written)| written)
    }

    /// Whether its primary spectrum is Comptonised and not a power law with an exponential cut-off.
    pub fn comptonised(self) -> bool {
        matches!(self, Kind::XillverCp | Kind::RelxillCp | Kind::RelxillLpCp)
    }

    pub fn places(self) -> Places {
        let none = Places {
            roles: [Some(0), Some(1), Some(3), None, Some(2), Some(5)],
            redshift: 4,
            fraction: 6,
            disc: None,
            broken: None,
            lamp: None,
            gradient: None,
            switches: None,
        };
        match self {
            Kind::Xillver | Kind::XillverCp => none,
            Kind::Relxill => Places {
                roles: [Some(8), Some(10), Some(9), None, Some(11), Some(4)],
                redshift: 7,
                fraction: 12,
                disc: Some([3, 5, 6]),
                broken: Some([0, 1, 2]),
                ..none
            },
            Kind::RelxillLp => Places {
                roles: [Some(7), Some(9), Some(8), None, Some(10), Some(3)],
                redshift: 6,
                fraction: 11,
                disc: Some([2, 4, 5]),
                lamp: Some([0, 1]),
                switches: Some([12, 13]),
                ..none
            },
            Kind::RelxillCp => Places {
                roles: [Some(8), Some(11), Some(9), Some(10), Some(12), Some(0)],
                redshift: 7,
                fraction: 13,
                disc: Some([1, 2, 3]),
                broken: Some([5, 6, 4]),
                ..none
            },
            Kind::RelxillLpCp => Places {
                roles: [Some(6), Some(9), Some(7), Some(8), Some(10), Some(0)],
                redshift: 12,
                fraction: 11,
                disc: Some([1, 2, 3]),
                lamp: Some([4, 5]),
                gradient: Some([13, 14]),
                switches: Some([15, 16]),
                ..none
            },
        }
    }
}

/// The table of a component (lower-case name); `None` where it needs none.
pub(crate) fn table_of(name: &str, settings: &Settings) -> Option<Result<PathBuf, ModelError>> {
    Kind::of(name).map(|kind| asked::table_of(kind, settings))
}

/// Whether a component (lower-case name) needs a table of xillver.
pub fn needs_table(name: &str) -> bool {
    Kind::of(name).is_some()
}
