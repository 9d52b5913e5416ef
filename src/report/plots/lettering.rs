//! Text in the fonts that every PDF reader has: which bytes of which font its characters are, and how wide they stand.
//!
//! Helvetica is written in WinAnsiEncoding, which lacks Greek letters and most signs; these are Symbol's. Superscripts and subscripts become
//! small figures above and below the line, so that they look alike and are found as digits. Widths: Adobe's metrics of the 14 base fonts.

/// One of the fonts of a PDF document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Helvetica,
    Bold,
    Symbol,
}

/// Neighbouring characters of one font, size and height.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) face: Face,
    pub(super) codes: Vec<u8>,
    /// Size of the letters, as a share of the line's.
    pub(super) scale: f64,
    /// Height above the line, as a share of its size.
    pub(super) rise: f64,
    /// Width, as a share of the line's size.
    pub(super) width: f64,
}

/// Share of the line's size that figures above and below it have.
const SMALL: f64 = 0.68;
const ABOVE: f64 = 0.36;
const BELOW: f64 = -0.14;

/// The text as runs from left to right. A character that no font has is a question mark.
pub(super) fn runs(text: &str, bold: bool) -> Vec<Run> {
    let mut all: Vec<Run> = Vec::new();
    for c in text.chars() {
        let (plain, scale, rise) = match (above(c), below(c)) {
            (Some(plain), _) => (plain, SMALL, ABOVE),
            (_, Some(plain)) => (plain, SMALL, BELOW),
            _ => (c, 1.0, 0.0),
        };
        let upright = if bold { Face::Bold } else { Face::Helvetica };
        let (face, code) = match (symbol(plain), win_ansi(plain)) {
            (Some(code), _) => (Face::Symbol, code),
            (None, Some(code)) => (upright, code),
            (None, None) => (upright, b'?'),
        };
        let width = scale * f64::from(advance(face, code)) / 1000.0;
        match all.last_mut() {
            Some(run) if (run.face, run.scale, run.rise) == (face, scale, rise) => {
                run.codes.push(code);
                run.width += width;
            }
            _ => all.push(Run { face, codes: vec![code], scale, rise, width }),
        }
    }
    all
}

fn above(c: char) -> Option<char> {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    match c {
        '⁻' => Some('−'),
        '⁺' => Some('+'),
        c => char::from_digit(digits.iter().position(|d| *d == c)? as u32, 10),
    }
}

fn below(c: char) -> Option<char> {
    match c {
        '₋' => Some('−'),
        '₀'..='₉' => char::from_digit(c as u32 - '₀' as u32, 10),
        _ => None,
    }
}

/// The byte of a character in WinAnsiEncoding.
fn win_ansi(c: char) -> Option<u8> {
    const FROM_80: &str = "€•‚ƒ„…†‡ˆ‰Š‹Œ•Ž••‘’“”•–—˜™š›œ•žŸ";
    match c {
        ' '..='~' => u8::try_from(c as u32).ok(),
        '\u{a1}'..='\u{ff}' => u8::try_from(c as u32).ok(),
        // Spaces of all widths, and hyphens that may not break.
        '\u{a0}' | '\u{2009}' | '\u{202f}' => Some(b' '),
        '\u{2010}' | '\u{2011}' => Some(b'-'),
        '•' => Some(0x95),
        c => u8::try_from(0x80 + FROM_80.chars().position(|own| own == c)?).ok(),
    }
}

/// The byte of a character in Symbol's own encoding.
fn symbol(c: char) -> Option<u8> {
    const SMALL_GREEK: &str = "abgdezhqiklmnxoprVstufcyw";
    const LARGE_GREEK: &str = "ABGDEZHQIKLMNXOPR STUFCYW";
    let nth = |letters: &str, first: char| letters.as_bytes().get((c as usize).checked_sub(first as usize)?).copied();
    match c {
        '−' => Some(0x2d),
        '√' => Some(0xd6),
        '≤' => Some(0xa3),
        '≥' => Some(0xb3),
        '∞' => Some(0xa5),
        '≈' => Some(0xbb),
        '≠' => Some(0xb9),
        '∝' => Some(0xb5),
        '→' => Some(0xae),
        '∼' => Some(0x7e),
        'ϕ' => Some(b'j'),
        'ϑ' => Some(b'J'),
        'α'..='ω' => nth(SMALL_GREEK, 'α'),
        'Α'..='Ω' => nth(LARGE_GREEK, 'Α').filter(|code| *code != b' '),
        _ => None,
    }
}

/// Width of a character in thousandths of the font's size.
fn advance(face: Face, code: u8) -> u16 {
    let table = match face {
        Face::Helvetica => &HELVETICA,
        Face::Bold => &BOLD,
        Face::Symbol => return symbol_advance(code),
    };
    table.get(usize::from(code).wrapping_sub(0x20)).copied().unwrap_or(556)
}

