//! Names that are not here: components that XSPEC has, and the words that people use for those that are here.
//!
//! Suggestions only; nothing is evaluated by another name than its own.

/// Components of XSPEC 12.15 that are not in the catalogue, with the one here that comes nearest in kind. Empty: none does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("agnsed", "nthcomp"), ("agnslim", "nthcomp"), ("bexrav", "pexrav"), ("bexriv", "pexrav"),
    ("brnei", "bapec"), ("btapec", "bapec"), ("bvcie", "bvapec"), ("bvrnei", "bvapec"), ("bvtapec", "bvapec"),
    ("bvvcie", "bvvapec"), ("bvvrnei", "bvvapec"), ("bvvtapec", "bvvapec"), ("bwcycl", "comptb"),
    ("c6mekl", "vapec"), ("c6pmekl", "vapec"), ("c6pvmkl", "vapec"), ("c6vmekl", "vapec"), ("carbatm", "bbody"),
    ("cemekl", "apec"), ("cevmkl", "vapec"), ("cemvmkl", "vapec"), ("cflow", "apec"), ("cie", "apec"),
    ("bcie", "bapec"), ("vcie", "vapec"), ("vvcie", "vvapec"), ("compls", "comptt"), ("compmag", "comptb"),
    ("compps", "nthcomp"), ("compst", "comptt"), ("compth", "nthcomp"), ("cph", "apec"), ("vcph", "vapec"),
    ("cplinear", "logpar"), ("disk", "diskbb"), ("diskir", "diskbb"), ("diskm", "diskbb"), ("disko", "diskbb"),
    ("diskpn", "diskbb"), ("eebremss", "bremss"), ("eplogpar", "logpar"), ("eqpair", "nthcomp"),
    ("eqtherm", "nthcomp"), ("equil", "apec"), ("vequil", "vapec"), ("feklor", "gaussian"),
    ("zfeklor", "zgauss"), ("gadem", "apec"), ("vgadem", "vapec"), ("gnei", "apec"), ("vgnei", "vapec"),
    ("vvgnei", "vvapec"), ("grad", "diskbb"), ("grbcomp", "comptt"), ("grbjet", "bknpower"), ("grbm", "bknpower"),
    ("hatm", "bbody"), ("jet", "powerlaw"), ("kerrd", "diskbb"), ("zkerrbb", "diskbb"), ("kyrline", "diskline"),
    ("kyconv", "rdblur"), ("laor2", "diskline"), ("log10con", "constant"), ("logconst", "constant"),
    ("meka", "apec"), ("vmeka", "vapec"), ("vmekal", "vapec"), ("mkcflow", "apec"), ("vmcflow", "vapec"),
    ("nlapec", "apec"), ("npshock", "apec"), ("vnpshock", "vapec"), ("vvnpshock", "vvapec"), ("nsa", "bbody"),
    ("nsagrav", "bbody"), ("nsatmos", "bbody"), ("nsmax", "bbody"), ("nsmaxg", "bbody"), ("nsx", "bbody"),
    ("optxagn", "nthcomp"), ("optxagnf", "nthcomp"), ("plcabs", "pcfabs"), ("posm", ""),
    ("pshock", "apec"), ("vpshock", "vapec"), ("vvpshock", "vvapec"), ("qsosed", "nthcomp"), ("raymond", "apec"),
    ("vraymond", "vapec"), ("redge", ""), ("refsch", "pexrav"), ("rnei", "apec"), ("vrnei", "vapec"),
    ("vvrnei", "vvapec"), ("sedov", "apec"), ("vsedov", "vapec"), ("vvsedov", "vvapec"), ("sirf", "diskbb"),
    ("slimbh", "diskbb"), ("smaug", "apec"), ("snapec", "apec"), ("srcut", "powerlaw"), ("sresc", "powerlaw"),
    ("ssa", "bknpower"), ("tapec", "apec"), ("vtapec", "vapec"), ("vvtapec", "vvapec"), ("vbremss", "bremss"),
    ("vnei", "vapec"), ("vvnei", "vvapec"), ("wdem", "apec"), ("vwdem", "vapec"), ("vvwdem", "vvapec"),
    ("vlorentz", "lorentz"), ("vvoigt", "voigt"), ("vagauss", "agauss"), ("vgaussian", "gaussian"), ("zvlorentz", "zlorentz"),
    ("acisabs", ""), ("hrefl", "reflect"), ("ismabs", "vphabs"), ("ismdust", "dust"),
    ("logcon", "constant"), ("lyman", "edge"), ("notch", "gabs"), ("olivineabs", "dust"), ("pwab", "pcfabs"),
    ("spline", ""), ("swind1", "zxipcf"), ("wndabs", "phabs"), ("zwndabs", "zphabs"),
    ("xion", "reflect"), ("xscat", "dust"), ("zbabs", "phabs"), ("zigm", "zdust"), ("zredden", "redden"),
    ("zsmdust", "zdust"), ("zvfeabs", "zvarabs"), ("polconst", "constant"), ("pollin", "constant"),
    ("polpow", "constant"), ("rfxconv", "reflect"), ("rgsxsrc", "gsmooth"), ("xilconv", "reflect"),
    ("kdblur2", "rdblur"), ("relconv", "rdblur"),
    // Not XSPEC's own, but in many save files.
    ("relxill", "pexrav"), ("relxilllp", "pexrav"), ("relxillcp", "pexrav"), ("relxilld", "pexrav"),
    ("relxillns", "pexrav"), ("relxilllpcp", "pexrav"), ("relline", "diskline"), ("xillver", "pexrav"),
    ("xillvercp", "pexrav"), ("reflionx", "pexrav"), ("kerrc", "nthcomp"), ("tbnew", "tbvarabs"),
    ("tbnew_gas", "tbgas"), ("tbnew_simple", "tbabs"), ("tbnew_feo", "tbfeo"), ("kynrline", "diskline"),
    ("jetset", "powerlaw"), ("pion", "zxipcf"),
];

