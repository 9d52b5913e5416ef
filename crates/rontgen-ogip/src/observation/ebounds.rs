//! EBOUNDS: the energies of the channels.

use super::area::{energy_column, same_edge};
use super::{ObservationError, refused};
use crate::fits::{FitsFile, Hdu, HduKind};

/// The channels of a response, in the order of the rows.
pub(super) struct Ebounds {
    /// Number of the first channel; `None` where the CHANNEL column is junk and no TLMIN says it.
    pub first: Option<i64>,
    /// The CHANNEL column is junk: the rows are taken to be in order.
    pub junk: bool,
    /// Limits \[keV\], E_MIN <= E_MAX.
    pub e_min: Vec<f64>,
    pub e_max: Vec<f64>,
}

pub(super) fn ebounds_hdus(file: &FitsFile) -> Vec<&Hdu> {
    let tables = || file.hdus().iter().filter(|h| h.kind == HduKind::Table);
    let mut named: Vec<&Hdu> = tables().filter(|h| h.name == "EBOUNDS").collect();
    if named.is_empty() {
        named = tables().filter(|h| h.class(1) == "RESPONSE" && h.class(2) == "EBOUNDS").collect();
    }
    named
}

/// The order of the rows that makes CHANNEL rise by one, where there is one.
fn in_order(numbers: &[f64]) -> Option<(i64, Vec<usize>)> {
    if numbers.iter().any(|c| c.fract() != 0.0 || !(-1.0e6..1.0e9).contains(c)) {
        return None;
    }
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let rising = order.windows(2).all(|w| numbers[w[1]] == numbers[w[0]] + 1.0);
    rising.then(|| (numbers[order[0]] as i64, order))
}

pub(super) fn read(file: &FitsFile, hdu: &Hdu, warnings: &mut Vec<String>) -> Result<Ebounds, ObservationError> {
    let fits = |e| ObservationError::fits(file.path(), e);
    let refuse = |text: String| refused(file.path(), format!("{}: {text}", hdu.label()));
    let numbers = file.scalars(hdu, "CHANNEL").map_err(fits)?;
    let mut e_min = energy_column(file, hdu, "E_MIN", warnings)?;
    let mut e_max = energy_column(file, hdu, "E_MAX", warnings)?;
    if numbers.is_empty() {
        return Err(refuse("no channels".into()));
    }
    if let Some(i) = (0..e_min.len()).find(|&i| !(e_min[i].is_finite() && e_max[i].is_finite())) {
        return Err(refuse(format!(
            "row {}: E_MIN = {}, E_MAX = {}, expected two energies in keV",
            i + 1,
            e_min[i],
            e_max[i]
        )));
    }
    let (first, junk) = match in_order(&numbers) {
        Some((first, order)) => {
            if order.windows(2).any(|w| w[1] < w[0]) {
                warnings.push(format!("{}: the rows are not in the order of CHANNEL: sorted", hdu.label()));
                e_min = order.iter().map(|&i| e_min[i]).collect();
                e_max = order.iter().map(|&i| e_max[i]).collect();
            }
            (Some(first), false)
        }
        None => {
            let column = hdu.column("CHANNEL").map_or(0, |c| c.number);
            (hdu.header.integer(&format!("TLMIN{column}")).ok().flatten(), true)
        }
    };
    // Gratings list channels by wavelength; some files then also swap the two limits.
    let swapped = e_min.iter().zip(&e_max).filter(|(a, b)| a > b).count();
    if swapped > 0 {
        warnings.push(format!("{}: E_MIN is above E_MAX in {swapped} channels: swapped", hdu.label()));
    }
    let lower: Vec<f64> = e_min.iter().zip(&e_max).map(|(a, b)| a.min(*b)).collect();
    let upper: Vec<f64> = e_min.iter().zip(&e_max).map(|(a, b)| a.max(*b)).collect();
    tell(hdu, first.unwrap_or(1), &lower, &upper, warnings);
    Ok(Ebounds { first, junk, e_min: lower, e_max: upper })
}

/// Tells of channels that descend, leave gaps, overlap or have no width.
fn tell(hdu: &Hdu, first: i64, lower: &[f64], upper: &[f64], warnings: &mut Vec<String>) {
    let n = lower.len();
    let label = hdu.label();
    let falling = (1..n).filter(|&i| lower[i] + upper[i] < lower[i - 1] + upper[i - 1]).count();
    let descending = 2 * falling > n - 1;
    if falling > 0 && falling < n - 1 {
        warnings.push(format!(
            "{label}: channel energies neither rise nor fall throughout ({falling} of {} steps go down)",
            n - 1
        ));
    } else if descending {
        warnings.push(format!("{label}: channel energies descend with channel number"));
    }
    let (mut gaps, mut overlaps): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for i in 1..n {
        let (below, above) = if descending { (upper[i], lower[i - 1]) } else { (upper[i - 1], lower[i]) };
        if !same_edge(below, above, upper[i] - lower[i]) {
            if above > below { gaps.push(i) } else { overlaps.push(i) }
        }
    }
    for (places, what) in [(gaps, "leave gaps"), (overlaps, "overlap")] {
        if let Some(&i) = places.first() {
            warnings.push(format!(
                "{label}: channels {what} in {} places, first between channel {} ({:.6} to {:.6} keV) and {} ({:.6} to {:.6} keV)",
                places.len(),
                first + i as i64 - 1,
                lower[i - 1],
                upper[i - 1],
                first + i as i64,
                lower[i],
                upper[i]
            ));
        }
    }
    let flat: Vec<usize> = (0..n).filter(|&i| lower[i] == upper[i]).collect();
    if let Some(&i) = flat.first() {
        warnings.push(format!(
            "{label}: {} channels have no width (first: {} at {:.6} keV): dropped",
            flat.len(),
            first + i as i64,
            lower[i]
        ));
    }
}
