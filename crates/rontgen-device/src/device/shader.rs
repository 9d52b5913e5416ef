//! Assembles WGSL: includes, defines and conditional lines, nothing more.
//!
//! A line `//!include NAME` is replaced by `shaders/include/NAME.wgsl` (each at most once per shader); `{{NAME}}` by a define;
//! lines between `//!if NAME` and `//!end` stay only when NAME is defined. Binding 0 of group 0 is always the uniform block of
//! launch parameters, storage buffers follow from binding 1 in the order of the launch; entry points are called `main`.

use std::borrow::Cow;

/// One compute kernel: a WGSL source and the defines that make a variant of it. Equal `name`s must mean equal kernels, since
/// pipelines are cached by name; a variant carries its defines in its name.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What pipelines are cached by, and what errors and profiles call it.
    pub name: Cow<'static, str>,
    /// WGSL before it is assembled.
    pub source: Cow<'static, str>,
    /// Names and values of what `{{NAME}}` and `//!if NAME` ask for.
    pub defines: Vec<(&'static str, String)>,
}

impl Kernel {
    /// Makes a kernel without defines.
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), source: Cow::Borrowed(source), defines: Vec::new() }
    }

    /// A variant: same source, other name, other defines.
    pub fn variant(name: String, source: &'static str, defines: Vec<(&'static str, String)>) -> Self {
        Self { name: Cow::Owned(name), source: Cow::Borrowed(source), defines }
    }

    /// The WGSL that goes to the driver.
    pub fn assemble(&self) -> Result<String, String> {
        let mut included = Vec::new();
        let mut text = String::new();
        expand(&self.source, &self.defines, &mut included, &mut text)?;
        for (name, value) in &self.defines {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        match text.find("{{") {
            Some(at) => Err(format!("a define is missing near {:?}", text[at..].chars().take(30).collect::<String>())),
            None => Ok(text),
        }
    }
}

/// Snippets that kernels share.
pub const INCLUDES: &[(&str, &str)] = &[
    ("angle", include_str!("../../../../shaders/include/angle.wgsl")),
    ("cstat", include_str!("../../../../shaders/include/cstat.wgsl")),
    ("deviance", include_str!("../../../../shaders/include/deviance.wgsl")),
    ("flow", include_str!("../../../../shaders/include/flow.wgsl")),
    ("flow_fused", include_str!("../../../../shaders/include/flow_fused.wgsl")),
    ("index", include_str!("../../../../shaders/include/index.wgsl")),
    ("model", include_str!("../../../../shaders/include/model.wgsl")),
    ("moments", include_str!("../../../../shaders/include/moments.wgsl")),
    ("nonlinear", include_str!("../../../../shaders/include/nonlinear.wgsl")),
    ("random", include_str!("../../../../shaders/include/random.wgsl")),
    ("status", include_str!("../../../../shaders/include/status.wgsl")),
    ("tails", include_str!("../../../../shaders/include/tails.wgsl")),
];

fn expand<'s>(
    source: &'s str,
    defines: &[(&'static str, String)],
    included: &mut Vec<&'s str>,
    out: &mut String,
) -> Result<(), String> {
    let mut skipping = 0usize;
    let mut depth = 0usize;
    for line in source.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix("//!if ") {
            depth += 1;
            if skipping > 0 || !defines.iter().any(|(define, _)| *define == name.trim()) {
                skipping += 1;
            }
        } else if trimmed == "//!end" {
            depth = depth.checked_sub(1).ok_or("//!end without //!if")?;
            skipping = skipping.saturating_sub(1);
        } else if skipping > 0 {
            continue;
        } else if let Some(name) = trimmed.strip_prefix("//!include ") {
            let name = name.trim();
            if included.contains(&name) {
                continue;
            }
            included.push(name);
            let (_, snippet) =
                INCLUDES.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no include {name:?}"))?;
            expand(snippet, defines, included, out)?;
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if depth != 0 { Err("//!if without //!end".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_defines_and_includes() {
        let kernel = Kernel::variant(
            "t".into(),
            "//!include index\n//!include index\n//!if A\na {{A}}\n//!if B\nb\n//!end\n//!end\n//!if B\nc\n//!end\nd",
            vec![("A", "7".into())],
        );
        let text = kernel.assemble().unwrap();
        assert!(text.contains("a 7\n") && text.ends_with("d\n") && !text.contains("\nb\n") && !text.contains("\nc\n"));
        assert_eq!(text.matches("fn linear_index").count(), 1);
        assert!(Kernel::new("t", "{{NOPE}}").assemble().is_err());
    }
}
