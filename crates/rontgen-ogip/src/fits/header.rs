//! The skeleton of a FITS file: header cards, the size and place of every HDU, the layout of its table columns.
//!
//! Everything is checked against the length of the file before a byte of data is touched, so that a header that promises
//! more than the file holds is refused here and no later allocation can exceed the file. The library that decodes the
//! columns trusts headers; this walk is why it may.

use super::FitsError;

/// Length of a FITS block; headers and data are padded to multiples of it.
pub const BLOCK: usize = 2880;
const CARD: usize = 80;
/// More cards than any real header has; a file without an END card would otherwise be read as one header.
const MAX_CARDS: usize = 200_000;

/// One keyword with its value as written (strings unquoted).
#[derive(Debug, Clone)]
struct Card {
    key: String,
    value: String,
    quoted: bool,
}

/// The keywords of one HDU.
#[derive(Debug, Clone, Default)]
pub struct Header {
    cards: Vec<Card>,
}

impl Header {
    fn raw(&self, key: &str) -> Option<&Card> {
        self.cards.iter().find(|c| c.key.eq_ignore_ascii_case(key))
    }

    /// Value as text without quotes and surrounding blanks; `None` where the keyword is absent or has no value.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.raw(key).map(|c| c.value.trim()).filter(|v| !v.is_empty())
    }

    /// Whether the keyword is there, with a value or without.
    pub fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// Value as a number. Numbers in quotes are accepted (some responses write `TLMIN4 = '0'`), and Fortran's `D` exponents.
    /// `Ok(None)` where absent or blank; `Err` carries the text that is no number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, String> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let cleaned = text.replace(['D', 'd'], "E");
        match cleaned.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Some(x)),
            _ => Err(text.to_string()),
        }
    }

    /// Value as an integer; a number with a fraction is an `Err` with its text.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, String> {
        match self.number(key)? {
            None => Ok(None),
            Some(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => Ok(Some(x as i64)),
            Some(x) => Err(x.to_string()),
        }
    }

    /// Value as a logical (`T`/`F`, also quoted words beginning with t, f, y or n).
    pub fn logical(&self, key: &str) -> Option<bool> {
        match self.text(key)?.chars().next()?.to_ascii_uppercase() {
            'T' | 'Y' => Some(true),
            'F' | 'N' => Some(false),
            _ => None,
        }
    }
}

/// How a table column is stored.
#[derive(Debug, Clone)]
pub struct Column {
    /// 1-based position, as in the keywords.
    pub number: usize,
    /// TTYPE, without blanks around it; empty where absent.
    pub name: String,
    /// TFORM as written.
    pub form: String,
    /// FITS type letter: L X B I J K A E D C M.
    pub code: char,
    /// Elements per row; for a variable column the longest row that the header promises.
    pub repeat: usize,
    /// Stored as a descriptor into the heap (`P` or `Q`).
    pub variable: bool,
    /// TUNIT as written.
    pub unit: Option<String>,
    /// Bytes before it in a row.
    pub offset: usize,
}

impl Column {
    /// Bytes of one element.
    pub fn element_bytes(&self) -> usize {
        match self.code {
            'L' | 'B' | 'A' | 'X' => 1,
            'I' => 2,
            'J' | 'E' => 4,
            'K' | 'D' | 'C' => 8,
            _ => 16,
        }
    }

    fn row_bytes(&self, wide_descriptor: bool) -> usize {
        match (self.variable, wide_descriptor) {
            (true, false) => 8,
            (true, true) => 16,
            (false, _) if self.code == 'X' => self.repeat.div_ceil(8),
            (false, _) => self.repeat.saturating_mul(self.element_bytes()),
        }
    }

    /// Tells whether its elements are real numbers.
    pub fn is_numeric(&self) -> bool {
        matches!(self.code, 'B' | 'I' | 'J' | 'K' | 'E' | 'D')
    }
}

/// What an HDU holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HduKind {
    /// An image or no data at all.
    Image,
    /// A table of text (TABLE).
    AsciiTable,
    /// A binary table (BINTABLE).
    Table,
}

