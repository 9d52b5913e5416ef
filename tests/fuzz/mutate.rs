//! Damage with a purpose: what people and programs do to FITS files and to text, and what an attacker would.

/// Random numbers that are the same on every machine (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` - 1; 0 for none.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.word() % n as u64) as usize }
    }

    /// One of a list of words.
    pub fn text(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const BLOCK: usize = 2880;
const CARD: usize = 80;

/// Values of keywords: sizes that overflow, wrong types, and the words that decide how a file is read.
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "8",
    "64",
    "255",
    "256",
    "1000000",
    "2147483647",
    "-2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "1.5",
    "-0.0",
    "1E308",
    "1E-320",
    "NaN",
    "1D+400",
    "T",
    "F",
    "''",
    "' '",
    "'none'",
    "'NONE'",
    "'1J'",
    "'1I'",
    "'1E'",
    "'1D'",
    "'0E'",
    "'1B'",
    "'1K'",
    "'1L'",
    "'1X'",
    "'1C'",
    "'3A'",
    "'8A'",
    "'2J'",
    "'3E'",
    "'100E'",
    "'99999999E'",
    "'2147483647D'",
    "'1PE(3)'",
    "'1PE'",
    "'1PI(2)'",
    "'1PJ(0)'",
    "'1QE(2)'",
    "'1PE(99999999)'",
    "'PE'",
    "'E'",
    "'J'",
    "'-1E'",
    "'Z'",
    "'1PZ(3)'",
    "'CHANNEL'",
    "'COUNTS'",
    "'RATE'",
    "'QUALITY'",
    "'GROUPING'",
    "'MATRIX'",
    "'SPECRESP'",
    "'SPECRESP MATRIX'",
    "'EBOUNDS'",
    "'SPECTRUM'",
    "'ENERG_LO'",
    "'ENERG_HI'",
    "'N_GRP'",
    "'F_CHAN'",
    "'N_CHAN'",
    "'E_MIN'",
    "'E_MAX'",
    "'PARAMVAL'",
    "'INTPSPEC'",
    "'VALUE'",
    "'NUMBVALS'",
    "'BINTABLE'",
    "'IMAGE'",
    "'TABLE'",
    "'count'",
    "'counts/s'",
    "'cm**2'",
    "'m**2'",
    "'keV'",
    "'eV'",
    "'Angstrom'",
    "'s.pha'",
    "'r.rmf'",
    "'a.arf'",
    "'s.pha{1}'",
    "'gone'",
    "'TOTAL'",
    "'NET'",
    "'BKG'",
    "'CONTINUE&'",
    "'it''s'",
    "'open",
    "/",
    "",
];
/// Keywords that are worth a change, beside those that are there.
const KEYS: &[&str] = &[
    "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "BITPIX", "XTENSION", "EXTNAME", "HDUCLASS",
    "HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "DETCHANS", "TLMIN1", "TLMIN4", "TLMAX1", "EXPOSURE", "AREASCAL", "BACKSCAL",
    "CORRSCAL", "GROUPING", "QUALITY", "SYS_ERR", "POISSERR", "RESPFILE", "ANCRFILE", "BACKFILE", "TFORM1", "TFORM2",
    "TFORM4", "TFORM6", "TTYPE1", "TTYPE2", "TTYPE6", "TUNIT1", "TUNIT2", "TSCAL2", "TZERO2", "TNULL2", "TDIM6",
    "THEAP", "NINTPARM", "NADDPARM", "LO_THRES", "CHANTYPE", "TELESCOP", "INSTRUME", "GROUPS", "EXTEND", "END",
    "CONTINUE", "HIERARCH", "TG_PART", "ESCALE", "REDSHIFT", "ADDMODEL",
];

