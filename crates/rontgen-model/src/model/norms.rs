//! Units of norms: XSPEC's model.dat has none, but its manual says what every norm is.

/// Unit of the norm of a component (name without regard to case); empty where it has none that could be named in a word.
///
/// A number before the unit belongs to it: the norm of `apec` counts 1e14 cm-5 of the emission measure over 4 pi D^2 (D = D_A (1 + z)).
pub(super) fn unit(component: &str) -> &'static str {
    match component.to_lowercase().as_str() {
        // At 1 keV (logpar: at pivotE; expdec: at 0).
        "powerlaw" | "zpowerlw" | "cutoffpl" | "zcutoffpl" | "bknpower" | "bkn2pow" | "zbknpower" | "logpar"
        | "zlogpar" | "expdec" | "nthcomp" | "pexrav" | "pexriv" | "pexmon" => "photons/keV/cm2/s",
        // Over eMin to eMax.
        "pegpwrlw" => "1e-12 erg/cm2/s",
        // In the line.
        "gaussian" | "zgauss" | "agauss" | "zagauss" | "lorentz" | "zlorentz" | "voigt" | "zvoigt" | "diskline"
        | "laor" | "laor2" | "kerrdisk" | "relline" | "relline_lp" => "photons/cm2/s",
        // Luminosity over distance squared; of the seed photons where these are Comptonised.
        "bbody" | "zbbody" | "comptb" | "bmc" => "1e39 erg/s/(10kpc)2",
        // Radius over distance, squared (discs: of the inner radius, times cos(theta)).
        "bbodyrad" | "compbb" | "diskbb" | "diskpbb" | "ezdiskbb" => "(km/10kpc)2",
        "apec" | "vapec" | "vvapec" | "bapec" | "bvapec" | "bvvapec" | "mekal" | "nei" => "1e14 cm-5",
        // 3.02e-15/(4 pi D^2) of the emission measure.
        "bremss" | "zbremss" => "(3.31e14 cm-5)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::unit;
    use crate::model::catalogue::{Kind, components};

    #[test]
    fn additive_components_say_what_their_norm_is() {
        let without: Vec<&str> = components()
            .iter()
            .filter(|c| c.kind == Kind::Additive && c.available() && !c.parameters.is_empty())
            .filter(|c| c.parameters.iter().any(|p| p.is_norm && p.unit.is_empty()))
            .map(|c| c.name.as_str())
            .collect();
        // Arbitrary; 497 keV/cm2/s of a primary spectrum (xillver and relxill, docs/relativity.md); a step's height over its width.
        let expected = ["compTT", "xillver", "xillverCp", "relxill", "relxilllp", "relxillCp", "relxilllpCp", "step"];
        assert_eq!(without, expected);
        assert_eq!((unit("BBodyRad"), unit("atable")), ("(km/10kpc)2", ""));
    }
}
