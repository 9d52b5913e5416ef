//! Numbers as people write them, for the report. What is not finite is "unknown".

/// A number as people write it: up to six digits, no exponent unless needed.
pub(super) fn short(v: f64) -> String {
    if !v.is_finite() {
        return "unknown".into();
    }
    if v != 0.0 && !(1e-3..1e6).contains(&v.abs()) {
        return format!("{v:e}");
    }
    let text = format!("{v:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

pub(super) fn fixed(v: f64, decimals: usize) -> String {
    if v.is_finite() { format!("{v:.decimals$}").replace('-', "−") } else { "unknown".into() }
}

/// With `digits` significant digits.
pub(super) fn significant(v: f64, digits: i32) -> String {
    if !(v.is_finite() && v > 0.0) {
        return "unknown".into();
    }
    let decimals = (digits - 1 - v.log10().floor() as i32).clamp(0, 12) as usize;
    format!("{v:.decimals$}")
}

pub(super) fn percent(share: f64) -> String {
    let p = 100.0 * share;
    match p {
        p if !p.is_finite() => "unknown".into(),
        p if p >= 10.0 || p == 0.0 => format!("{p:.0} %"),
        p if p >= 1.0 => format!("{p:.1} %"),
        p => format!("{} %", significant(p, 2)),
    }
}

/// 1234567 as 1 234 567, with thin spaces.
pub(super) fn thousands(v: f64) -> String {
    if !v.is_finite() {
        return "unknown".into();
    }
    let digits = format!("{:.0}", v.abs());
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(c);
    }
    if v < 0.0 { format!("−{text}") } else { text }
}

pub(super) fn seconds(s: f64) -> String {
    match s {
        s if !s.is_finite() => "unknown".into(),
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}
