//! A profile that extends another: what its file says, over what the extended files say.
//!
//! Comes in: every profile file of a catalogue. Goes out: one table a profile, merged, that still knows which file and line
//! said what. `extends = "name"` merges tables key by key and replaces arrays and values whole; `without = ["a.b"]` leaves
//! out what the extended profile has there. Who a profile is (`name`, `title`, `source`, `confidence`) is never inherited.
//! Never a cycle, never a parent that is not there.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ProfileError;

/// The longest profile file read, in bytes.
pub const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// The most profiles one may rest on, itself included.
pub(super) const EXTENDS_DEPTH_MAX: usize = 4;

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
        if text.len() > PROFILE_BYTES_MAX {
            return Err(ProfileError::TooLong {
                file: file.to_owned(),
                len: text.len(),
                max: PROFILE_BYTES_MAX,
            });
        }
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

/// Where the key is that a complaint begins with: `request.cavage.digest: ..`, as far as there is one.
pub(super) fn position_of(table: &Spanned<DeTable<'_>>, complaint: &str) -> usize {
    let mut at = table.span().start;
    let mut inside = Some(table.get_ref());
    let path = complaint.split(':').next().unwrap_or_default();
    for segment in path.split('.') {
        let key = segment.split(' ').next().unwrap_or_default();
        let Some((key, value)) = inside.and_then(|table| table.get_key_value(key)) else {
            break;
        };
        at = key.span().start;
        inside = value.get_ref().as_table();
    }
    at
}

/// Tables key by key; anything else whole.
fn overlay<'a>(under: &mut DeTable<'a>, over: &DeTable<'a>) {
    for (key, value) in over {
        let below = under.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
        if let (Some(DeValue::Table(below)), DeValue::Table(above)) = (below, value.get_ref()) {
            overlay(below, above);
            continue;
        }
        // Removed first, so that the key's place is that of the file which said it last.
        under.remove(key.get_ref().as_ref());
        under.insert(key.clone(), value.clone());
    }
}

/// A second format of one direction, in the same file or over that of the extended profile.
fn second_format(under: &DeTable<'_>, over: &DeTable<'_>) -> Option<(usize, String)> {
    for direction in ["request", "response"] {
        let formats = |table| {
            let formats = DeTable::get(table, direction)?.get_ref().as_table()?;
            let keys = formats.keys();
            Some(keys.map(|key| (key.span().start, key.get_ref().to_string())))
        };
        let above: Vec<_> = formats(over).into_iter().flatten().collect();
        let below = formats(under).and_then(|mut formats| formats.next());
        match (above.as_slice(), below) {
            ([(_, one), (at, other), ..], _) => {
                let what = format!("{direction}.{other}: there is `{direction}.{one}`, write one");
                return Some((*at, what));
            }
            ([(at, above)], Some((_, below))) if *above != below => {
                return Some((
                    *at,
                    format!(
                        "{direction}.{above}: the extended profile has `{direction}.{below}`; leave it out: \
                         without = [\"{direction}.{below}\"]"
                    ),
                ));
            }
            _ => {}
        }
    }
    None
}

/// Takes `a.b.c` out; false when it is not there.
fn leave_out(table: &mut DeTable<'_>, path: &str) -> bool {
    match path.split_once('.') {
        None => table.remove(path).is_some(),
        Some((first, rest)) => match table.get_mut(first).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => leave_out(inner, rest),
            _ => false,
        },
    }
}

/// The same table, its spans moved on by `offset`.
fn moved_table(table: Spanned<DeTable<'_>>, offset: usize) -> Spanned<DeTable<'_>> {
    moved(table, offset, |table| {
        let pairs = table.into_iter();
        pairs
            .map(|(key, value)| (moved(key, offset, |key| key), moved_value(value, offset)))
            .collect()
    })
}

fn moved_value(value: Spanned<DeValue<'_>>, offset: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    moved(value, offset, |value| match value {
        DeValue::Table(table) => {
            DeValue::Table(moved_table(Spanned::new(span, table), offset).into_inner())
        }
        DeValue::Array(array) => {
            let items = array.into_iter();
            DeValue::Array(items.map(|item| moved_value(item, offset)).collect())
        }
        scalar => scalar,
    })
}

fn moved<T>(value: Spanned<T>, offset: usize, inside: impl FnOnce(T) -> T) -> Spanned<T> {
    let span = value.span();
    Spanned::new(
        span.start + offset..span.end + offset,
        inside(value.into_inner()),
    )
}
