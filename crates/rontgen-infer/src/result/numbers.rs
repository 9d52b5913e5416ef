//! Numbers as people write them, where an analysis says something in words. What is not finite is "unknown".

/// A value with its error, as `-130.213 ± 0.004`: one significant digit more than the error has to one.
pub fn signed(value: f64, error: f64) -> String {
    if !(error > 0.0 && error.is_finite()) {
        return format!("{value:.3}");
    }
    let decimals = (1 - error.log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.decimals$} ± {error:.decimals$}")
}

/// A number as people write it: up to six digits, no exponent unless needed.
pub fn short(v: f64) -> String {
    if !v.is_finite() {
        return "unknown".into();
    }
    if v != 0.0 && !(1e-3..1e6).contains(&v.abs()) {
        return format!("{v:e}");
    }
    let text = format!("{v:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
