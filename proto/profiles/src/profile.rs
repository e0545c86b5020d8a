//! A profile: what a community of banks wants signed, as data.
//!
//! Comes in: TOML, checked whole when loaded; then a request, the certificate, the bank's settings, the time. Goes out: a
//! [`Prepared`], or a [`Refusal`] by name. Never guesses: unknown keys, combinations that make no sense and settings that
//! are missing are errors with a way out. Adding a bank is writing a file, never code.

mod catalog;
mod error;
mod file;
mod format;
mod layer;
mod operation;
mod settings;
mod summary;
mod vectors;

use jiff::Timestamp;

use crate::certificate::{Certificate, Chain};
use crate::format::cavage::DateForm;
use crate::format::jws;
use crate::format::jwt::{self, JwtRequest, JwtSpec};
use crate::prepared::Prepared;
use crate::refusal::Refusal;
use crate::request::{BODY_BYTES_MAX, HttpRequest, HttpResponse, Message, Method};

pub use catalog::{Catalog, Shipped};
pub use error::ProfileError;
pub use file::{Confidence, RequestIdForm};
pub(crate) use format::Format;
pub use layer::{PROFILE_BYTES_MAX, Source};
pub use operation::Operation;
pub use settings::{SETTING_BYTES_MAX, Settings};
pub use summary::Summary;
pub use vectors::{Vector, VectorError, Vectors};

use file::{File, RequestIdFile};
use layer::Layers;

/// A checked profile.
#[derive(Clone, Debug)]
pub struct Profile {
    file: File,
    extends: Option<String>,
    required_settings: Vec<String>,
}

/// A header whose date must be close to now when the request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness<'a> {
    /// The header, lower case.
    pub header: &'a str,
    /// How far from now it may be, either way, in seconds.
    pub skew_seconds_max: u32,
    form: DateForm,
}

impl Freshness<'_> {
    /// The time that a value of the header says, in the profile's one spelling.
    #[must_use]
    pub fn date(&self, value: &str) -> Option<Timestamp> {
        self.form.read(value)
    }
}

/// The header that names a request, for banks that answer a repeated request once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId<'a> {
    /// The header, lower case.
    pub header: &'a str,
    /// The form of its value.
    pub form: RequestIdForm,
    /// Whether every request has to have one.
    pub required: bool,
}

