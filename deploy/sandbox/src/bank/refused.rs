//! Why the bank does not do what it was asked: one code of the Berlin Group each, answered as `tppMessages`.
//!
//! In: a code and a sentence. Out: an HTTP answer. Serves NextGenPSD2 XS2A 1.3.x, "Additional Error Information".

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// A refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind.
    pub code: Code,
    /// For the person who debugs the TPP. Never repeats values of the request.
    pub text: String,
}

/// The codes this bank answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request carries no seal certificate.
    CertificateMissing,
    /// The client's or the seal's certificate is not one that this bank takes.
    CertificateInvalid,
    /// The certificate was good once.
    CertificateExpired,
    /// The provider is not authorised for this service.
    RoleInvalid,
    /// The request is not signed.
    SignatureMissing,
    /// The request is signed wrongly.
    SignatureInvalid,
    /// A header or the body is not as the interface wants it.
    FormatError,
    /// The signed date is too far from now.
    TimestampInvalid,
    /// No access token, or none that this bank issued.
    TokenUnknown,
    /// An access token of this bank, but not for this service or not over this connection.
    TokenInvalid,
    /// The access token is too old.
    TokenExpired,
    /// The consent in the path is not known to the provider.
    ConsentUnknown,
    /// The consent does not cover what was asked.
    ConsentInvalid,
    /// The consent ended.
    ConsentExpired,
    /// No such resource for this provider.
    ResourceUnknown,
    /// No such payment product.
    ProductUnknown,
    /// The resource knows no such method.
    ServiceInvalid,
    /// The bank's stores are full.
    ServiceUnavailable,
    /// The bank's own fault.
    InternalServerError,
}

impl Code {
    /// The word in `tppMessages`.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// A refusal with this code.
    pub fn because(self, text: impl Into<String>) -> Refused {
        Refused {
            code: self,
            text: text.into(),
        }
    }

    fn row(self) -> (StatusCode, &'static str) {
        match self {
            Self::CertificateMissing => (StatusCode::UNAUTHORIZED, "CERTIFICATE_MISSING"),
            Self::CertificateInvalid => (StatusCode::UNAUTHORIZED, "CERTIFICATE_INVALID"),
            Self::CertificateExpired => (StatusCode::UNAUTHORIZED, "CERTIFICATE_EXPIRED"),
            Self::RoleInvalid => (StatusCode::UNAUTHORIZED, "ROLE_INVALID"),
            Self::SignatureMissing => (StatusCode::UNAUTHORIZED, "SIGNATURE_MISSING"),
            Self::SignatureInvalid => (StatusCode::UNAUTHORIZED, "SIGNATURE_INVALID"),
            Self::FormatError => (StatusCode::BAD_REQUEST, "FORMAT_ERROR"),
            Self::TimestampInvalid => (StatusCode::BAD_REQUEST, "TIMESTAMP_INVALID"),
            Self::TokenUnknown => (StatusCode::UNAUTHORIZED, "TOKEN_UNKNOWN"),
            Self::TokenInvalid => (StatusCode::UNAUTHORIZED, "TOKEN_INVALID"),
            Self::TokenExpired => (StatusCode::UNAUTHORIZED, "TOKEN_EXPIRED"),
            Self::ConsentUnknown => (StatusCode::FORBIDDEN, "CONSENT_UNKNOWN"),
            Self::ConsentInvalid => (StatusCode::UNAUTHORIZED, "CONSENT_INVALID"),
            Self::ConsentExpired => (StatusCode::UNAUTHORIZED, "CONSENT_EXPIRED"),
            Self::ResourceUnknown => (StatusCode::NOT_FOUND, "RESOURCE_UNKNOWN"),
            Self::ProductUnknown => (StatusCode::NOT_FOUND, "PRODUCT_UNKNOWN"),
            Self::ServiceInvalid => (StatusCode::METHOD_NOT_ALLOWED, "SERVICE_INVALID"),
            Self::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
            Self::InternalServerError => {
                (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR")
            }
        }
    }

    /// Codes that a new access token would cure (RFC 6750 §3.1).
    fn wants_token(self) -> bool {
        matches!(
            self,
            Self::TokenUnknown | Self::TokenInvalid | Self::TokenExpired
        )
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.word(), self.text)
    }
}

impl std::error::Error for Refused {}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let message = json!({ "category": "ERROR", "code": self.code.word(), "text": self.text });
        let body = Json(json!({ "tppMessages": [message] }));
        let mut response = (self.code.status(), body).into_response();
        if self.code.wants_token() {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self.code);
        response
    }
}