/// One header-data unit.
#[derive(Debug, Clone)]
pub struct Hdu {
    /// 0 for the primary HDU.
    pub index: usize,
    /// What its data are.
    pub kind: HduKind,
    /// EXTNAME in upper case; empty where absent.
    pub name: String,
    /// Keywords of the HDU.
    pub header: Header,
    /// Rows of a table; 0 of anything else.
    pub rows: usize,
    /// Byte of the file at which the data begin.
    pub data: usize,
    /// Bytes of one table row.
    pub row_bytes: usize,
    /// Columns of a table in their order.
    pub columns: Vec<Column>,
    /// Bytes of the heap behind the table, gap included.
    pub heap_bytes: usize,
    /// Offset of the heap proper from the end of the table rows.
    pub heap_gap: usize,
}

impl Hdu {
    /// Column by name, without regard to case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// HDUCLASn in upper case, empty where absent.
    pub fn class(&self, level: usize) -> String {
        self.header.text(&format!("HDUCLAS{level}")).unwrap_or("").to_uppercase()
    }

    /// Name for messages: `HDU 2 (MATRIX)`.
    pub fn label(&self) -> String {
        if self.name.is_empty() { format!("HDU {}", self.index) } else { format!("HDU {} ({})", self.index, self.name) }
    }
}

fn parse_card(card: &[u8]) -> Option<Card> {
    let text: String = card.iter().map(|&b| b as char).collect();
    let key = text.get(..8)?.trim().to_string();
    let continued = key == "CONTINUE";
    let indicator = text.get(8..10)?;
    if key.is_empty() || !(indicator == "= " || continued) {
        return None;
    }
    let field = text.get(if continued { 8.. } else { 10.. })?.trim_start();
    if let Some(rest) = field.strip_prefix('\'') {
        let mut value = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                if chars.peek() == Some(&'\'') {
                    chars.next();
                } else {
                    break;
                }
            }
            value.push(c);
        }
        return Some(Card { key, value: value.trim_end().to_string(), quoted: true });
    }
    let value = field.split('/').next().unwrap_or("").trim().to_string();
    Some(Card { key, value, quoted: false })
}

/// Reads cards from `start` to END; returns the header and the offset of the data.
fn read_header(bytes: &[u8], start: usize, index: usize) -> Result<(Header, usize), FitsError> {
    let mut header = Header::default();
    for n in 0..MAX_CARDS {
        let at = start + n * CARD;
        let Some(card) = bytes.get(at..at + CARD) else {
            return Err(FitsError::Structure(format!(
                "the header of HDU {index} has no END card before the file ends at byte {}: truncated",
                bytes.len()
            )));
        };
        if card.starts_with(b"END") && card[3..].iter().all(|&b| b == b' ') {
            let end = (n + 1) * CARD;
            return Ok((header, start + end.div_ceil(BLOCK) * BLOCK));
        }
        let Some(parsed) = parse_card(card) else { continue };
        if parsed.key == "CONTINUE" {
            if let Some(last) = header.cards.last_mut()
                && last.quoted
                && last.value.ends_with('&')
            {
                last.value.pop();
                last.value.push_str(&parsed.value);
            }
            continue;
        }
        header.cards.push(parsed);
    }
    Err(FitsError::Structure(format!("the header of HDU {index} has more than {MAX_CARDS} cards and no END card")))
}

fn natural(header: &Header, key: &str, index: usize, default: Option<u64>) -> Result<usize, FitsError> {
    let found = header
        .integer(key)
        .map_err(|t| FitsError::Structure(format!("HDU {index}: {key} is '{t}', expected an integer")))?;
    let value = match (found, default) {
        (Some(v), _) => v,
        (None, Some(d)) => d as i64,
        (None, None) => return Err(FitsError::Structure(format!("HDU {index}: keyword {key} is missing"))),
    };
    usize::try_from(value)
        .map_err(|_| FitsError::Structure(format!("HDU {index}: {key} is {value}, expected a number from 0 up")))
}

