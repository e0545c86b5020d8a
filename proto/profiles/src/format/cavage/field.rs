//! What is signed, and in which order and spelling.
//!
//! Comes in: entries of `signed`, `order`, `names`, `request_target` of a profile. Goes out: their meaning. Never a field that
//! the draft has no line for. Serves draft-cavage-http-signatures-12 §2.3.

use std::fmt;

use serde::Deserialize;

use crate::request::{HttpRequest, Method, is_token};

/// An entry of `signed`: `digest`, `psu-id?` (if sent), `accept[]` (may occur more than once, joined by `, `), `psu-*`
/// (every header sent with this prefix), `*` (every header sent), `(request-target)`, `request-target` (the same line under a literal
/// name), `(created)`, `(expires)`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum SignedField {
    RequestTarget,
    BareRequestTarget,
    Created,
    Expires,
    Header {
        name: String,
        if_sent: bool,
        repeats: bool,
    },
    Prefix(String),
    AllSent,
}

impl TryFrom<String> for SignedField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "(request-target)" => return Ok(Self::RequestTarget),
            "request-target" => return Ok(Self::BareRequestTarget),
            "(created)" => return Ok(Self::Created),
            "(expires)" => return Ok(Self::Expires),
            "*" => return Ok(Self::AllSent),
            _ => {}
        }
        let usable = |name: &str| is_token(name) && name == name.to_ascii_lowercase();
        if let Some(prefix) = text.strip_suffix('*').filter(|prefix| usable(prefix)) {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        let (rest, if_sent) = match text.strip_suffix('?') {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let (name, repeats) = match rest.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        match usable(name) && !name.contains('*') {
            true => Ok(Self::Header {
                name: name.to_owned(),
                if_sent,
                repeats,
            }),
            false => Err(format!(
                "`{text}` is no signed field: write a lower-case header name, with `?` after it when it is signed only \
                 if sent and `[]` when it may repeat, or `prefix-*`, `*`, `(request-target)`, `request-target`, \
                 `(created)`, `(expires)`"
            )),
        }
    }
}

/// The order of the lines, and of the names in `headers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// As in `signed`; what a wildcard finds, in the order sent.
    #[default]
    Listed,
    /// By code point of the name as it stands in `headers`.
    Sorted,
    /// As sent; the request target first, headers that the signature sets and the caller did not send last.
    Sent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Names {
    /// Lower case in `headers` and in the lines, as the draft says.
    #[default]
    Lower,
    /// As sent in `headers`, lower case in the lines.
    ListAsSent,
    /// As sent in both.
    AsSent,
}

/// What the line of the request target says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestTarget {
    /// Whether the query is part of it.
    #[serde(default = "yes")]
    pub(crate) query: bool,
    /// A method that stands there whatever the request's is.
    pub(crate) method: Option<Method>,
    /// What the signed path begins with; put before paths that do not begin with it.
    pub(crate) path_prefix: Option<String>,
    /// Whether `https://` and the authority stand before the path.
    #[serde(default)]
    pub(crate) absolute: bool,
}

impl Default for RequestTarget {
    fn default() -> Self {
        Self {
            query: true,
            method: None,
            path_prefix: None,
            absolute: false,
        }
    }
}

impl RequestTarget {
    /// The value of the line.
    pub(super) fn value(&self, request: &HttpRequest) -> String {
        let method = self.method.unwrap_or(request.method()).as_str();
        let mut value = method.to_ascii_lowercase() + " ";
        if self.absolute {
            value.push_str("https://");
            value.push_str(request.authority());
        }
        let path = request.path();
        if let Some(prefix) = &self.path_prefix
            && !path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            value.push_str(prefix);
        }
        value.push_str(path);
        if let Some(query) = request.query().filter(|_| self.query) {
            value.push('?');
            value.push_str(query);
        }
        value
    }

    /// What makes no sense, in words.
    pub(crate) fn complaint(&self) -> Option<String> {
        let prefix = self.path_prefix.as_ref()?;
        (!prefix.starts_with('/') || prefix.ends_with('/')).then(|| {
            format!("request_target.path_prefix: begin `{prefix}` with a slash, and end it without")
        })
    }
}

fn yes() -> bool {
    true
}

/// As it is written in `signed`.
impl fmt::Display for SignedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestTarget => f.write_str("(request-target)"),
            Self::BareRequestTarget => f.write_str("request-target"),
            Self::Created => f.write_str("(created)"),
            Self::Expires => f.write_str("(expires)"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::AllSent => f.write_str("*"),
            Self::Header {
                name,
                if_sent,
                repeats,
            } => {
                let repeats = if *repeats { "[]" } else { "" };
                let if_sent = if *if_sent { "?" } else { "" };
                write!(f, "{name}{repeats}{if_sent}")
            }
        }
    }
}

impl SignedField {
    /// Whether it stands for headers, and not for a line of its own making.
    pub(crate) fn is_header(&self) -> bool {
        matches!(self, Self::Header { .. } | Self::Prefix(_) | Self::AllSent)
    }

    /// The header it names, if it names one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Header { name, .. } => Some(name),
            _ => None,
        }
    }
}