/// The first bytes of every header card, block by block: what looks like a header is one.
fn cards(bytes: &[u8]) -> Vec<usize> {
    let text = |card: &[u8]| card.iter().all(|c| (32..127).contains(c));
    (0..bytes.len() / CARD)
        .map(|k| k * CARD)
        .filter(|&at| text(&bytes[at..at + CARD]) && bytes[at..at + 8].iter().any(|c| c.is_ascii_uppercase()))
        .collect()
}

fn write_card(bytes: &mut [u8], at: usize, key: &str, value: &str) {
    let text =
        if key == "END" { format!("{:<80}", "END") } else { format!("{:<80}", format!("{key:<8}= {value:>20}")) };
    bytes[at..at + CARD].copy_from_slice(&text.as_bytes()[..CARD]);
}

fn spoil_card(bytes: &mut [u8], chance: &mut Chance) {
    let all = cards(bytes);
    if all.is_empty() {
        return;
    }
    let at = *chance.one(&all);
    let key = String::from_utf8_lossy(&bytes[at..at + 8]).trim_end().to_string();
    match chance.below(8) {
        // Another value: the structure of FITS stays, and so the reader gets to what the value means.
        0..=3 => write_card(bytes, at, &key, chance.text(VALUES)),
        4 => write_card(bytes, at, chance.text(KEYS), chance.text(VALUES)),
        5 => bytes[at..at + CARD].fill(b' '),
        6 => {
            let from = *chance.one(&all);
            bytes.copy_within(from..from + CARD, at);
        }
        _ => {
            let k = chance.below(CARD);
            bytes[at + k] = *chance.one(b"0123456789'= /.-+EDNT\0\xff");
        }
    }
}

