//! What a request does at a bank, and the PSD2 role it takes.
//!
//! Comes in: `[[operation]]` rows of a profile, a method, a path below the bank's base path. Goes out: the row that
//! matches. Never a default: what no row names is unknown, and the service refuses it. Roles per ETSI TS 119 495 §5.1.

use serde::Deserialize;

use crate::request::Method;
use crate::roles::Role;

/// One row: the requests that do one thing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// A short name for people and records: `initiate-payment`.
    pub name: String,
    /// The role the certificate needs; `None` when any PSD2 certificate does.
    #[serde(default)]
    pub role: Option<Role>,
    /// The methods of the row.
    methods: Vec<Method>,
    /// The path: whole segments; `*` is one segment, a trailing `**` any number.
    path: PathPattern,
}

impl Operation {
    /// The methods it applies to.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The path as it is written in the profile: `/v1/payments/**`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path.text
    }

    pub(super) fn matches(&self, method: Method, path: &str) -> bool {
        self.methods.contains(&method) && self.path.matches(path)
    }

    /// What is wrong with the row, in words.
    pub(super) fn complaint(&self) -> Option<String> {
        let complain = |what: &str| Some(format!("operation `{}`: {what}", self.name));
        if self.name.is_empty()
            || !self
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-')
        {
            return complain("name it in lower-case letters and dashes");
        }
        if self.methods.is_empty() {
            return complain("list the methods it applies to");
        }
        None
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    any_below: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exactly(String),
    AnyOne,
}

impl PathPattern {
    fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut actual = path.split('/');
        let all = self
            .segments
            .iter()
            .all(|segment| match (segment, actual.next()) {
                (Segment::Exactly(text), Some(found)) => text == found,
                (Segment::AnyOne, Some(found)) => !found.is_empty(),
                (_, None) => false,
            });
        all && (self.any_below || actual.next().is_none())
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what| Err(format!("path `{text}`: {what}"));
        let Some(rest) = text.strip_prefix('/') else {
            return wrong("begin it with a slash");
        };
        let any_below = rest == "**" || rest.ends_with("/**");
        let fixed = if any_below {
            rest.trim_end_matches("**").trim_end_matches('/')
        } else {
            rest
        };
        let mut segments = Vec::new();
        for segment in fixed.split('/').filter(|_| !fixed.is_empty()) {
            segments.push(match segment {
                "" => return wrong("an empty segment matches nothing, take it out"),
                "*" => Segment::AnyOne,
                other if other.contains('*') => {
                    return wrong("`*` stands for a whole segment, and `**` only at the end");
                }
                other => Segment::Exactly(other.to_owned()),
            });
        }
        Ok(Self {
            text: text.clone(),
            segments,
            any_below,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::try_from(pattern.to_owned())
            .unwrap()
            .matches(path)
    }

    #[test]
    fn matches_whole_segments_only() {
        assert!(matches(
            "/v1/payments/*",
            "/v1/payments/sepa-credit-transfers"
        ));
        assert!(!matches("/v1/payments/*", "/v1/payments"));
        assert!(!matches("/v1/payments/*", "/v1/payments/"));
        assert!(!matches("/v1/payments/*", "/v1/payments/a/b"));
        assert!(!matches("/v1/payments", "/v1/payments2"));
        assert!(!matches("/v1/payments", "/v1%2Fpayments"));
        assert!(!matches("/v1/payments", "v1/payments"));
    }

    #[test]
    fn double_star_matches_the_collection_and_all_below_it() {
        for path in [
            "/v1/accounts",
            "/v1/accounts/",
            "/v1/accounts/x",
            "/v1/accounts/x/y/z",
        ] {
            assert!(matches("/v1/accounts/**", path), "{path}");
        }
        assert!(!matches("/v1/accounts/**", "/v1/accountsx"));
        assert!(!matches("/v1/accounts/**", "/v1"));
        assert!(matches("/**", "/anything/at/all"));
    }

    #[test]
    fn refuses_patterns_that_say_less_than_they_seem_to() {
        for pattern in [
            "v1", "", "/v1/pay*", "/v1/**/x", "/v1//x", "/v1/***", "/v1/",
        ] {
            assert!(
                PathPattern::try_from(pattern.to_owned()).is_err(),
                "{pattern}"
            );
        }
    }
}
