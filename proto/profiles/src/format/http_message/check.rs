//! What makes no sense in the parameters of RFC 9421 signatures.
//!
//! Comes in: parameters that are all known. Goes out: a complaint that says what to write instead, or none. A profile with a
//! complaint is never used.

use sfv::{KeyRef, StringRef};

use super::component::{Component, FieldForm, Part};
use super::digest::registered_name;
use super::spec::{HttpMessageSpec, Parameter};
use crate::algorithm::KeyType;
use crate::request::is_token;

impl HttpMessageSpec {
    /// What makes no sense, in words. `response`: it is for responses.
    pub(crate) fn complaint(&self, response: bool) -> Option<String> {
        self.scheme_complaint()
            .or_else(|| self.parameter_complaint())
            .or_else(|| self.covered_complaint(response))
            .or_else(|| self.field_complaint())
    }

    fn scheme_complaint(&self) -> Option<String> {
        let rivals = |key: &KeyType| self.schemes.iter().filter(|s| s.fits(key)).count();
        if self.schemes.is_empty() || KeyType::FAMILIES.iter().any(|key| rivals(key) > 1) {
            return Some("schemes: list at least one, and one a key type".into());
        }
        let nameless = self
            .schemes
            .iter()
            .find(|s| s.http_message_name().is_none());
        match nameless {
            Some(scheme) if self.parameters.contains(&Parameter::Alg) => Some(format!(
                "parameters: `alg` has no registered name for {scheme}, leave it out (RFC 9421 §3.3.7)"
            )),
            _ => None,
        }
    }

    fn parameter_complaint(&self) -> Option<String> {
        if KeyRef::from_str(&self.label).is_err() {
            return Some(
                "label: begin it with a lower-case letter, then letters, digits, `_-.*`".into(),
            );
        }
        for (index, parameter) in self.parameters.iter().enumerate() {
            if self.parameters.iter().take(index).any(|p| p == parameter) {
                return Some(format!(
                    "parameters: `{}` is listed twice",
                    parameter.name()
                ));
            }
        }
        if !self.parameters.contains(&Parameter::Created) {
            return Some(
                "parameters: without `created` a signature could be replayed for ever".into(),
            );
        }
        for (parameter, key, is_set) in [
            (Parameter::Keyid, "key_id", self.key_id.is_some()),
            (Parameter::Tag, "tag", self.tag.is_some()),
            (
                Parameter::Expires,
                "lifetime_seconds",
                self.lifetime_seconds.is_some(),
            ),
            (Parameter::Nonce, "nonce_from", self.nonce_from.is_some()),
        ] {
            if self.parameters.contains(&parameter) != is_set {
                let name = parameter.name();
                return Some(format!(
                    "parameters: `{name}` belongs to `{key}`, and only to it"
                ));
            }
        }
        self.value_complaint()
    }

    fn value_complaint(&self) -> Option<String> {
        if self.age_seconds_max == 0 {
            return Some("age_seconds_max: at least one second".into());
        }
        if self.lifetime_seconds == Some(0) {
            return Some("lifetime_seconds: at least one second".into());
        }
        let tag = self.tag.as_deref();
        if tag.is_some_and(|tag| tag.is_empty() || StringRef::from_str(tag).is_err()) {
            return Some("tag: printable ASCII".into());
        }
        let nonce = self.nonce_from.as_deref();
        if nonce.is_some_and(|name| !is_lower_token(name)) {
            return Some("nonce_from: write a lower-case header name".into());
        }
        None
    }

    fn covered_complaint(&self, response: bool) -> Option<String> {
        if self.covered.is_empty() {
            return Some("covered: list what is covered".into());
        }
        for (index, covered) in self.covered.iter().enumerate() {
            let component = &covered.component;
            let mut earlier = self.covered.iter().take(index);
            if earlier.any(|earlier| earlier.component == *component) {
                return Some(format!("covered: `{component}` is listed twice"));
            }
            let what = match response {
                true => of_response(component),
                false => of_request(component),
            };
            if let Some(what) = what.or_else(|| self.own_complaint(component)) {
                return Some(format!("covered: `{component}`: {what}"));
            }
        }
        None
    }

    /// What only this profile's parameters make wrong.
    fn own_complaint(&self, component: &Component) -> Option<&'static str> {
        let Part::Field { name, form } = &component.part else {
            return None;
        };
        let carries = matches!(name.as_str(), "signature" | "signature-input");
        let of_other = matches!(form, FieldForm::Member(key) if *key != self.label);
        if carries && !component.of_request && !of_other {
            return Some("a signature cannot cover itself; name another with `;key=\"label\"`");
        }
        if *form == FieldForm::Structured && self.structured_type(name).is_none() {
            return Some(
                "say in `structured` whether the field is a dictionary, a list or an item",
            );
        }
        if name == "content-digest" && !component.of_request && self.digest.is_none() {
            return Some("without a `digest` table nobody checks it against the body");
        }
        None
    }

    fn field_complaint(&self) -> Option<String> {
        let covers = |header: &str| {
            let lower = header.to_ascii_lowercase();
            let mut own = self.covered.iter().filter(|c| !c.component.of_request);
            own.any(|covered| covered.component.field() == Some(&lower))
        };
        if let Some(digest) = &self.digest {
            if registered_name(digest.hash).is_none() {
                return Some("digest: the hash is sha256 or sha512 (RFC 9530 §5)".into());
            }
            if !is_token(&digest.header) || !covers(&digest.header) {
                let lower = digest.lower();
                return Some(format!(
                    "digest: `{lower}` is not in `covered`, so it protects nothing"
                ));
            }
        }
        let set = self.set.iter();
        if let Some(field) = set
            .clone()
            .find(|f| !is_token(&f.header) || !covers(&f.header))
        {
            return Some(format!("set: `{}` is not in `covered`", field.header));
        }
        let name = self.structured.keys().find(|name| !is_lower_token(name))?;
        Some(format!("structured: `{name}` is no lower-case header name"))
    }
}

fn of_request(component: &Component) -> Option<&'static str> {
    match component {
        Component {
            of_request: true, ..
        } => Some("`req` is for responses"),
        Component {
            part: Part::Status, ..
        } => Some("a request has no status"),
        _ => None,
    }
}

fn of_response(component: &Component) -> Option<&'static str> {
    match component.is_of_request_line() && !component.of_request {
        true => Some("a response has it from its request only: write `;req` after it"),
        false => None,
    }
}

fn is_lower_token(name: &str) -> bool {
    is_token(name) && name == name.to_ascii_lowercase()
}