/// What people call components that are here.
const COMPONENTS: &[(&str, &str)] = &[
    ("pl", "powerlaw"), ("plaw", "powerlaw"), ("power", "powerlaw"), ("power_law", "powerlaw"),
    ("power-law", "powerlaw"), ("pow_law", "powerlaw"), ("xspowerlaw", "powerlaw"), ("brokenpowerlaw", "bknpower"),
    ("bknpl", "bknpower"), ("bpl", "bknpower"), ("cutoffpowerlaw", "cutoffpl"), ("cpl", "cutoffpl"),
    ("expcutoff", "cutoffpl"), ("logparabola", "logpar"), ("blackbody", "bbody"), ("black_body", "bbody"),
    ("planck", "bbody"), ("diskblackbody", "diskbb"), ("mcd", "diskbb"), ("discbb", "diskbb"),
    ("multicolor", "diskbb"), ("bremsstrahlung", "bremss"), ("brems", "bremss"), ("thermalbremss", "bremss"),
    ("line", "gaussian"), ("gauss1d", "gaussian"), ("delta", "gaussian"), ("lorentzian", "lorentz"),
    ("plasma", "apec"), ("thermal", "apec"), ("absorption", "tbabs"), ("galabs", "tbabs"), ("tbab", "tbabs"),
    ("photoabs", "phabs"), ("reddening", "redden"), ("scale", "constant"), ("factor", "constant"),
    ("multiply", "constant"), ("comptonization", "nthcomp"), ("reflection", "pexrav"), ("cyclotron", "cyclabs"),
    ("partial_covering", "pcfabs"), ("shift", "zashift"), ("redshift", "zashift"), ("smooth", "gsmooth"),
];

