//! The header that carries the signature.
//!
//! Comes in: a message. Goes out: what stands before the parameters when signing, and the parameters when verifying. Never
//! replaces a credential the caller sends. Serves draft-cavage-http-signatures-12 §3.1 and §4.1, and what one bank made of
//! them.

use serde::Deserialize;

use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::VerifyError;

/// What ends the bearer token where both stand in one header.
const AFTER_TOKEN: &str = ";Signature ";

/// Which header carries the signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Carrier {
    /// `Signature: keyId=..`
    #[default]
    Signature,
    /// `Authorization: Signature keyId=..`
    Authorization,
    /// `Authorization: Bearer ..;Signature keyId=..`: behind the token that the caller sends.
    AuthorizationAfterBearer,
}

impl Carrier {
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Signature => "Signature",
            Self::Authorization | Self::AuthorizationAfterBearer => "Authorization",
        }
    }

    /// For people: the header, and what always stands in it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Signature => "Signature",
            Self::Authorization => "Authorization: Signature",
            Self::AuthorizationAfterBearer => "Authorization: Bearer ..;Signature",
        }
    }

    /// What stands before the parameters.
    pub(super) fn prefix(self, message: Message<'_>) -> Result<String, Refusal> {
        let name = || self.header().to_ascii_lowercase();
        match self {
            Self::Signature => Ok(String::new()),
            Self::Authorization => match message.all("authorization").next() {
                Some(_) => Err(Refusal::HeaderReserved { name: name() }),
                None => Ok("Signature ".into()),
            },
            Self::AuthorizationAfterBearer => match message.once("authorization")? {
                None => Err(Refusal::HeaderMissing { name: name() }),
                Some(sent) if is_bearer(sent) => Ok(format!("{sent}{AFTER_TOKEN}")),
                Some(_) => Err(Refusal::HeaderMalformed {
                    name: name(),
                    expected: "`Bearer` and a token",
                }),
            },
        }
    }

    /// The parameters. An `Authorization` of another scheme is no signature.
    pub(super) fn parameters<'a>(self, message: Message<'a>) -> Result<&'a str, VerifyError> {
        let value = message.once(self.header())?;
        let parameters = match self {
            Self::Signature => value,
            Self::Authorization => value.and_then(|value| value.strip_prefix("Signature ")),
            Self::AuthorizationAfterBearer => value
                .and_then(|value| value.split_once(AFTER_TOKEN))
                .filter(|(token, _)| is_bearer(token))
                .map(|(_, parameters)| parameters),
        };
        parameters.ok_or_else(|| VerifyError::SignatureMissing {
            header: self.header().into(),
        })
    }
}

/// `Bearer` and a token68 (RFC 6750 §2.1): no semicolon that would end it early.
fn is_bearer(value: &str) -> bool {
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    value
        .strip_prefix("Bearer ")
        .is_some_and(|token| !token.is_empty() && token.bytes().all(byte))
}
