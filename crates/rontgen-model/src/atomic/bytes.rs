//! Little-endian numbers from a packed file; `None` where it ends too early.

pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    /// A u32 that counts something.
    pub fn count(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?) as usize)
    }

    /// One byte of length, then so many of UTF-8.
    pub fn text(&mut self) -> Option<String> {
        let n = usize::from(*self.take(1)?.first()?);
        String::from_utf8(self.take(n)?.to_vec()).ok()
    }

    pub fn singles(&mut self, n: usize) -> Option<Vec<f32>> {
        Some(self.take(n.checked_mul(4)?)?.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    pub fn doubles(&mut self, n: usize) -> Option<Vec<f64>> {
        Some(self.take(n.checked_mul(8)?)?.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
    }
}
