//! DER pieces, one level at a time.
//!
//! In: bytes from outside. Out: type-length-value pieces with their raw encoding, so that a caller can keep what is
//! readable when a later sibling is not. Never recurses: the caller goes down by hand, so the depth is what its code
//! says. Never accepts BER (ITU-T X.690 clause 10: definite, minimal lengths).

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

/// One element: its tag, its content, and the whole encoding.
#[derive(Clone, Copy)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: Tag,
    pub(crate) value: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// The bytes are not DER, or bytes follow where none may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Tlv<'a> {
    /// Reads exactly one element; nothing may follow it.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match Elements::of(bytes).all()?.as_slice() {
            [one] => Ok(*one),
            _ => Err(Malformed),
        }
    }

    /// The content as a list of elements, when this is a SEQUENCE.
    pub(crate) fn sequence(&self) -> Result<Vec<Tlv<'a>>, Malformed> {
        self.constructed(Tag::Sequence)
    }

    /// The content as a list of elements, when this carries the expected constructed tag.
    pub(crate) fn constructed(&self, tag: Tag) -> Result<Vec<Tlv<'a>>, Malformed> {
        if self.tag != tag {
            return Err(Malformed);
        }
        Elements::of(self.value).all()
    }

    /// The object identifier this is, if it is one of at most 39 content octets.
    pub(crate) fn oid(&self) -> Option<ObjectIdentifier> {
        match self.tag {
            Tag::ObjectIdentifier => ObjectIdentifier::from_bytes(self.value).ok(),
            _ => None,
        }
    }

    /// The text of a string type, decoded: UTF8, Printable, IA5, Visible, Numeric, Teletex (as Latin-1) and BMP.
    pub(crate) fn text(&self) -> Option<String> {
        match self.tag {
            Tag::Utf8String => String::from_utf8(self.value.to_vec()).ok(),
            Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::NumericString => self
                .value
                .is_ascii()
                .then(|| self.value.iter().map(|b| char::from(*b)).collect()),
            Tag::TeletexString => Some(self.value.iter().map(|b| char::from(*b)).collect()),
            Tag::BmpString if self.value.len().is_multiple_of(2) => {
                let units: Vec<u16> = self
                    .value
                    .chunks_exact(2)
                    .map(|p| u16::from_be_bytes([p[0], p[1]]))
                    .collect();
                String::from_utf16(&units).ok()
            }
            _ => None,
        }
    }
}

/// The elements that follow one another in some bytes. After the first unreadable one it yields `Malformed` once and
/// then ends.
pub(crate) struct Elements<'a> {
    reader: Option<SliceReader<'a>>,
}

impl<'a> Elements<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        // Longer than der's 256 MiB limit is refused by the reader; every caller has a far lower cap of its own.
        Self {
            reader: SliceReader::new(bytes).ok(),
        }
    }

    fn all(self) -> Result<Vec<Tlv<'a>>, Malformed> {
        self.collect()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Tlv<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        if reader.is_finished() {
            self.reader = None;
            return None;
        }
        let element = reader.tlv_bytes().ok().and_then(|raw| {
            let any = AnyRef::from_der(raw).ok()?;
            Some(Tlv {
                tag: any.tag(),
                value: any.value(),
                raw,
            })
        });
        if element.is_none() {
            self.reader = None;
        }
        Some(element.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_precedes_an_unreadable_element() {
        let bytes = [0x05, 0x00, 0x30, 0x05, 0x01];
        let mut elements = Elements::of(&bytes);
        assert!(matches!(
            elements.next(),
            Some(Ok(Tlv { tag: Tag::Null, .. }))
        ));
        assert!(matches!(elements.next(), Some(Err(Malformed))));
        assert!(elements.next().is_none());
    }

    #[test]
    fn refuses_indefinite_and_padded_lengths_and_trailing_bytes() {
        assert!(Tlv::read(&[0x30, 0x80, 0x00, 0x00]).is_err());
        assert!(Tlv::read(&[0x04, 0x81, 0x01, 0xff]).is_err());
        assert!(Tlv::read(&[0x05, 0x00, 0x00]).is_err());
        assert!(Tlv::read(&[]).is_err());
    }

    #[test]
    fn decodes_each_string_type_to_text() {
        let read = |bytes: &[u8]| Tlv::read(bytes).ok().and_then(|tlv| tlv.text());
        assert_eq!(read(&[0x0c, 2, 0xc3, 0xa9]).as_deref(), Some("é"));
        assert_eq!(read(&[0x0c, 1, 0xff]), None);
        assert_eq!(read(&[0x14, 1, 0xe9]).as_deref(), Some("é"));
        assert_eq!(read(&[0x1e, 2, 0x00, 0xe9]).as_deref(), Some("é"));
        assert_eq!(read(&[0x1e, 1, 0x00]), None);
        assert_eq!(read(&[0x13, 1, b'x']).as_deref(), Some("x"));
        assert_eq!(read(&[0x04, 1, b'x']), None);
    }
}
