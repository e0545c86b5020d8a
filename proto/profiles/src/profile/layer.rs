//! A profile that extends another: what its file says, over what the extended files say.
//!
//! Comes in: every profile file of a catalogue. Goes out: one table a profile, merged, that still knows which file and line
//! said what. `extends = "name"` merges tables key by key and replaces arrays and values whole; `without = ["a.b"]` leaves
//! out what the extended profile has there. Who a profile is (`name`, `title`, `source`, `confidence`) is never inherited.
//! Never a cycle, never a parent that is not there.

mod table;

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use table::position_of;

use super::error::ProfileError;
use table::{leave_out, moved_table, overlay, second_format};

/// The longest profile file read, in bytes.
pub const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// The most profiles one may rest on, itself included.
const EXTENDS_DEPTH_MAX: usize = 4;

/// Keys that every profile says for itself.
const IDENTITY: [&str; 4] = ["name", "title", "source", "confidence"];

/// A profile file as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The file's name, for messages.
    pub file: &'a str,
    /// What it says.
    pub text: &'a str,
}

impl Source<'_> {
    pub(super) fn check_length(&self) -> Result<(), ProfileError> {
        match self.text.len() {
            0..=PROFILE_BYTES_MAX => Ok(()),
            len => Err(ProfileError::TooLong {
                file: self.file.to_owned(),
                len,
                max: PROFILE_BYTES_MAX,
            }),
        }
    }
}

/// Every file, parsed, by profile name. Spans count through all texts laid end to end, so that each tells its file.
#[derive(Default)]
pub(super) struct Layers<'a> {
    sources: Vec<Source<'a>>,
    by_name: BTreeMap<String, Layer<'a>>,
}

struct Layer<'a> {
    extends: Option<Spanned<String>>,
    without: Vec<Spanned<String>>,
    table: Spanned<DeTable<'a>>,
    file: &'a str,
}

