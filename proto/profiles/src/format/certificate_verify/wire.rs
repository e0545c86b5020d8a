//! The TLS presentation language, read strictly.
//!
//! In: bytes. Out: integers and length-prefixed vectors, borrowed. Never reads past a vector's end, never leaves a
//! byte unread: whoever opens a reader calls [`Reader::finish`]. Serves RFC 5246 section 4.

use crate::refusal::Refusal;

/// A cursor over bytes; `what` names the structure in refusals.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| self.refusal())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refusal> {
        let [octet] = self.octets()?;
        Ok(octet)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        Ok(u16::from_be_bytes(self.octets()?))
    }

    /// A vector whose length is written in one octet.
    pub(super) fn vec8(&mut self) -> Result<&'a [u8], Refusal> {
        self.vector(1)
    }

    /// A vector whose length is written in two octets.
    pub(super) fn vec16(&mut self) -> Result<&'a [u8], Refusal> {
        self.vector(2)
    }

    /// A vector whose length is written in three octets.
    pub(super) fn vec24(&mut self) -> Result<&'a [u8], Refusal> {
        self.vector(3)
    }

    /// All octets read; anything left is a refusal.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    fn octets<const LEN: usize>(&mut self) -> Result<[u8; LEN], Refusal> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.refusal())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn vector(&mut self, prefix: usize) -> Result<&'a [u8], Refusal> {
        let prefix = self.take(prefix)?;
        let len = prefix
            .iter()
            .fold(0, |value, octet| value * 256 + usize::from(*octet));
        self.take(len)
    }

    fn refusal(&self) -> Refusal {
        Refusal::TlsTranscript { what: self.what }
    }
}

/// A list of 16-bit code points that fills its vector: not empty, no odd octet.
pub(super) fn codes(bytes: &[u8], what: &'static str) -> Result<Vec<u16>, Refusal> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(2) {
        return Err(Refusal::TlsTranscript { what });
    }
    Ok(bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_integers_and_vectors_to_the_end() {
        let mut reader = Reader::new(&[7, 1, 2, 1, 9, 0, 1, 8, 0, 0, 1, 6], "x");
        assert_eq!((reader.u8().unwrap(), reader.u16().unwrap()), (7, 0x0102));
        assert_eq!(reader.vec8().unwrap(), [9]);
        assert_eq!(reader.vec16().unwrap(), [8]);
        assert_eq!(reader.vec24().unwrap(), [6]);
        assert!(reader.is_empty() && reader.finish().is_ok());
    }

    #[test]
    fn refuses_to_read_past_the_end_or_to_leave_bytes() {
        assert!(Reader::new(&[], "x").u8().is_err());
        assert!(Reader::new(&[0], "x").u16().is_err());
        assert!(Reader::new(&[2, 0], "x").vec8().is_err());
        assert!(Reader::new(&[0], "x").finish().is_err());
        assert!(codes(&[1], "x").is_err() && codes(&[], "x").is_err());
    }
}