fn parse_form(form: &str) -> Option<(usize, char, bool, bool)> {
    let form = form.trim();
    let digits = form.chars().take_while(char::is_ascii_digit).count();
    let (count, rest) = form.split_at(digits);
    let repeat = if count.is_empty() { 1 } else { count.parse().ok()? };
    let mut letters = rest.chars();
    let code = letters.next()?;
    match code {
        'L' | 'X' | 'B' | 'I' | 'J' | 'K' | 'A' | 'E' | 'D' | 'C' | 'M' => Some((repeat, code, false, false)),
        'P' | 'Q' if repeat <= 1 => {
            let element = letters.next()?;
            if !"LXBIJKAEDCM".contains(element) {
                return None;
            }
            let longest = letters.as_str().trim_start_matches('(').trim_end_matches(')').trim().parse().unwrap_or(0);
            Some((longest, element, true, code == 'Q'))
        }
        _ => None,
    }
}

fn columns(header: &Header, index: usize, row_bytes: usize) -> Result<Vec<Column>, FitsError> {
    let fields = natural(header, "TFIELDS", index, None)?;
    if fields > 999 {
        return Err(FitsError::Structure(format!("HDU {index}: TFIELDS is {fields}, expected at most 999")));
    }
    let mut out = Vec::with_capacity(fields);
    let mut used = 0usize;
    for number in 1..=fields {
        let form = header.text(&format!("TFORM{number}")).unwrap_or("").to_string();
        let Some((repeat, code, variable, wide)) = parse_form(&form) else {
            return Err(FitsError::Structure(format!(
                "HDU {index}: TFORM{number} is '{form}', expected a FITS column format such as 1E or PE(81)"
            )));
        };
        let column = Column {
            number,
            name: header.text(&format!("TTYPE{number}")).unwrap_or("").to_string(),
            form,
            code,
            repeat,
            variable,
            unit: header.text(&format!("TUNIT{number}")).map(str::to_string),
            offset: used,
        };
        used = used.saturating_add(column.row_bytes(wide));
        out.push(column);
    }
    if used != row_bytes {
        return Err(FitsError::Structure(format!(
            "HDU {index}: the columns take {used} bytes a row, but NAXIS1 is {row_bytes}"
        )));
    }
    Ok(out)
}

/// The array that a header describes.
struct Shape {
    axes: usize,
    lengths: Vec<usize>,
    bitpix: i64,
    extra: usize,
    groups: usize,
    /// Bytes of data, padding not counted.
    size: usize,
}

fn shape(header: &Header, index: usize) -> Result<Shape, FitsError> {
    let axes = natural(header, "NAXIS", index, None)?;
    let bitpix = header.integer("BITPIX").ok().flatten().unwrap_or(0);
    if axes > 999 || ![8, 16, 32, 64, -32, -64].contains(&bitpix) {
        return Err(FitsError::Structure(format!("HDU {index}: NAXIS = {axes} with BITPIX = {bitpix} is not FITS")));
    }
    let mut elements = usize::from(axes > 0);
    let mut lengths = Vec::new();
    for axis in 1..=axes {
        let n = natural(header, &format!("NAXIS{axis}"), index, None)?;
        lengths.push(n);
        elements = elements.saturating_mul(n);
    }
    // NAXIS1 = 0 marks random groups in the primary HDU; they are not used in X-ray files and their size has its own rule.
    if index == 0 && header.logical("GROUPS") == Some(true) && lengths.first() == Some(&0) {
        return Err(FitsError::Structure("HDU 0 holds random groups, expected an image or nothing".into()));
    }
    let extra = natural(header, "PCOUNT", index, Some(0))?;
    let groups = natural(header, "GCOUNT", index, Some(1))?;
    let size = if axes == 0 {
        0
    } else {
        elements.saturating_add(extra).saturating_mul(groups).saturating_mul(bitpix.unsigned_abs() as usize / 8)
    };
    Ok(Shape { axes, lengths, bitpix, extra, groups, size })
}