fn spoil_data(bytes: &mut [u8], chance: &mut Chance) {
    if bytes.len() < 16 {
        return;
    }
    // Words of 2, 4 and 8 bytes as tables hold them: counts, channels, energies, descriptors of heap arrays.
    let width = *chance.one(&[2usize, 4, 4, 4, 8]);
    let at = chance.below(bytes.len() / width) * width;
    let value: [u8; 8] = match chance.below(14) {
        0 => u64::MAX.to_be_bytes(),
        1 => 0u64.to_be_bytes(),
        2 => (1u64 << 63).to_be_bytes(),
        3 => [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        4 => [0x7f, 0xc0, 0, 0, 0, 0, 0, 0],
        5 => [0x7f, 0x80, 0, 0, 0, 0, 0, 0],
        6 => [0xff, 0x80, 0, 0, 0, 0, 0, 0],
        7 => [0, 0, 0, 1, 0, 0, 0, 1],
        8 => [0, 1, 0, 2, 0, 3, 0, 4],
        9 => 1e30f32.to_be_bytes().iter().chain(&[0; 4]).copied().collect::<Vec<_>>().try_into().unwrap_or_default(),
        10 => [0, 0, 0x03, 0xe8, 0, 0, 0x27, 0x10],
        11 => (-1.0f32).to_be_bytes().iter().chain(&[0; 4]).copied().collect::<Vec<_>>().try_into().unwrap_or_default(),
        _ => chance.word().to_be_bytes(),
    };
    bytes[at..at + width].copy_from_slice(&value[..width]);
}

/// A damaged copy of a FITS file; `others` are files whose blocks may get into it.
pub fn fits(seed: &[u8], others: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let blocks = (bytes.len() / BLOCK).max(1);
        match chance.below(20) {
            0..=9 => spoil_card(&mut bytes, chance),
            10..=15 => spoil_data(&mut bytes, chance),
            16 => {
                let at = chance.below(bytes.len());
                bytes[at] ^= 1 << chance.below(8);
            }
            17 => match chance.below(3) {
                0 => bytes.truncate(chance.below(blocks + 1) * BLOCK),
                1 => bytes.truncate(chance.below(bytes.len() + 1)),
                _ => bytes.extend(vec![*chance.one(&[0u8, b' ', 0xff]); chance.below(2 * BLOCK)]),
            },
            18 => {
                // A block twice, or gone.
                let at = chance.below(blocks) * BLOCK;
                let end = (at + BLOCK).min(bytes.len());
                match chance.below(2) {
                    0 => {
                        let copy = bytes[at..end].to_vec();
                        bytes.splice(at..at, copy);
                    }
                    _ => drop(bytes.drain(at..end)),
                }
            }
            _ => {
                let other = chance.one(others);
                let from = chance.below(other.len() / BLOCK) * BLOCK;
                let at = chance.below(blocks) * BLOCK;
                bytes.splice(at..at, other[from..].to_vec());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Text cut into words, signs and spaces.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let class = |c: char| {
        if c.is_alphanumeric() || c == '_' || c == '.' {
            0
        } else if c.is_whitespace() && c != '\n' {
            1
        } else {
            2
        }
    };
    let mut last = 3;
    for c in text.chars() {
        match all.last_mut() {
            Some(word) if class(c) == last && last != 2 => word.push(c),
            _ => all.push(c.to_string()),
        }
        last = class(c);
    }
    all
}

const WORDS: &[&str] = &[
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "99999999999999999999",
    "0x10",
    "1_000",
    "+",
    "-",
    "*",
    "/",
    "(",
    ")",
    "((",
    "))",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "\"",
    "'",
    "\"\"\"",
    "=",
    "==",
    ",",
    ";",
    ":",
    "&",
    "#",
    "\\",
    "\n",
    "\n\n",
    "\t",
    "**",
    "!",
    "=p1",
    "= p2*2",
    "=10-p1",
    "= 2*(p4+1)",
    "1:1",
    "1:1-3",
    "**-**",
    "data",
    "response",
    "arf",
    "backgrnd",
    "ignore",
    "notice",
    "model",
    "newpar",
    "2:nxb",
    "untie",
    "freeze",
    "thaw",
    "addcomp",
    "delcomp",
    "bad",
    "all",
    "none",
    "setplot",
    "energy",
    "wave",
    "/*",
    "&",
    "atable{t.mod}",
    "atable{",
    "etable{gone}",
    "tbabs",
    "powerlaw",
    "gauss",
    "phabs",
    "cflux",
    "constant",
    "gsmooth",
    "pileup",
    "const*",
    "s.pha",
    "s.pha{1}",
    "r.rmf",
    "true",
    "false",
    "uniform",
    "log_uniform",
    "normal",
    "tie",
    "é",
    "\u{0}",
    "\u{202e}",
    "😀",
    "a.b.c",
    "observation",
    "[model]",
    "[parameters]",
    "expression",
    "energies",
    "grouping",
    "optimal",
    "min_counts",
];

/// A damaged copy of a text; pieces of `others` may get into it.
pub fn text(seed: &str, others: &[String], chance: &mut Chance) -> String {
    let mut all = tokens(seed);
    for _ in 0..=chance.below(6) {
        if all.is_empty() {
            break;
        }
        let at = chance.below(all.len());
        match chance.below(12) {
            0..=4 => all[at] = chance.text(WORDS).to_string(),
            5 => all.insert(at, chance.text(WORDS).to_string()),
            6 => drop(all.remove(at)),
            7 => {
                let other = chance.below(all.len());
                all.swap(at, other);
            }
            8 => {
                let end = (at + 1 + chance.below(12)).min(all.len());
                let part = all[at..end].to_vec();
                for _ in 0..=chance.below(3) {
                    all.splice(at..at, part.clone());
                }
            }
            9 => {
                let other = tokens(chance.one::<String>(others));
                let from = chance.below(other.len());
                let end = (from + 1 + chance.below(30)).min(other.len());
                all.splice(at..at, other[from..end].to_vec());
            }
            10 => {
                // Depth: parentheses and brackets a thousand times.
                let sign = chance.text(&["(", "[", "{", "-", "a.", "\"", "powerlaw+", "tbabs*("]);
                all[at] = sign.repeat(*chance.one(&[3, 40, 1000, 20_000]));
            }
            _ => all.truncate(at),
        }
    }
    all.concat()
}
