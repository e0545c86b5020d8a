//! PKIMessage as bytes (RFC 9810 appendix F).
//!
//! In: fields. Out: DER; and the other way round, by frames, so that what was protected is what is checked. Pure.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};

use crate::CmpError;

pub(crate) const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let first = bytes.iter().position(|b| *b != 0).unwrap_or_default();
            // Cannot fail: a length has at most eight bytes.
            out.push(0x80 | u8::try_from(bytes.len() - first).unwrap_or(8));
            out.extend_from_slice(&bytes[first..]);
        }
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn sequence(fields: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &fields.concat())
}

/// An EXPLICIT tag around a value. Numbers go up to 30.
pub(crate) fn explicit(number: u16, inner: &[u8]) -> Vec<u8> {
    implicit(number, inner)
}

/// An IMPLICIT tag in place of that of a constructed value, around its content.
pub(crate) fn implicit(number: u16, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | (number & 0x1f) as u8, content)
}

/// An IMPLICIT tag in place of that of a primitive value, around its content.
pub(crate) fn implicit_bytes(number: u16, content: &[u8]) -> Vec<u8> {
    tlv(0x80 | (number & 0x1f) as u8, content)
}

pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(OCTET_STRING, bytes)
}

pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], bytes].concat())
}

pub(crate) fn null() -> Vec<u8> {
    vec![0x05, 0x00]
}

pub(crate) fn object(oid: &ObjectIdentifier) -> Vec<u8> {
    tlv(0x06, oid.as_bytes())
}

pub(crate) fn integer(value: i64) -> Vec<u8> {
    // Cannot fail: an integer of eight bytes always encodes.
    value.to_der().unwrap_or_default()
}

/// A frame with the bytes it was read from.
pub(crate) struct Frame<'a> {
    pub(crate) whole: &'a [u8],
    pub(crate) any: AnyRef<'a>,
}

impl<'a> Frame<'a> {
    /// The number of an EXPLICIT context-specific tag, which is always constructed (X.690 section 8.14.2).
    pub(crate) fn context(&self) -> Option<u16> {
        match self.any.tag() {
            Tag::ContextSpecific {
                constructed: true,
                number,
            } => u16::try_from(number.value()).ok(),
            _ => None,
        }
    }

    /// The number of a context-specific tag of either form.
    pub(crate) fn context_number(&self) -> Option<u16> {
        match self.any.tag() {
            Tag::ContextSpecific { number, .. } => u16::try_from(number.value()).ok(),
            _ => None,
        }
    }

    /// The frames inside.
    pub(crate) fn fields(&self) -> Result<Vec<Frame<'a>>, CmpError> {
        frames(self.any.value())
    }

    /// The one frame inside an EXPLICIT tag.
    pub(crate) fn inner(&self) -> Result<Frame<'a>, CmpError> {
        let mut fields = self.fields()?;
        match fields.pop() {
            Some(only) if fields.is_empty() => Ok(only),
            _ => Err(CmpError::Malformed("explicit tag")),
        }
    }

    /// Whether it is a universal value with this tag.
    pub(crate) fn is(&self, tag: Tag) -> bool {
        self.any.tag() == tag
    }

    /// Whether it is this OBJECT IDENTIFIER.
    pub(crate) fn is_object(&self, oid: &ObjectIdentifier) -> bool {
        self.is(Tag::ObjectIdentifier) && self.any.value() == oid.as_bytes()
    }

    /// A small INTEGER.
    pub(crate) fn number(&self) -> Result<i64, CmpError> {
        i64::from_der(self.whole).map_err(|_| CmpError::Malformed("integer"))
    }
}

/// Every frame of some bytes, to the last byte.
pub(crate) fn frames(bytes: &[u8]) -> Result<Vec<Frame<'_>>, CmpError> {
    let malformed = |_| CmpError::Malformed("DER");
    let mut reader = SliceReader::new(bytes).map_err(malformed)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        let whole = reader.tlv_bytes().map_err(malformed)?;
        let any = AnyRef::from_der(whole).map_err(malformed)?;
        found.push(Frame { whole, any });
    }
    Ok(found)
}

/// A message in its parts.
pub(crate) struct Message<'a> {
    header: Vec<Frame<'a>>,
    /// The number of the body's tag.
    pub(crate) kind: u16,
    pub(crate) body: Frame<'a>,
    /// What the protection is over: SEQUENCE { header, body }.
    pub(crate) protected: Vec<u8>,
    pub(crate) protection: Option<Vec<u8>>,
    /// Certificates sent along, DER.
    pub(crate) extra: Vec<Vec<u8>>,
}

impl<'a> Message<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, CmpError> {
        let mut outer = frames(bytes)?.into_iter();
        let (Some(whole), None) = (outer.next(), outer.next()) else {
            return Err(CmpError::Malformed("message"));
        };
        if !whole.is(Tag::Sequence) {
            return Err(CmpError::Malformed("message"));
        }
        let mut fields = whole.fields()?.into_iter();
        let (Some(header), Some(body)) = (fields.next(), fields.next()) else {
            return Err(CmpError::Malformed("message"));
        };
        let protected = tlv(SEQUENCE, &[header.whole, body.whole].concat());
        let (mut protection, mut extra) = (None, Vec::new());
        for field in fields {
            match field.context() {
                Some(0) => {
                    let bits = field.inner()?;
                    // The first byte counts unused bits; there are none.
                    let value = bits.any.value().strip_prefix(&[0]);
                    let value = value.filter(|_| bits.is(Tag::BitString));
                    protection = Some(value.ok_or(CmpError::Malformed("protection"))?.to_vec());
                }
                Some(1) => {
                    let certificates = field.inner()?.fields()?;
                    extra = certificates.iter().map(|c| c.whole.to_vec()).collect();
                }
                _ => return Err(CmpError::Malformed("message")),
            }
        }
        Ok(Self {
            header: header.fields()?,
            kind: body.context().ok_or(CmpError::Malformed("body"))?,
            body: body.inner()?,
            protected,
            protection,
            extra,
        })
    }

    /// The value of a header field by its context tag.
    pub(crate) fn header(&self, number: u16) -> Option<&'a [u8]> {
        // Version and the two names come first; a name is tagged too.
        let mut optional = self.header.iter().skip(3);
        let field = optional.find(|f| f.context() == Some(number))?;
        field.inner().ok().map(|inner| inner.any.value())
    }
}
