//! What messages quote of certificates and PKCS#10 requests, byte for byte.
//!
//! In: DER. Out: pieces of it as they stand there; a name that was encoded again might be another name to the other side.

use der::Tag;
use der::asn1::ObjectIdentifier;

use crate::CmpError;
use crate::wire::{Frame, frames};

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

/// What a renewal quotes of a PKCS#10 request (RFC 2986 section 4.1).
pub(crate) struct Certification<'a> {
    /// Name, DER.
    pub(crate) subject: &'a [u8],
    public_key: Frame<'a>,
    /// The content of the Extensions that were asked for.
    pub(crate) extensions: Option<&'a [u8]>,
}

impl<'a> Certification<'a> {
    pub(crate) fn read(csr_der: &'a [u8]) -> Result<Self, CmpError> {
        let malformed = || CmpError::Malformed("PKCS#10 request");
        let whole = only(csr_der).ok_or_else(malformed)?;
        let info = whole.fields()?.into_iter().next().ok_or_else(malformed)?;
        let mut fields = info.fields()?.into_iter().skip(1);
        let (Some(subject), Some(public_key)) = (fields.next(), fields.next()) else {
            return Err(malformed());
        };
        let mut extensions = None;
        for attribute in fields
            .next()
            .map(|f| f.fields())
            .transpose()?
            .unwrap_or_default()
        {
            let parts = attribute.fields()?;
            if parts
                .first()
                .is_some_and(|p| p.is_object(&EXTENSION_REQUEST))
            {
                let value = parts.get(1).ok_or_else(malformed)?.inner()?;
                extensions = Some(value.any.value());
            }
        }
        Ok(Self {
            subject: subject.whole,
            public_key,
            extensions,
        })
    }

    /// The content of the SubjectPublicKeyInfo.
    pub(crate) fn public_key_content(&self) -> &'a [u8] {
        self.public_key.any.value()
    }
}

fn only(der: &[u8]) -> Option<Frame<'_>> {
    let mut all = frames(der).ok()?;
    (all.len() == 1).then(|| all.remove(0))
}

/// The fields of a TBSCertificate from the serial number on (RFC 5280 section 4.1): serial, signature, issuer, validity,
/// subject, key, and what is optional.
fn certificate_fields(der: &[u8]) -> Result<Vec<Frame<'_>>, CmpError> {
    let malformed = || CmpError::Malformed("certificate");
    let whole = only(der).ok_or_else(malformed)?;
    let inside = whole.fields()?.into_iter().next().ok_or_else(malformed)?;
    let mut fields = inside.fields()?;
    if fields.first().and_then(Frame::context) == Some(0) {
        fields.remove(0);
    }
    match fields.len() >= 6 && fields[0].is(Tag::Integer) {
        true => Ok(fields),
        false => Err(malformed()),
    }
}

/// INTEGER, DER.
pub(crate) fn certificate_serial(der: &[u8]) -> Result<&[u8], CmpError> {
    Ok(certificate_fields(der)?[0].whole)
}

/// Name, DER.
pub(crate) fn certificate_issuer(der: &[u8]) -> Result<&[u8], CmpError> {
    Ok(certificate_fields(der)?[2].whole)
}

/// Name, DER.
pub(crate) fn certificate_subject(der: &[u8]) -> Result<&[u8], CmpError> {
    Ok(certificate_fields(der)?[4].whole)
}

/// The bytes of the subject key identifier (RFC 5280 section 4.2.1.2); none when the certificate has none.
pub(crate) fn subject_key_identifier(der: &[u8]) -> Result<Option<&[u8]>, CmpError> {
    let fields = certificate_fields(der)?;
    let Some(extensions) = fields.iter().find(|field| field.context() == Some(3)) else {
        return Ok(None);
    };
    for extension in extensions.inner()?.fields()? {
        let parts = extension.fields()?;
        if parts
            .first()
            .is_some_and(|p| p.is_object(&SUBJECT_KEY_IDENTIFIER))
        {
            let value = parts.last().and_then(|value| only(value.any.value()));
            return Ok(value.map(|value| value.any.value()));
        }
    }
    Ok(None)
}