/// What people call parameters, with XSPEC's names for them; the first that a component has is meant.
const PARAMETERS: &[(&str, &[&str])] = &[
    ("gamma", &["PhoIndex", "Gamma", "PhoIndx1"]), ("index", &["PhoIndex", "Gamma", "Index", "alpha"]),
    ("photonindex", &["PhoIndex", "Gamma"]), ("photon_index", &["PhoIndex", "Gamma"]), ("alpha", &["PhoIndex", "alpha"]),
    ("slope", &["PhoIndex", "alpha"]), ("gamma1", &["PhoIndx1"]), ("gamma2", &["PhoIndx2"]), ("pindex", &["PhoIndex"]),
    ("phoindex1", &["PhoIndx1"]), ("phoindex2", &["PhoIndx2"]), ("ebreak", &["BreakE", "BreakE1"]),
    ("e_break", &["BreakE", "BreakE1"]), ("break", &["BreakE", "BreakE1"]),
    ("column", &["nH"]), ("n_h", &["nH"]), ("nhydrogen", &["nH"]), ("density", &["nH"]),
    ("temperature", &["kT", "Tin", "kTe"]), ("temp", &["kT", "Tin", "kTe"]), ("t", &["kT", "Tin", "T"]), ("kt", &["kT", "Tin", "kTe"]),
    ("kte", &["kTe", "kT_e", "kT"]), ("tin", &["Tin", "kT"]), ("kt_in", &["Tin"]), ("ktbb", &["kT_bb", "kTbb"]),
    ("normalization", &["norm"]), ("normalisation", &["norm"]), ("amplitude", &["norm"]), ("k", &["norm"]), ("ampl", &["norm"]),
    ("flux", &["Flux", "lg10Flux", "norm"]), ("lgflux", &["lg10Flux"]), ("log_flux", &["lg10Flux"]), ("logflux", &["lg10Flux"]),
    ("z", &["Redshift"]), ("zred", &["Redshift"]), ("abundance", &["Abundanc", "abund"]), ("abund", &["Abundanc", "abund"]),
    ("metallicity", &["Abundanc", "abund"]), ("metal", &["Abundanc", "abund"]), ("abundances", &["Abundanc"]),
    ("energy", &["LineE", "edgeE"]), ("line_e", &["LineE"]), ("e0", &["LineE", "edgeE"]), ("linee", &["LineE"]),
    ("center", &["LineE"]), ("centre", &["LineE"]), ("lineenergy", &["LineE"]), ("edge", &["edgeE"]), ("width", &["Sigma", "Width"]),
    ("fwhm", &["Width", "Sigma"]), ("ecut", &["HighECut", "cutoffE", "foldE"]), ("cutoff", &["HighECut", "cutoffE"]),
    ("e_cut", &["HighECut", "cutoffE"]), ("efold", &["foldE"]), ("constant", &["factor"]), ("value", &["factor"]),
    ("velocity", &["Velocity"]), ("v", &["Velocity"]), ("vturb", &["Velocity"]), ("covering", &["CvrFract"]),
    ("fraction", &["CvrFract", "Frac"]), ("fcov", &["CvrFract"]), ("inclination", &["Incl", "Inc", "cosIncl"]),
    ("incl", &["Incl", "cosIncl"]), ("tau", &["MaxTau", "Depth", "taup"]), ("depth", &["MaxTau", "Depth"]),
];

/// Keys and words of the run file by the names that other programs give them.
const KEYS: &[(&str, &str)] = &[
    ("flat", "uniform"), ("linear", "uniform"), ("unif", "uniform"), ("range", "uniform"), ("limits", "uniform"), ("bounds", "uniform"),
    ("loguniform", "log_uniform"), ("log-uniform", "log_uniform"), ("logunif", "log_uniform"), ("log_flat", "log_uniform"),
    ("logflat", "log_uniform"), ("jeffreys", "log_uniform"), ("jeffrey", "log_uniform"), ("reciprocal", "log_uniform"),
    ("gaussian", "normal"), ("gauss", "normal"), ("norm", "normal"), ("lognormal", "log_normal"), ("log-normal", "log_normal"),
    ("lognorm", "log_normal"), ("log_gaussian", "log_normal"), ("loggaussian", "log_normal"), ("fixed", "value"), ("fix", "value"), ("frozen", "value"), ("freeze", "value"),
    ("constant", "value"), ("link", "tie"), ("linked", "tie"), ("tied", "tie"), ("equals", "tie"), ("factor", "scale"),
    ("multiply", "scale"), ("shift", "offset"), ("add", "offset"), ("rmf", "response"), ("rsp", "response"), ("respfile", "response"),
    ("pha", "spectrum"), ("pi", "spectrum"), ("data", "spectrum"), ("file", "spectrum"), ("ancrfile", "arf"), ("area", "arf"),
    ("backfile", "background"), ("backgrnd", "background"), ("bkg", "background"), ("bgd", "background"), ("back", "background"),
    ("ignore", "energies"), ("notice", "energies"), ("energy", "energies"), ("erange", "energies"), ("band", "energies"),
    ("group", "grouping"), ("rebin", "grouping"), ("bins", "grouping"), ("mincounts", "min_counts"), ("min", "min_counts"),
    ("abund", "abundances"), ("xsect", "cross_sections"), ("xsec", "cross_sections"), ("model", "expression"),
    ("lr", "learning_rate"), ("nsim", "simulations"), ("n_sim", "simulations"), ("num_simulations", "simulations"), ("num_rounds", "rounds"),
    ("n_rounds", "rounds"), ("batch_size", "batch"), ("random_seed", "seed"), ("nlive", "live"), ("n_live", "live"), ("live_points", "live"),
    ("nwalkers", "walkers"), ("nsamples", "samples"), ("n_samples", "samples"), ("layers_hidden", "layers"), ("latent_dim", "latent"),
];

