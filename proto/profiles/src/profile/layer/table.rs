//! Tables that know where each key was written.
//!
//! Comes in: parsed TOML with its spans. Goes out: the same with other spans, one table over another, or the place of a key.
//! Never loses a place: of two files, the one that said a thing last is the one an error names.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where the key is that a complaint begins with: `request.cavage.digest: ..`, as far as there is one.
pub(in crate::profile) fn position_of(table: &Spanned<DeTable<'_>>, complaint: &str) -> usize {
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
pub(super) fn overlay<'a>(under: &mut DeTable<'a>, over: &DeTable<'a>) {
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
pub(super) fn second_format(under: &DeTable<'_>, over: &DeTable<'_>) -> Option<(usize, String)> {
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
pub(super) fn leave_out(table: &mut DeTable<'_>, path: &str) -> bool {
    match path.split_once('.') {
        None => table.remove(path).is_some(),
        Some((first, rest)) => match table.get_mut(first).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => leave_out(inner, rest),
            _ => false,
        },
    }
}

/// The same table, its spans moved on by `offset`.
pub(super) fn moved_table(table: Spanned<DeTable<'_>>, offset: usize) -> Spanned<DeTable<'_>> {
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
