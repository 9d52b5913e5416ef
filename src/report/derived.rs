//! The report's table of derived quantities.

use super::html::{escape, estimate, interval};
use super::numbers::short;
use super::plots::corner::pretty_unit;
use crate::result::Derived;
use std::fmt::Write;

/// Appends the section.
pub(super) fn section(out: &mut String, derived: &Derived) {
    out.push_str(
        "<h2>Derived quantities</h2>\n<div class=\"wide\"><table>\n<tr><th>Quantity</th><th>Median and 68 %</th>\
         <th>90 % interval</th><th>Unit</th></tr>\n",
    );
    for (name, quantity) in &derived.quantities {
        let like = quantity.as_parameter();
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"e\">{}</td><td class=\"e\">{}</td><td>{}</td></tr>",
            escape(name),
            estimate(&like),
            interval(&like),
            escape(&pretty_unit(&quantity.unit)),
        );
    }
    let _ = writeln!(
        out,
        "</table></div>\n<p class=\"muted\">Of all {} draws of <code>posterior.csv</code>, row by row in <code>derived.csv</code>; energies in keV.{}</p>",
        derived.rows,
        distance(derived)
    );
    if !derived.warnings.is_empty() {
        let lines: Vec<String> = derived.warnings.iter().map(|w| format!("<li>{}</li>", escape(w))).collect();
        let _ = writeln!(out, "<ul>{}</ul>", lines.concat());
    }
}

/// Redshift and cosmology behind luminosities.
fn distance(derived: &Derived) -> String {
    let Some(distance) = &derived.distance else { return String::new() };
    let [least, most] = distance.redshift;
    let range = if least == most { short(least) } else { format!("{} to {}", short(least), short(most)) };
    let from = distance.parameter.as_ref().map_or(String::new(), |name| format!(" (<code>{}</code>)", escape(name)));
    format!(
        " Luminosities are those of bands in the source's frame, at redshift {range}{from}; H<sub>0</sub> = {} km/s/Mpc, q<sub>0</sub> = {}, \
         Λ<sub>0</sub> = {}.",
        short(distance.h0),
        short(distance.q0),
        short(distance.lambda0)
    )
}