/// Whether a header that begins at `start` is whole, and if so how many bytes of data follow it (padding not counted). `None`: it goes on.
/// Only the last block is searched for its end: to be asked after every block.
pub(super) fn data_of(bytes: &[u8], start: usize, index: usize) -> Result<Option<usize>, FitsError> {
    let ends = |card: &[u8]| card.starts_with(b"END") && card[3..].iter().all(|&b| b == b' ');
    let last = start + (bytes.len() - start).saturating_sub(1) / BLOCK * BLOCK;
    if bytes.len() - start > MAX_CARDS * CARD || bytes[last..].chunks_exact(CARD).any(ends) {
        let (header, _) = read_header(bytes, start, index)?;
        return shape(&header, index).map(|s| Some(s.size));
    }
    Ok(None)
}

/// Walks all HDUs of a file held in memory. Every HDU's data lie within `bytes`, or the file is refused.
/// The notes tell of harmless oddities (bytes behind the last HDU, missing padding).
pub fn walk(bytes: &[u8]) -> Result<(Vec<Hdu>, Vec<String>), FitsError> {
    if !bytes.starts_with(b"SIMPLE  =") {
        return Err(FitsError::NotFits);
    }
    let mut hdus = Vec::new();
    let mut notes = Vec::new();
    let mut at = 0usize;
    while at < bytes.len() {
        let index = hdus.len();
        if index > 0 && !bytes[at..].starts_with(b"XTENSION") {
            if bytes[at..].iter().any(|&b| b != 0 && b != b' ') {
                notes.push("the bytes behind the last HDU are not an extension: ignored".into());
            }
            break;
        }
        let (header, data) = read_header(bytes, at, index)?;
        let Shape { axes, lengths, bitpix, extra, groups, size } = shape(&header, index)?;
        let end = data.saturating_add(size);
        if end > bytes.len() {
            return Err(FitsError::Structure(format!(
                "HDU {index}{} needs {size} bytes of data from byte {data}, but the file ends at byte {}: truncated or a wrong header",
                header.text("EXTNAME").map(|n| format!(" ({n})")).unwrap_or_default(),
                bytes.len()
            )));
        }
        let kind = match header.text("XTENSION").unwrap_or("IMAGE") {
            "BINTABLE" | "A3DTABLE" => HduKind::Table,
            "TABLE" => HduKind::AsciiTable,
            _ => HduKind::Image,
        };
        let mut hdu = Hdu {
            index,
            kind,
            name: header.text("EXTNAME").unwrap_or("").to_uppercase(),
            header,
            rows: 0,
            data,
            row_bytes: 0,
            columns: Vec::new(),
            heap_bytes: 0,
            heap_gap: 0,
        };
        if kind == HduKind::Table {
            if axes != 2 || bitpix != 8 || groups != 1 {
                return Err(FitsError::Structure(format!(
                    "HDU {index}: a table with NAXIS = {axes}, BITPIX = {bitpix}, GCOUNT = {groups}; expected 2, 8, 1"
                )));
            }
            hdu.row_bytes = lengths.first().copied().unwrap_or(0);
            hdu.rows = lengths.get(1).copied().unwrap_or(0);
            hdu.columns = columns(&hdu.header, index, hdu.row_bytes)?;
            hdu.heap_bytes = extra;
            let table = hdu.row_bytes.saturating_mul(hdu.rows);
            let heap = natural(&hdu.header, "THEAP", index, Some(table as u64))?;
            if heap < table || heap > table.saturating_add(extra) {
                return Err(FitsError::Structure(format!(
                    "HDU {index}: THEAP is {heap}, expected {table} to {}",
                    table.saturating_add(extra)
                )));
            }
            hdu.heap_gap = heap - table;
        }
        hdus.push(hdu);
        at = data + size.div_ceil(BLOCK) * BLOCK;
        if at > bytes.len() {
            notes.push("the file is not padded to a whole number of 2880-byte blocks".into());
        }
    }
    Ok((hdus, notes))
}
