//! FITS headers, card by card: our tables are regular, and cfitsio's file names have a syntax of their own in which a folder called `run (2)` is
//! not a name.

use std::io::Write;

/// FITS files are made of blocks of this many bytes; headers are filled with blanks, binary tables with zeros.
pub(super) const BLOCK: usize = 2880;

/// A header under construction.
#[derive(Default)]
pub(super) struct Header {
    cards: Vec<String>,
}

impl Header {
    /// One card of 80 characters; a comment that does not fit is cut.
    fn card(&mut self, key: &str, value: &str, comment: &str) {
        let mut card = format!("{key:<8}= {value:>20}");
        if !comment.is_empty() {
            card.push_str(" / ");
            card.extend(comment.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }));
        }
        self.cards.push(format!("{:<80}", card.chars().take(80).collect::<String>()));
    }

    pub fn text(&mut self, key: &str, value: &str, comment: &str) {
        let plain: String =
            value.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).take(60).collect();
        let quoted = format!("'{:<8}'", plain.replace('\'', "''"));
        self.card(key, &format!("{quoted:<20}"), comment);
    }

    pub fn integer(&mut self, key: &str, value: usize, comment: &str) {
        self.card(key, &value.to_string(), comment);
    }

    pub fn real(&mut self, key: &str, value: f64, comment: &str) {
        self.card(key, &format!("{value:.1}"), comment);
    }

    pub fn logical(&mut self, key: &str, value: bool, comment: &str) {
        self.card(key, if value { "T" } else { "F" }, comment);
    }

    pub fn write(&self, w: &mut dyn Write) -> std::io::Result<()> {
        let mut text = self.cards.concat();
        text.push_str(&format!("{:<80}", "END"));
        let blanks = (BLOCK - text.len() % BLOCK) % BLOCK;
        text.push_str(&" ".repeat(blanks));
        w.write_all(text.as_bytes())
    }
}

/// The header of a file without an image.
pub(super) fn primary() -> Header {
    let mut primary = Header::default();
    primary.logical("SIMPLE", true, "conforms to the FITS standard");
    primary.integer("BITPIX", 8, "");
    primary.integer("NAXIS", 0, "no image");
    primary.logical("EXTEND", true, "extensions follow");
    primary
}
