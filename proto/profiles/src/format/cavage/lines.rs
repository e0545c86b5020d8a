//! Which lines are signed, and what they say.
//!
//! Comes in: a message, the parameters, the headers that the signature itself sets. Goes out: the lines in order, shared by
//! signing and verifying so that the two cannot differ. Never a value that is not in the message or in those headers.
//! Serves draft-cavage-http-signatures-10 §2.3, and ETSI TS 119 182-1 §5.2.8.2, which signs the same lines.

use super::created::Times;
use super::field::{Names, Order, RequestTarget, SignedField};
use crate::refusal::Refusal;
use crate::request::{Header, Message};
use crate::verify::VerifyError;

/// What a profile says about the lines.
pub(crate) struct LineRules<'a> {
    pub(crate) signed: &'a [SignedField],
    pub(crate) order: Order,
    pub(crate) names: Names,
    pub(crate) request_target: &'a RequestTarget,
    pub(crate) trailing_line_feed: bool,
    /// Header names, in any case, that a wildcard leaves out.
    pub(crate) excluded: Vec<&'a str>,
}

/// A line of the string to sign.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// As it stands in the list of what is signed: `headers`, or `sigD.pars`.
    pub(crate) listed: String,
    /// As it stands at the start of the line.
    name: String,
    value: String,
    /// Where it was sent; the target before all headers, headers set by the signature behind them.
    sent_at: usize,
}

impl Line {
    /// The same line, beginning with its name spelled otherwise.
    pub(crate) fn spelled(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }
}

/// A header that the signature sets.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The lines to sign, in order.
pub(crate) fn lines(
    rules: &LineRules<'_>,
    message: Message<'_>,
    set: &[Set],
    times: Option<Times>,
) -> Result<Vec<Line>, Refusal> {
    let mut picker = Picker {
        rules,
        message,
        set,
        times,
        picked: Vec::new(),
        lines: Vec::new(),
    };
    for field in rules.signed {
        picker.pick(field)?;
    }
    let mut lines = picker.lines;
    match rules.order {
        Order::Listed => {}
        Order::Sorted => lines.sort_by(|a, b| a.listed.cmp(&b.listed)),
        Order::Sent => lines.sort_by_key(|line| line.sent_at),
    }
    match lines.is_empty() {
        true => Err(Refusal::NothingToSign),
        false => Ok(lines),
    }
}

/// `name: value` joined by line feeds.
pub(crate) fn signing_string(rules: &LineRules<'_>, lines: &[Line]) -> Vec<u8> {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&line.name);
        text.push_str(": ");
        text.push_str(&line.value);
    }
    if rules.trailing_line_feed {
        text.push('\n');
    }
    text.into_bytes()
}

/// The list is the profile's: nothing missing, nothing more, in its order. `same` compares names.
pub(crate) fn check_list(
    rules: &LineRules<'_>,
    listed: &[&str],
    lines: &[Line],
    same: impl Fn(&str, &str) -> bool,
) -> Result<(), VerifyError> {
    for line in lines {
        if !listed.iter().any(|name| same(name, &line.listed)) {
            return Err(VerifyError::FieldNotSigned {
                name: line.listed.clone(),
            });
        }
    }
    for name in listed {
        if !lines.iter().any(|line| same(name, &line.listed)) {
            // The profile signs it when it is sent; it was signed and taken out on the way.
            let lower = name.to_ascii_lowercase();
            if rules
                .signed
                .iter()
                .any(|field| field.name() == Some(&lower))
            {
                return Err(Refusal::HeaderMissing { name: lower }.into());
            }
            return Err(VerifyError::FieldUnexpected {
                name: (*name).to_owned(),
            });
        }
    }
    for (position, line) in lines.iter().enumerate() {
        if !listed
            .get(position)
            .is_some_and(|name| same(name, &line.listed))
        {
            return Err(VerifyError::FieldOrder {
                position,
                expected: line.listed.clone(),
            });
        }
    }
    match listed.get(lines.len()) {
        Some(doubled) => Err(VerifyError::ParameterRepeated {
            name: (*doubled).to_owned(),
        }),
        None => Ok(()),
    }
}

struct Picker<'a> {
    rules: &'a LineRules<'a>,
    message: Message<'a>,
    set: &'a [Set],
    times: Option<Times>,
    /// Lower-case names of the lines so far.
    picked: Vec<String>,
    lines: Vec<Line>,
}