impl<'a> Layers<'a> {
    pub(super) fn parse(
        sources: impl IntoIterator<Item = Source<'a>>,
    ) -> Result<Self, ProfileError> {
        let mut layers = Self::default();
        for source in sources {
            layers.add(source)?;
        }
        Ok(layers)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Parses one file; answers with the name of its profile.
    pub(super) fn add(&mut self, source: Source<'a>) -> Result<String, ProfileError> {
        let Source { file, text } = source;
        source.check_length()?;
        let offset = self.sources.iter().map(room).sum();
        self.sources.push(source);
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(offset, |span| offset + span.start);
            self.unreadable(at, error.message())
        })?;
        let mut table = moved_table(table, offset);
        let name = match table.get_ref().get("name").map(Spanned::get_ref) {
            Some(DeValue::String(name)) => name.clone().into_owned(),
            _ => {
                return Err(
                    self.unreadable(offset, "say what the profile is called: name = \"..\"")
                );
            }
        };
        if let Some(earlier) = self.by_name.get(&name) {
            return Err(ProfileError::Duplicate {
                file: file.to_owned(),
                other: earlier.file.to_owned(),
                profile: name,
            });
        }
        let extends = self.take_extends(table.get_mut())?;
        let without = self.take_without(table.get_mut())?;
        let layer = Layer {
            extends,
            without,
            table,
            file,
        };
        self.by_name.insert(name.clone(), layer);
        Ok(name)
    }

    /// What `name` says and inherits.
    pub(super) fn merged(&self, name: &str) -> Result<Spanned<DeTable<'a>>, ProfileError> {
        let lineage = self.lineage(name)?;
        let mut merged = DeTable::new();
        for layer in lineage.iter().rev() {
            for key in IDENTITY {
                merged.remove(key);
            }
            for path in &layer.without {
                if !leave_out(&mut merged, path.get_ref()) {
                    let what = format!("without: the extended profile has no `{}`", path.get_ref());
                    return Err(self.senseless(path.span().start, name, what));
                }
            }
            if let Some((at, what)) = second_format(&merged, layer.table.get_ref()) {
                return Err(self.senseless(at, name, what));
            }
            overlay(&mut merged, layer.table.get_ref());
        }
        let own = lineage.first().map_or(0, |layer| layer.table.span().start);
        Ok(Spanned::new(own..own, merged))
    }

    /// The name of the profile that `name` extends.
    pub(super) fn parent(&self, name: &str) -> Option<&str> {
        let extends = self.by_name.get(name)?.extends.as_ref()?;
        Some(extends.get_ref())
    }

    /// The profile and those it rests on, nearest first.
    fn lineage(&self, name: &str) -> Result<Vec<&Layer<'a>>, ProfileError> {
        let mut lineage: Vec<&Layer<'a>> = self.by_name.get(name).into_iter().collect();
        let mut seen = vec![name];
        while let Some(extends) = lineage.last().and_then(|layer| layer.extends.as_ref()) {
            let (parent, at) = (extends.get_ref().as_str(), extends.span().start);
            let refuse = |what| Err(self.senseless(at, name, what));
            if seen.contains(&parent) {
                let circle = seen.join("` extends `");
                return refuse(format!("extends: `{circle}` extends `{parent}`, a circle"));
            }
            if lineage.len() == EXTENDS_DEPTH_MAX {
                return refuse(format!(
                    "extends: more than {EXTENDS_DEPTH_MAX} profiles in a row; extend `{parent}` directly"
                ));
            }
            let Some(layer) = self.by_name.get(parent) else {
                return refuse(format!("extends: there is no profile `{parent}`"));
            };
            lineage.push(layer);
            seen.push(parent);
        }
        Ok(lineage)
    }

    fn take_extends(
        &self,
        table: &mut DeTable<'a>,
    ) -> Result<Option<Spanned<String>>, ProfileError> {
        let value = table.remove("extends");
        value
            .map(|value| self.text(&value, "extends = \"the name of a profile\""))
            .transpose()
    }

    fn take_without(&self, table: &mut DeTable<'a>) -> Result<Vec<Spanned<String>>, ProfileError> {
        let form = "without = [\"request.cavage.certificate\"]";
        let Some(value) = table.remove("without") else {
            return Ok(Vec::new());
        };
        let Some(paths) = value.get_ref().as_array() else {
            return Err(self.unreadable(value.span().start, &format!("write {form}")));
        };
        paths.iter().map(|path| self.text(path, form)).collect()
    }

    fn text(
        &self,
        value: &Spanned<DeValue<'a>>,
        form: &str,
    ) -> Result<Spanned<String>, ProfileError> {
        let at = value.span();
        match value.get_ref().as_str() {
            Some(text) => Ok(Spanned::new(at, text.to_owned())),
            None => Err(self.unreadable(at.start, &format!("write {form}"))),
        }
    }

    pub(super) fn unreadable(&self, at: usize, message: &str) -> ProfileError {
        let (file, line) = self.place(at);
        ProfileError::Toml {
            file,
            line,
            // The parser quotes lines; one sentence fits a log better.
            message: message.trim_end().replace('\n', ", "),
        }
    }

    pub(super) fn senseless(&self, at: usize, profile: &str, what: String) -> ProfileError {
        let (file, line) = self.place(at);
        ProfileError::Senseless {
            file,
            line,
            profile: profile.to_owned(),
            what,
        }
    }

    /// The file and the line, from 1, of a position in the texts laid end to end.
    fn place(&self, at: usize) -> (String, usize) {
        let mut rest = at;
        for source in &self.sources {
            if rest < room(source) {
                return (source.file.to_owned(), line_of(source.text, rest));
            }
            rest -= room(source);
        }
        // Cannot happen: every position came from one of the texts.
        ("?".into(), 1)
    }
}

/// One more than the text has bytes: its end is not the start of the next.
fn room(source: &Source<'_>) -> usize {
    source.text.len() + 1
}

/// The line, from 1, of a position in a text.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let before = text.bytes().take(at);
    1 + before.filter(|byte| *byte == b'\n').count()
}