/// What people call the abundance tables.
const TABLES: &[(&str, &str)] = &[
    ("wilms", "wilm"), ("wams", "wilm"), ("anders", "angr"), ("ag89", "angr"), ("andersgrevesse", "angr"), ("solar", "wilm"),
    ("asplund", "aspl"), ("aspl09", "aspl"), ("asplund09", "aspl"), ("lodders", "lodd"), ("lodd03", "lodd"),
    ("lodd09", "lpgp"), ("lodders09", "lpgp"), ("grevesse", "grsa"), ("gs98", "grsa"), ("feldman", "feld"), ("allen", "aneb"),
    ("ebihara", "aneb"), ("felc", "feld"),
];

fn of(table: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    table.iter().find(|(word, _)| *word == name).map(|(_, meant)| *meant)
}

/// A component that XSPEC (or a package of it) has and the catalogue has not: its nearest here, empty for none.
pub(crate) fn xspec(name: &str) -> Option<&'static str> {
    of(ELSEWHERE, name)
}

/// The component that is meant by another name.
pub(crate) fn component(name: &str) -> Option<&'static str> {
    of(COMPONENTS, name)
}

/// The parameter among `has` that is meant by another name.
pub(crate) fn parameter<'a>(name: &str, has: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let (_, meant) = PARAMETERS.iter().find(|(word, _)| *word == name)?;
    meant.iter().find_map(|wanted| has.iter().copied().find(|own| own.eq_ignore_ascii_case(wanted)))
}

/// The key among `known` that is meant by another name.
pub(crate) fn key<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    KEYS.iter().filter(|(word, _)| *word == name).find_map(|(_, meant)| known.iter().copied().find(|k| k == meant))
}

/// The abundance table that is meant by another name.
pub(crate) fn abundances(name: &str) -> Option<&'static str> {
    of(TABLES, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue;

    #[test]
    fn every_suggestion_is_here_and_no_component_is_elsewhere() {
        let here = |name: &str| catalogue::components().iter().find(|c| c.name.eq_ignore_ascii_case(name));
        for (name, near) in ELSEWHERE {
            assert!(here(name).is_none(), "{name} is in the catalogue");
            assert!(near.is_empty() || here(near).is_some(), "{name}: {near} is not in the catalogue");
        }
        for (name, meant) in COMPONENTS {
            assert!(here(name).is_none() && here(meant).is_some_and(|c| c.missing().is_none()), "{name}: {meant}");
        }
        let own: Vec<&str> = catalogue::components().iter().flat_map(|c| &c.parameters).map(|p| p.name.as_str()).collect();
        for (name, meant) in PARAMETERS {
            assert!(meant.iter().any(|m| own.iter().any(|o| o.eq_ignore_ascii_case(m))), "{name}: {meant:?}");
        }
        for (name, table) in TABLES {
            assert!(crate::atomic::abundance_tables().contains(table), "{name}: {table}");
        }
    }
}