impl<'a> Picker<'a> {
    fn pick(&mut self, field: &SignedField) -> Result<(), Refusal> {
        match field {
            SignedField::RequestTarget => self.target("(request-target)"),
            SignedField::BareRequestTarget => self.target("request-target"),
            SignedField::Created => {
                self.seconds("(created)", self.times.map(|times| times.created));
                Ok(())
            }
            SignedField::Expires => {
                self.seconds("(expires)", self.times.and_then(|times| times.expires));
                Ok(())
            }
            SignedField::Header {
                name,
                if_sent,
                repeats,
            } => {
                let line = self.header(name, *repeats)?;
                match line {
                    Some(line) => self.push(name, line),
                    None if *if_sent => {}
                    None => return Err(Refusal::HeaderMissing { name: name.clone() }),
                }
                Ok(())
            }
            SignedField::Prefix(prefix) => self.wildcard(prefix),
            SignedField::AllSent => self.wildcard(""),
        }
    }

    fn push(&mut self, lower: &str, line: Line) {
        self.picked.push(lower.to_owned());
        self.lines.push(line);
    }

    fn target(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(request) = self.message.request else {
            return Err(Refusal::FormatNotAllowed {
                what: "the target of a response",
            });
        };
        let value = self.rules.request_target.value(request);
        self.push_special(name, value);
        Ok(())
    }

    /// A profile that signs a time has one: it was checked when it was loaded.
    fn seconds(&mut self, name: &str, seconds: Option<i64>) {
        if let Some(seconds) = seconds {
            self.push_special(name, seconds.to_string());
        }
    }

    /// A line that is no header's.
    fn push_special(&mut self, name: &str, value: String) {
        let line = Line {
            listed: name.into(),
            name: name.into(),
            value,
            sent_at: 0,
        };
        self.push(name, line);
    }

    /// The line of one header: what the signature sets goes before what was sent.
    fn header(&self, lower: &str, repeats: bool) -> Result<Option<Line>, Refusal> {
        let sent: Vec<(usize, &Header)> = self
            .message
            .lines()
            .iter()
            .enumerate()
            .filter(|(_, h)| h.lower_name() == lower)
            .collect();
        let set = self
            .set
            .iter()
            .find(|set| set.name.eq_ignore_ascii_case(lower));
        if sent.len() > 1 && (!repeats || set.is_some()) {
            return Err(Refusal::HeaderRepeated {
                name: lower.to_owned(),
            });
        }
        let (spelled, sent_at) = match (sent.first(), set) {
            (Some((index, header)), _) => (header.name(), index + 1),
            (None, Some(set)) => (set.name.as_str(), usize::MAX),
            (None, None) if lower == "host" && self.message.request.is_some() => ("Host", 0),
            (None, None) => return Ok(None),
        };
        let value = match (set, self.message.request) {
            (Some(set), _) => set.value.clone(),
            // Whoever sends the request writes `Host` from the authority (RFC 9112 §3.2); one that was sent is the same.
            (None, Some(request)) if lower == "host" => request.authority().to_owned(),
            _ => sent
                .iter()
                .map(|(_, header)| header.value())
                .collect::<Vec<_>>()
                .join(", "),
        };
        let (listed, name) = match self.rules.names {
            Names::Lower => (lower, lower),
            Names::ListAsSent => (spelled, lower),
            Names::AsSent => (spelled, spelled),
        };
        Ok(Some(Line {
            listed: listed.into(),
            name: name.into(),
            value,
            sent_at,
        }))
    }

    /// Every header with the prefix that has no line yet, in the order sent, then those that the signature sets.
    fn wildcard(&mut self, prefix: &str) -> Result<(), Refusal> {
        let sent = self
            .message
            .lines()
            .iter()
            .map(|header| header.lower_name().to_owned());
        let set = self.set.iter().map(|set| set.name.to_ascii_lowercase());
        let names: Vec<String> = sent
            .chain(set)
            .filter(|name| name.starts_with(prefix))
            .collect();
        for name in names {
            if self.picked.contains(&name) || self.is_excluded(&name) {
                continue;
            }
            if let Some(line) = self.header(&name, false)? {
                self.push(&name, line);
            }
        }
        Ok(())
    }

    fn is_excluded(&self, lower: &str) -> bool {
        let excluded = &self.rules.excluded;
        excluded.iter().any(|name| name.eq_ignore_ascii_case(lower))
    }
}
