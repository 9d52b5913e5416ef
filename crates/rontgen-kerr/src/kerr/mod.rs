//! The Kerr metric, rays in it, and what a thin disc in the equatorial plane receives from a lamp on the axis and shows to an observer.
//!
//! Units: G = M = c = 1, so that radii and heights are in gravitational radii; spins are in -1 .. 1, negative where the disc runs against the
//! hole. Angles are in radians unless a name says degrees.
//!
//! | file | what |
//! |---|---|
//! | [`metric`] | radii, velocities and shifts in closed form |
//! | [`ray`] | rays in Mino time |
//! | [`image`] | the image of a disc, ring by ring: transfer functions |
//! | [`lamp`] | a lamp on the axis: where its light goes, emissivity, reflection fraction |
//! | [`radii`] | the radial grid of images and lamps |
//! | [`returning`] | what a disc's own light finds of it again |
//! | [`table`] | images and lamps at the nodes of a box of spins, inclinations and heights |

pub mod image;
pub mod lamp;
pub mod metric;
pub mod radii;
pub mod ray;
pub mod returning;
pub mod table;

/// Every grid is so many times as fine as usual: 1, or what RONTGEN_KERR_FINENESS said when this was compiled, to see what the grids' spacing does. Shaders
/// know of 1 alone.
pub const FINENESS: usize = match option_env!("RONTGEN_KERR_FINENESS") {
    Some(text) if matches!(text.as_bytes(), [b'2']) => 2,
    _ => 1,
};
/// Spins lie between minus this and this (Thorne 1974, ApJ 191, 507).
pub const LARGEST_SPIN: f64 = 0.998;
/// Discs end here at the latest (gravitational radii).
pub const LARGEST_RADIUS: f64 = 2500.0;
/// Light that gets so far without meeting the disc is that of infinity (gravitational radii).
pub const INFINITY: f64 = 1000.0;
/// Lamps are not higher than this (gravitational radii).
pub const LARGEST_HEIGHT: f64 = 1000.0;
/// Lamps are no lower than this, in units of the horizon's radius.
pub const LEAST_HEIGHT: f64 = 1.1;
/// Inclinations that images are made for (degrees).
pub const INCLINATIONS: (f64, f64) = (1.0, 89.0);
