//! What makes no sense in the parameters of draft-cavage.
//!
//! Comes in: parameters that are all known. Goes out: a complaint that says what to write instead, or none. A profile with a
//! complaint is never used.

use super::carrier::Carrier;
use super::field::SignedField;
use super::spec::CavageSpec;
use crate::algorithm::KeyType;
use crate::request::is_token;

impl CavageSpec {
    /// What makes no sense, in words. `response`: it is for responses, which have no target.
    pub(crate) fn complaint(&self, response: bool) -> Option<String> {
        self.scheme_complaint()
            .or_else(|| self.field_complaint(response))
            .or_else(|| self.header_complaint())
            .or_else(|| self.created_complaint())
            .or_else(|| self.request_target.complaint())
            .or_else(|| self.response_complaint().filter(|_| response))
    }

    fn scheme_complaint(&self) -> Option<String> {
        if self.scheme.is_empty() {
            return Some("scheme: list at least one".into());
        }
        for (index, row) in self.scheme.iter().enumerate() {
            if row.scheme.is_ecdsa() != row.ecdsa.is_some() {
                return Some(format!(
                    "scheme {}: `ecdsa = \"der\"` or `\"raw\"` belongs to ECDSA schemes, and only to them",
                    row.scheme
                ));
            }
            if row.label.as_ref().is_some_and(|label| !is_token(label)) {
                return Some(format!("scheme {}: the label must be a token", row.scheme));
            }
            let rivals = |key: &KeyType| {
                self.scheme
                    .iter()
                    .take(index + 1)
                    .filter(|other| other.scheme.fits(key))
                    .count()
            };
            if KeyType::FAMILIES.iter().any(|key| rivals(key) > 1) {
                return Some(format!("scheme {}: one scheme a key type", row.scheme));
            }
        }
        None
    }

    fn field_complaint(&self, response: bool) -> Option<String> {
        if let Some(what) = signed_complaint(&self.signed, self.carrier.header(), response) {
            return Some(what);
        }
        let signed = |name: &str| self.signed.iter().any(|field| field.name() == Some(name));
        if let Some(name) = self.never_signed.iter().find(|name| signed(name)) {
            return Some(format!("never_signed: `{name}` is in `signed` too"));
        }
        let wrong = |name: &&String| !is_token(name) || **name != name.to_ascii_lowercase();
        let name = self.never_signed.iter().find(wrong)?;
        Some(format!(
            "never_signed: `{name}` is no lower-case header name"
        ))
    }

    fn header_complaint(&self) -> Option<String> {
        let signs = |lower: &str| {
            self.signed
                .iter()
                .any(|field| field.name() == Some(lower) || *field == SignedField::AllSent)
        };
        if let Some(digest) = &self.digest {
            if !is_token(&digest.header)
                || digest.label.as_ref().is_some_and(|label| !is_token(label))
            {
                return Some("digest: header and label must be tokens".into());
            }
            if !signs(&digest.lower()) {
                return Some(format!(
                    "digest: `{}` is not in `signed`, so it protects nothing",
                    digest.lower()
                ));
            }
        }
        if let Some(date) = &self.date
            && (!is_token(&date.header) || !signs(&date.header.to_ascii_lowercase()))
        {
            return Some(format!("date: `{}` is not in `signed`", date.header));
        }
        if let Some(header) = &self.authority_header
            && (!is_token(header) || !signs(&header.to_ascii_lowercase()))
        {
            return Some(format!("authority_header: `{header}` is not in `signed`"));
        }
        match &self.certificate {
            Some(certificate) if !is_token(&certificate.header) => Some(format!(
                "certificate: `{}` is no header name",
                certificate.header
            )),
            _ => None,
        }
    }

    /// Times are signed, and only times that there are.
    fn created_complaint(&self) -> Option<String> {
        let signs = |field: SignedField| self.signed.contains(&field);
        let expires = self
            .created
            .as_ref()
            .and_then(|created| created.expires_after_seconds);
        let complaint = match (&self.created, signs(SignedField::Created)) {
            (Some(_), false) => "created: `(created)` is not in `signed`",
            (None, true) => "signed: `(created)` needs a table `created`, which may be empty",
            _ if expires == Some(0) => "created.expires_after_seconds: at least 1",
            _ if expires.is_some() && !signs(SignedField::Expires) => {
                "created.expires_after_seconds: `(expires)` is not in `signed`"
            }
            _ if expires.is_none() && signs(SignedField::Expires) => {
                "signed: `(expires)` needs `created.expires_after_seconds`"
            }
            _ => return None,
        };
        Some(complaint.into())
    }

    /// What only a request has.
    fn response_complaint(&self) -> Option<String> {
        if self.carrier != Carrier::Signature {
            return Some("carrier: a response has no Authorization, use `signature`".into());
        }
        let complaint = "authority_header: a response has no authority, take it out";
        self.authority_header.as_ref().map(|_| complaint.into())
    }
}

/// What makes no sense in a list of signed fields.
pub(crate) fn signed_complaint(
    signed: &[SignedField],
    carrier: &str,
    response: bool,
) -> Option<String> {
    if signed.is_empty() {
        return Some("signed: list what is signed".into());
    }
    for (index, field) in signed.iter().enumerate() {
        let target = matches!(
            field,
            SignedField::RequestTarget | SignedField::BareRequestTarget
        );
        if target && response {
            return Some("signed: a response has no request target".into());
        }
        let Some(name) = field.name() else { continue };
        let mut earlier = signed.iter().take(index);
        if earlier.any(|earlier| earlier.name() == Some(name)) {
            return Some(format!("signed: `{name}` is listed twice"));
        }
        if name.eq_ignore_ascii_case(carrier) {
            return Some(format!(
                "signed: `{name}` carries the signature, it cannot be signed"
            ));
        }
    }
    None
}
