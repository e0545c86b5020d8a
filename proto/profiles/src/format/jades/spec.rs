//! The parameters of JAdES signatures over HTTP headers that banks disagree on.
//!
//! Comes in: the `jades` table of a profile. Goes out: [`JadesSpec`], checked: what ETSI TS 119 182-1 demands of every such
//! signature cannot be left out of a profile.

use serde::Deserialize;

use crate::algorithm::SignatureScheme;
use crate::format::cavage::check::signed_complaint;
use crate::format::cavage::field::{Names, Order, RequestTarget, SignedField};
use crate::format::cavage::lines::LineRules;
use crate::format::cavage::spec::DigestSpec;
use crate::format::jws::member::{HeaderSpec, Member, Source, iat_skew};
use crate::profile::Summary;
use crate::request::is_token;

/// `[request.jades]` or `[response.jades]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JadesSpec {
    /// The header that carries it.
    pub(crate) carrier: String,
    /// The schemes, at most one a key type.
    pub(crate) schemes: Vec<SignatureScheme>,
    /// What is signed, in order: `sigD.pars`.
    pub(crate) signed: Vec<SignedField>,
    /// The digest header: the one thing that binds the body.
    pub(crate) digest: DigestSpec,
    /// What the line of the request target says.
    #[serde(default)]
    pub(crate) request_target: RequestTarget,
    /// Whether the lines end with a line feed.
    #[serde(default)]
    pub(crate) trailing_line_feed: bool,
    #[serde(default)]
    pub(crate) iat_offset_seconds: i64,
    #[serde(default = "iat_skew")]
    pub(crate) iat_skew_seconds_max: u32,
    pub(crate) iat_age_seconds_max: Option<u32>,
    /// The members of the protected header, in order.
    pub(crate) member: Vec<Member>,
    /// The names in `crit`, in order.
    pub(crate) crit: Vec<String>,
}

impl JadesSpec {
    /// What it says about the protected header.
    pub(crate) fn header(&self) -> HeaderSpec<'_> {
        HeaderSpec {
            schemes: &self.schemes,
            member: &self.member,
            crit: &self.crit,
            iat_offset_seconds: self.iat_offset_seconds,
            iat_skew_seconds_max: self.iat_skew_seconds_max,
            iat_age_seconds_max: self.iat_age_seconds_max,
        }
    }

    /// What it wants, in short.
    pub(crate) fn summary(&self) -> Summary {
        let header = self.header();
        let lines = self.signed.iter().map(SignedField::to_string);
        Summary {
            carrier: self.carrier.clone(),
            signed: std::iter::once("protected header".to_owned())
                .chain(lines)
                .collect(),
            key_id: header.key_named(),
            algorithms: header.algorithms(),
        }
    }

    /// What it says about the lines: names in lower case, in the order of the list (§5.2.8.2).
    pub(super) fn line_rules(&self) -> LineRules<'_> {
        LineRules {
            signed: &self.signed,
            order: Order::Listed,
            names: Names::Lower,
            request_target: &self.request_target,
            trailing_line_feed: self.trailing_line_feed,
            excluded: vec![&self.carrier],
        }
    }

    /// What makes no sense, in words. `response`: it is for responses, which have no target.
    pub(crate) fn complaint(&self, response: bool) -> Option<String> {
        if !is_token(&self.carrier) {
            return Some("carrier: it is no header name".into());
        }
        if let Some(what) = signed_complaint(&self.signed, &self.carrier, response) {
            return Some(what);
        }
        let times = [SignedField::Created, SignedField::Expires];
        if self.signed.iter().any(|field| times.contains(field)) {
            return Some("signed: the time stands in `sigT` or `iat`, not in a line".into());
        }
        if let Some(what) = self.request_target.complaint() {
            return Some(what);
        }
        let digest = self.digest.lower();
        let covers = |field: &SignedField| match field {
            SignedField::Header { name, if_sent, .. } => *name == digest && !if_sent,
            SignedField::AllSent => true,
            _ => false,
        };
        if !self.signed.iter().any(covers) {
            return Some(format!(
                "signed: list `{digest}`, nothing else binds the body"
            ));
        }
        self.member_complaint()
            .or_else(|| self.header().complaint())
    }

    /// Members that TS 119 182-1 demands of such signatures, or forbids.
    fn member_complaint(&self) -> Option<String> {
        let header = self.header();
        if !header.has(Source::SigD) || !header.has(Source::UnencodedPayload) {
            return Some("member: `sigD` and `b64` are missing (TS 119 182-1 §5.1.10)".into());
        }
        for name in ["sigD", "b64"] {
            if !self.crit.iter().any(|listed| listed == name) {
                return Some(format!(
                    "crit: it has to list `{name}` (TS 119 182-1 §5.1.9)"
                ));
            }
        }
        let mut sources = self.member.iter().filter_map(|member| member.from);
        if !sources.any(|source| source.is_x5c() || source == Source::X5tS256) {
            return Some("member: `x5t#S256` or `x5c` is missing (TS 119 182-1 §5.1.7)".into());
        }
        let mut sources = self.member.iter().filter_map(|member| member.from);
        if !sources.any(Source::is_time) {
            return Some("member: `sigT` or `iat` is missing (TS 119 182-1 §5.2.1)".into());
        }
        if self.header().has(Source::HeadNames) {
            return Some("member: a source \"head-names\" belongs to `jws`".into());
        }
        let content_type = self.member.iter().any(|member| member.name == "cty");
        content_type.then(|| "member: `cty` does not belong to `sigD` (TS 119 182-1 §5.1.3)".into())
    }
}
