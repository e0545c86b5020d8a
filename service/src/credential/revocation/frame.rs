//! The parts of a signed structure, as the bytes that were signed.
//!
//! In: DER of `SEQUENCE { toBeSigned, signatureAlgorithm, signature BIT STRING, ... }`, which a certificate, a CRL and a
//! BasicOCSPResponse have in common. Out: those three. A decoder that encodes again might not give the same bytes back.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::unproven::Unproven;

/// The three parts that a signature joins.
pub(super) struct Signed<'a> {
    pub(super) message: &'a [u8],
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Unproven> {
        let fields = children(der)?;
        let [message, algorithm, signature, ..] = fields.as_slice() else {
            return Err(MALFORMED);
        };
        let signature = BitStringRef::from_der(signature).map_err(|_| MALFORMED)?;
        Ok(Self {
            message,
            algorithm,
            signature: signature.as_bytes().ok_or(MALFORMED)?,
        })
    }
}

pub(super) const MALFORMED: Unproven = Unproven::Malformed("not DER to the last byte");

/// The elements of a SEQUENCE, each whole.
pub(super) fn children(sequence: &[u8]) -> Result<Vec<&[u8]>, Unproven> {
    Elements::of(sequence)?.collect()
}

/// The elements of a SEQUENCE, one after the other: a list of a million needs no memory. After an unreadable one it ends.
pub(super) struct Elements<'a>(Option<SliceReader<'a>>);

impl<'a> Elements<'a> {
    pub(super) fn of(sequence: &'a [u8]) -> Result<Self, Unproven> {
        let any = AnyRef::from_der(sequence).map_err(|_| MALFORMED)?;
        if any.tag() != Tag::Sequence {
            return Err(MALFORMED);
        }
        let reader = SliceReader::new(any.value()).map_err(|_| MALFORMED)?;
        Ok(Self(Some(reader)))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], Unproven>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.0.as_mut()?;
        if reader.is_finished() {
            return None;
        }
        let read = reader.tlv_bytes().map_err(|_| MALFORMED);
        if read.is_err() {
            self.0 = None;
        }
        Some(read)
    }
}