impl Profile {
    /// [`Self::from_source`] for text that is in no file.
    ///
    /// # Errors
    /// As there.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        Self::from_source(Source {
            file: "profile",
            text,
        })
    }

    /// Reads and checks one profile on its own: it may extend shipped profiles, and may be another state of one. What
    /// banks are configured with comes from a [`Catalog`].
    ///
    /// # Errors
    /// [`ProfileError`]: where it is wrong, and what to write instead.
    pub fn from_source(source: Source<'_>) -> Result<Self, ProfileError> {
        let mut layers = Layers::default();
        let name = layers.add(source)?;
        if layers.parent(&name).is_some() {
            for shipped in Catalog::shipped() {
                match layers.add(shipped.profile) {
                    Ok(_) | Err(ProfileError::Duplicate { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Self::read(&layers, &name)
    }

    fn read(layers: &Layers<'_>, name: &str) -> Result<Self, ProfileError> {
        let file = File::read(layers, name)?;
        let required_settings = file.settings_required();
        Ok(Self {
            file,
            extends: layers.parent(name).map(str::to_owned),
            required_settings,
        })
    }

    /// The name banks are configured with: `berlin-group-1.3.4`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The profile whose parameters it takes over where it says nothing, if there is one.
    #[must_use]
    pub fn extends(&self) -> Option<&str> {
        self.extends.as_deref()
    }

    /// The name for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Where its parameters come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.file.source
    }

    /// How sure we are of it; shown wherever the profile is shown.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        self.file.confidence
    }

    /// The settings a bank needs so that requests can be signed.
    #[must_use]
    pub fn required_settings(&self) -> &[String] {
        &self.required_settings
    }

    /// Every setting the profile knows, with what it means.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.file
            .settings
            .iter()
            .map(|(name, about)| (name.as_str(), about.as_str()))
    }

    fn knows_setting(&self, name: &str) -> bool {
        self.file.settings.contains_key(name)
    }

    /// Checks the settings of a bank: none missing, none unknown, all usable.
    ///
    /// # Errors
    /// [`Refusal::SettingMissing`], [`Refusal::SettingUnknown`], [`Refusal::SettingInvalid`].
    pub fn check_settings(&self, settings: &Settings) -> Result<(), Refusal> {
        settings.check(&[self])
    }

    /// What a request does. `path` is the path below the bank's base path. `None`: the profile does not know, and nobody
    /// should sign it.
    #[must_use]
    pub fn operation(&self, method: Method, path: &str) -> Option<&Operation> {
        self.file
            .operation
            .iter()
            .find(|operation| operation.matches(method, path))
    }

    /// Everything the profile knows to do, in the order in which rows are looked at.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.file.operation
    }

    /// The header that has to be fresh, if one has to.
    #[must_use]
    pub fn freshness(&self) -> Option<Freshness<'_>> {
        let freshness = self.file.freshness.as_ref()?;
        let form = match &self.file.request {
            Some(Format::Cavage(spec)) => spec.date_form(&freshness.header),
            Some(Format::Jws(_) | Format::Jades(_) | Format::HttpMessage(_)) | None => {
                DateForm::default()
            }
        };
        Some(Freshness {
            header: &freshness.header,
            skew_seconds_max: freshness.skew_seconds_max,
            form,
        })
    }

    /// The header that names a request, if the profile has one.
    #[must_use]
    pub fn request_id(&self) -> Option<RequestId<'_>> {
        let id = self.file.request_id.as_ref()?;
        Some(RequestId {
            header: &id.header,
            form: id.form,
            required: id.required,
        })
    }

    /// Whether the profile signs requests; if not, it is one of JWTs alone.
    #[must_use]
    pub fn signs_requests(&self) -> bool {
        self.file.request.is_some()
    }

    /// Whether requests need their body to be signed; otherwise digests of it are enough.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        matches!(self.file.request, Some(Format::Jws(_)))
    }

    /// Whether the profile signs responses too.
    #[must_use]
    pub fn signs_responses(&self) -> bool {
        self.file.response.is_some()
    }

    /// Prepares the signature over a request. `certificate` is the leaf, or a [`Chain`] for banks that want its issuers too.
    ///
    /// # Errors
    /// [`Refusal`]: the request, the settings or the certificate are not fit.
    pub fn prepare<'a>(
        &self,
        request: &HttpRequest,
        certificate: impl Into<Chain<'a>>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        if let Some(id) = &self.file.request_id {
            check_request_id(id, request.message())?;
        }
        let format = self.request_format()?;
        format.prepare(request.message(), certificate.into(), settings, now)
    }

    /// Prepares the signature over a response, as a bank does. Some profiles sign parts of the request too: see
    /// [`HttpResponse::answering`].
    ///
    /// # Errors
    /// [`Refusal::FormatNotAllowed`] when the profile signs no responses, [`Refusal::RequestRequired`]; others as
    /// [`Self::prepare`].
    pub fn prepare_response<'a>(
        &self,
        response: &HttpResponse,
        certificate: impl Into<Chain<'a>>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        let format = self.response_format()?;
        format.prepare(response.message(), certificate.into(), settings, now)
    }

    /// Prepares a JWS over a payload that is no HTTP body.
    ///
    /// # Errors
    /// [`Refusal::FormatNotAllowed`] when the profile's format is not JWS, [`Refusal::BodyTooLong`]; others as
    /// [`Self::prepare`].
    pub fn prepare_jws<'a>(
        &self,
        payload: &[u8],
        certificate: impl Into<Chain<'a>>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        let Format::Jws(spec) = self.request_format()? else {
            return Err(Refusal::FormatNotAllowed { what: "payloads" });
        };
        if payload.len() > BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLong {
                len: payload.len(),
                max: BODY_BYTES_MAX,
            });
        }
        jws::prepare(spec, payload, certificate.into(), settings, now)
    }

    /// Whether the profile signs JWTs.
    #[must_use]
    pub fn signs_jwt(&self) -> bool {
        self.file.jwt.is_some()
    }

    /// Prepares a JWT for an authorisation server, or a body that is one. `jti` must never have been used before.
    ///
    /// # Errors
    /// [`Refusal::FormatNotAllowed`] when the profile has no such JWT; [`Refusal::ClaimMissing`],
    /// [`Refusal::ClaimInvalid`], [`Refusal::ClaimUnknown`]; others as [`Self::prepare`].
    pub fn prepare_jwt(
        &self,
        request: &JwtRequest<'_>,
        certificate: &Certificate,
        settings: &Settings,
        jti: &str,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        let spec = self.jwt_format()?;
        let facts = jwt::Facts {
            certificate,
            settings,
            jti,
            now,
            issued: spec.issued(now),
        };
        jwt::prepare(spec, request, facts)
    }

    pub(crate) fn jwt_format(&self) -> Result<&JwtSpec, Refusal> {
        let not_allowed = Refusal::FormatNotAllowed { what: "JWTs" };
        self.file.jwt.as_ref().ok_or(not_allowed)
    }

    pub(crate) fn request_format(&self) -> Result<&Format, Refusal> {
        let not_allowed = Refusal::FormatNotAllowed { what: "requests" };
        self.file.request.as_ref().ok_or(not_allowed)
    }

    pub(crate) fn response_format(&self) -> Result<&Format, Refusal> {
        self.file
            .response
            .as_ref()
            .ok_or(Refusal::FormatNotAllowed { what: "responses" })
    }
}

fn check_request_id(id: &RequestIdFile, message: Message<'_>) -> Result<(), Refusal> {
    match message.once(&id.header)? {
        None if id.required => Err(Refusal::HeaderMissing {
            name: id.header.clone(),
        }),
        Some(value) if !id.form.fits(value) => Err(Refusal::HeaderMalformed {
            name: id.header.clone(),
            expected: id.form.expected(),
        }),
        _ => Ok(()),
    }
}
