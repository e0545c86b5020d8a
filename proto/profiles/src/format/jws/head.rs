//! What some signers put before the body: the request line, and a line for each header they name.
//!
//! Comes in: a request and the names to sign. Goes out: the payload of the JWS, `POST /payouts`, `Name: value` and the body,
//! with line feeds between, and the names as the header of the JWS lists them. Never a query: nobody says whether it
//! belongs. Serves TrueLayer's request signing, version 2.

use serde::Deserialize;

use super::received::Received;
use crate::format::cavage::check::signed_complaint;
use crate::format::cavage::field::{Names, Order, RequestTarget, SignedField};
use crate::format::cavage::lines::{Line, LineRules, check_list, lines, signing_string};
use crate::refusal::Refusal;
use crate::request::Message;
use crate::verify::VerifyError;

/// `[request.jws.head]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadSpec {
    /// The headers that are signed, in order.
    pub(crate) signed: Vec<SignedField>,
    #[serde(skip)]
    request_target: RequestTarget,
}

/// A payload with a head, and what it covers.
pub(super) struct Headed {
    pub(super) payload: Vec<u8>,
    /// The headers in it, spelled as they were sent.
    pub(super) names: Vec<String>,
}

impl HeadSpec {
    /// The payload as it is signed: names spelled as they are sent.
    pub(super) fn payload(&self, carrier: &str, message: Message<'_>) -> Result<Headed, Refusal> {
        let rules = self.line_rules(carrier);
        self.headed(&rules, lines(&rules, message, &[], None)?, message)
    }

    /// The payload as it was signed: names spelled as the member `name` lists them, whatever the way here made of them.
    pub(super) fn payload_received(
        &self,
        carrier: &str,
        message: Message<'_>,
        received: &Received<'_>,
        name: &str,
    ) -> Result<Headed, VerifyError> {
        let rules = self.line_rules(carrier);
        let lines = lines(&rules, message, &[], None)?;
        let listed = received.member(name).and_then(|value| value.as_str());
        let listed: Vec<&str> = listed.unwrap_or_default().split(',').collect();
        check_list(&rules, &listed, &lines, str::eq_ignore_ascii_case)?;
        let spelled = lines.into_iter().zip(listed);
        let lines = spelled.map(|(line, name)| line.spelled(name)).collect();
        Ok(self.headed(&rules, lines, message)?)
    }

    fn headed(
        &self,
        rules: &LineRules<'_>,
        lines: Vec<Line>,
        message: Message<'_>,
    ) -> Result<Headed, Refusal> {
        let request = message.request.ok_or(Refusal::FormatNotAllowed {
            what: "the request line of a response",
        })?;
        let body = message.body.bytes().ok_or(Refusal::BodyRequired)?;
        let path = request.path().trim_end_matches('/');
        let mut payload = format!("{} {path}\n", request.method()).into_bytes();
        payload.extend(signing_string(rules, &lines));
        payload.extend(body);
        let names = lines.into_iter().map(|line| line.listed).collect();
        Ok(Headed { payload, names })
    }

    fn line_rules<'a>(&'a self, carrier: &'a str) -> LineRules<'a> {
        LineRules {
            signed: &self.signed,
            order: Order::Listed,
            names: Names::AsSent,
            request_target: &self.request_target,
            trailing_line_feed: true,
            excluded: vec![carrier],
        }
    }

    /// What makes no sense, in words.
    pub(super) fn complaint(&self, carrier: Option<&str>, response: bool) -> Option<String> {
        let Some(carrier) = carrier else {
            return Some("head: it belongs to a carrier".into());
        };
        if response {
            return Some("head: a response has no request line".into());
        }
        let special = |field: &SignedField| !field.is_header();
        if self.signed.iter().any(special) {
            return Some("head.signed: the request line is always signed, list headers".into());
        }
        signed_complaint(&self.signed, carrier, response).map(|what| format!("head.{what}"))
    }
}

impl Headed {
    /// What is covered, by name.
    pub(super) fn signed_fields(&self) -> Vec<String> {
        let fixed = ["jws.protected", "method", "path"].map(str::to_owned);
        let names = self.names.iter().map(|name| name.to_ascii_lowercase());
        let body = std::iter::once("body".to_owned());
        fixed.into_iter().chain(names).chain(body).collect()
    }
}
