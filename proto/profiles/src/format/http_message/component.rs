//! The name of one covered component: a field or a derived value, with its parameters.
//!
//! Comes in: the compact text of a profile (`@method`, `content-digest;req`, `@query-param;name="Pet"`), or an item of a
//! `Signature-Input` from outside. Goes out: a [`Component`] whose parameters belong to it. Never a component nobody could
//! evaluate. Serves RFC 9421 §2.1, §2.2 and §2.4.

use std::fmt;

use sfv::{FieldType, Item, KeyRef, Parser};

use crate::request::is_token;

/// A component identifier (RFC 9421 §2). Two are equal when they cover the same, in whatever order parameters stand.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// What it is without parameters.
    pub(super) part: Part,
    /// Taken from the request that a response answers (§2.4).
    pub(super) of_request: bool,
    /// As it stands in the list.
    pub(super) item: Item,
    /// The same as text, at the start of its line: `"content-digest";req`.
    pub(super) written: String,
}

/// What a component covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `@method` (§2.2.1).
    Method,
    /// `@target-uri` (§2.2.2).
    TargetUri,
    /// `@authority` (§2.2.3).
    Authority,
    /// `@scheme` (§2.2.4).
    Scheme,
    /// `@request-target` (§2.2.5).
    RequestTarget,
    /// `@path` (§2.2.6).
    Path,
    /// `@query` (§2.2.7).
    Query,
    /// `@query-param` with the name as it is encoded there (§2.2.8).
    QueryParam(String),
    /// `@status` (§2.2.9).
    Status,
    /// A header field (§2.1).
    Field { name: String, form: FieldForm },
}

/// Which form of a field's value is covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldForm {
    /// The lines joined by `, `.
    Lines,
    /// `;sf`: the structured value, serialized anew (§2.1.1).
    Structured,
    /// `;key=`: one member of a dictionary (§2.1.2).
    Member(String),
    /// `;bs`: each line as a byte sequence (§2.1.3).
    Bytes,
}

/// Parameters as they stand beside a name, each checked for its type.
#[derive(Default)]
struct Flags {
    sf: bool,
    bs: bool,
    req: bool,
    key: Option<String>,
    name: Option<String>,
}

impl Component {
    /// Reads the compact form of profiles: the name without quotes, then the parameters.
    pub(super) fn from_compact(text: &str) -> Result<Self, String> {
        let (name, parameters) = match text.split_once(';') {
            Some((name, rest)) => (name, format!(";{rest}")),
            None => (text, String::new()),
        };
        if name.contains(['"', '\\']) {
            return Err("write the name without quotation marks".into());
        }
        let item: Item = Parser::new(&format!("\"{name}\"{parameters}"))
            .parse()
            .map_err(|_| "the parameters are no structured field parameters (RFC 9651 §3.1.2)")?;
        Self::from_item(&item)
    }

    /// Reads an item of a covered components list.
    pub(super) fn from_item(item: &Item) -> Result<Self, String> {
        let name = item
            .bare_item
            .as_string()
            .ok_or("a component name is a string")?
            .as_str();
        let flags = Flags::read(item)?;
        let part = match name.strip_prefix('@') {
            Some(derived) => derived_part(derived, &flags)?,
            None => field_part(name, &flags)?,
        };
        Ok(Self {
            part,
            of_request: flags.req,
            item: item.clone(),
            written: item.serialize(),
        })
    }

    /// The field it covers, if it covers one.
    pub(super) fn field(&self) -> Option<&str> {
        match &self.part {
            Part::Field { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether it is a part of a request that a response on its own does not have.
    pub(super) fn is_of_request_line(&self) -> bool {
        !matches!(self.part, Part::Field { .. } | Part::Status)
    }
}

impl PartialEq for Component {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part && self.of_request == other.of_request
    }
}

/// The compact form, without the quotation marks of the name: for profiles, records and people.
impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, parameters) = self
            .written
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'))
            .unwrap_or((&self.written, ""));
        write!(f, "{name}{parameters}")
    }
}

impl Flags {
    fn read(item: &Item) -> Result<Self, String> {
        let mut flags = Self::default();
        for (key, value) in &item.params {
            let flag = || match value.as_boolean() {
                Some(true) => Ok(true),
                _ => Err(format!("`{key}` takes no value")),
            };
            let text = || match value.as_string() {
                Some(text) => Ok(Some(text.as_str().to_owned())),
                None => Err(format!("`{key}` takes a string")),
            };
            match key.as_str() {
                "sf" => flags.sf = flag()?,
                "bs" => flags.bs = flag()?,
                "req" => flags.req = flag()?,
                "key" => flags.key = text()?,
                "name" => flags.name = text()?,
                "tr" => return Err("`tr`: trailers are not signed here".into()),
                other => return Err(format!("`{other}` is no parameter of a component")),
            }
        }
        Ok(flags)
    }
}

fn derived_part(name: &str, flags: &Flags) -> Result<Part, String> {
    if flags.sf || flags.bs || flags.key.is_some() {
        return Err("`sf`, `key` and `bs` belong to fields".into());
    }
    let part = match (name, &flags.name) {
        ("query-param", Some(name)) => return Ok(Part::QueryParam(name.clone())),
        ("query-param", None) => return Err("`@query-param` needs `;name=\"..\"`".into()),
        (_, Some(_)) => return Err("`name` belongs to `@query-param`".into()),
        ("method", None) => Part::Method,
        ("target-uri", None) => Part::TargetUri,
        ("authority", None) => Part::Authority,
        ("scheme", None) => Part::Scheme,
        ("request-target", None) => Part::RequestTarget,
        ("path", None) => Part::Path,
        ("query", None) => Part::Query,
        ("status", None) if flags.req => return Err("a request has no status".into()),
        ("status", None) => Part::Status,
        _ => {
            return Err(
                "it is none of @method, @target-uri, @authority, @scheme, @request-target, @path, @query, \
                 @query-param, @status"
                    .into(),
            );
        }
    };
    Ok(part)
}

fn field_part(name: &str, flags: &Flags) -> Result<Part, String> {
    if !is_token(name) || name != name.to_ascii_lowercase() {
        return Err("a field name is a lower-case token".into());
    }
    if flags.name.is_some() {
        return Err("`name` belongs to `@query-param`".into());
    }
    let form = match (flags.sf, &flags.key, flags.bs) {
        (false, None, false) => FieldForm::Lines,
        (true, None, false) => FieldForm::Structured,
        (false, Some(key), false) => match KeyRef::from_str(key) {
            Ok(_) => FieldForm::Member(key.clone()),
            Err(_) => return Err("`key` is no key of a dictionary".into()),
        },
        (false, None, true) => FieldForm::Bytes,
        _ => return Err("`sf`, `key` and `bs` exclude each other".into()),
    };
    Ok(Part::Field {
        name: name.to_owned(),
        form,
    })
}