fn symbol_advance(code: u8) -> u16 {
    const SMALL_GREEK: [u16; 26] = [
        631, 549, 549, 494, 439, 521, 411, 603, 329, 603, 549, 549, 576, 521, 549, 549, 521, 549, 603, 439, 576, 713,
        686, 493, 686, 494,
    ];
    const LARGE_GREEK: [u16; 26] = [
        722, 667, 722, 612, 611, 763, 603, 722, 333, 631, 722, 686, 889, 722, 722, 768, 741, 556, 592, 611, 690, 439,
        768, 645, 795, 611,
    ];
    let nth = |table: &[u16; 26], first: u8| table.get(usize::from(code - first)).copied().unwrap_or(549);
    match code {
        b'a'..=b'z' => nth(&SMALL_GREEK, b'a'),
        b'A'..=b'Z' => nth(&LARGE_GREEK, b'A'),
        0xa5 | 0xb5 => 713,
        0xae => 987,
        _ => 549,
    }
}

/// Widths of the characters from 0x20 on.
const HELVETICA: [u16; 224] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584, 278, 556, 350, 222, 556, 333, 1000, 556, 556, 333, 1000, 667, 333, 1000, 350, 611, 350, 350, 222,
    222, 333, 333, 350, 556, 1000, 333, 1000, 500, 333, 944, 350, 500, 667, 278, 333, 556, 556, 556, 556, 260, 556,
    333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 556, 537, 278, 333, 333, 365, 556, 834, 834, 834,
    611, 667, 667, 667, 667, 667, 667, 1000, 722, 667, 667, 667, 667, 278, 278, 278, 278, 722, 722, 778, 778, 778, 778,
    778, 584, 778, 722, 722, 722, 722, 667, 667, 611, 556, 556, 556, 556, 556, 556, 889, 500, 556, 556, 556, 556, 278,
    278, 278, 278, 556, 556, 556, 556, 556, 556, 556, 584, 611, 556, 556, 556, 556, 500, 556, 500,
];

const BOLD: [u16; 224] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584, 278, 556, 350, 278, 556, 500, 1000, 556, 556, 333, 1000, 667, 333, 1000, 350, 611, 350, 350, 278,
    278, 500, 500, 350, 556, 1000, 333, 1000, 556, 333, 944, 350, 500, 667, 278, 333, 556, 556, 556, 556, 280, 556,
    333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 611, 556, 278, 333, 333, 365, 556, 834, 834, 834,
    611, 722, 722, 722, 722, 722, 722, 1000, 722, 667, 667, 667, 667, 278, 278, 278, 278, 722, 722, 778, 778, 778, 778,
    778, 584, 778, 722, 722, 722, 722, 667, 667, 611, 556, 556, 556, 556, 556, 556, 889, 556, 556, 556, 556, 556, 278,
    278, 278, 278, 611, 611, 611, 611, 611, 611, 611, 584, 611, 611, 611, 611, 611, 556, 611, 556,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Font, bytes and height of each run.
    fn pieces(text: &str) -> Vec<(Face, String, f64)> {
        let text_of = |run: &Run| run.codes.iter().map(|&b| char::from(b)).collect::<String>();
        runs(text, false).iter().map(|run| (run.face, text_of(run), run.rise)).collect()
    }

    #[test]
    fn units_become_figures_above_the_line() {
        let plain = |text: &str| (Face::Helvetica, text.to_string(), 0.0);
        let minus = (Face::Symbol, "-".to_string(), ABOVE);
        let one = (Face::Helvetica, "1".to_string(), ABOVE);
        let expected = vec![plain("Counts s"), minus.clone(), one.clone(), plain(" keV"), minus, one];
        assert_eq!(pieces("Counts s⁻¹ keV⁻¹"), expected);
        assert_eq!(pieces("E² F(E)")[1], (Face::Helvetica, "2".to_string(), ABOVE));
    }

    #[test]
    fn signs_and_greek_letters_are_those_of_symbol() {
        assert_eq!(pieces("σ−√")[0], (Face::Symbol, "s-\u{d6}".to_string(), 0.0));
        assert_eq!(pieces("ΔΣΩ")[0], (Face::Symbol, "DSW".to_string(), 0.0));
        assert_eq!(pieces("αωςφ")[0], (Face::Symbol, "awVf".to_string(), 0.0));
        assert_eq!(pieces("± × – é …")[0], (Face::Helvetica, "± × \u{96} é \u{85}".to_string(), 0.0));
        // No font has it, and it is no accident that it can be seen.
        assert_eq!(pieces("猫")[0], (Face::Helvetica, "?".to_string(), 0.0));
    }

    /// Of Adobe's Helvetica.afm, Helvetica-Bold.afm and Symbol.afm.
    #[test]
    fn widths_are_those_of_the_fonts() {
        let width = |text: &str, bold: bool| runs(text, bold).iter().map(|run| run.width).sum::<f64>() * 1000.0;
        for (text, bold, expected) in [
            ("Energy", false, 667.0 + 556.0 + 556.0 + 333.0 + 556.0 + 500.0),
            ("tbabs", true, 333.0 + 611.0 + 556.0 + 611.0 + 556.0),
            ("Wm@~", false, 944.0 + 833.0 + 1015.0 + 584.0),
            ("ÿ", false, 500.0),
            ("αω−Ω", false, 631.0 + 686.0 + 549.0 + 768.0),
            ("10²", false, 2.0 * 556.0 + SMALL * 556.0),
        ] {
            assert!((width(text, bold) - expected).abs() < 1e-9, "{text}");
        }
    }
}
