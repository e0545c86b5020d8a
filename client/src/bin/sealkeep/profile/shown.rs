//! Profiles as tables and as JSON.
//!
//! In: checked profiles. Out: reports. Never: a profile without its confidence.

use crate::report::{Report, pairs, table};
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::{Catalog, Confidence, Operation, Profile, RequestIdForm, Vectors};
use serde_json::{Value, json};

/// All profiles, by name.
pub(super) fn list(catalog: &Catalog) -> Report {
    let row = |profile: &Profile| {
        [
            profile.name().to_owned(),
            profile.confidence().name().to_owned(),
            profile.required_settings().join(" "),
            profile.title().to_owned(),
        ]
    };
    let rows: Vec<_> = catalog.iter().map(row).collect();
    let json = catalog.iter().map(summary).collect::<Vec<_>>();
    Report::new(
        table(["PROFILE", "CONFIDENCE", "NEEDS", "TITLE"], rows),
        json!({ "profiles": json }),
    )
}

/// One profile.
pub(super) fn one(profile: &Profile) -> Report {
    let confidence = profile.confidence();
    let mut text = pairs(&[
        ("profile", profile.name().to_owned()),
        ("title", profile.title().to_owned()),
        (
            "confidence",
            format!("{} ({})", confidence.name(), meaning(confidence)),
        ),
        ("source", profile.source().to_owned()),
        ("extends", profile.extends().unwrap_or_default().to_owned()),
        (
            "body",
            says(
                profile.needs_body(),
                "signed itself",
                "its digest is enough",
            ),
        ),
        (
            "answers",
            says(
                profile.signs_responses(),
                "may be sealed by the bank",
                "are not signed",
            ),
        ),
        ("request id", request_id(profile)),
        ("fresh", freshness(profile)),
    ]);
    let settings: Vec<_> = profile
        .settings()
        .map(|(name, about)| {
            let need = says(is_required(profile, name), "yes", "no");
            [name.to_owned(), need, about.to_owned()]
        })
        .collect();
    if !settings.is_empty() {
        text.push('\n');
        text.push_str(&table(["SETTING", "NEEDED", "WHAT IT IS"], settings));
    }
    let example = example(profile);
    if let Some((name, prepared)) = &example {
        text.push_str(&example_text(name, prepared));
    }
    text.push('\n');
    text.push_str(&operations(profile.operations()));
    Report::new(text, detail(profile, example.as_ref()))
}

/// What it makes of the first of its vectors: carriers, fields, key id and algorithm as they are, whatever the format.
fn example(profile: &Profile) -> Option<(String, Prepared)> {
    let vectors = Vectors::from_source(Vectors::shipped_source(profile.name())?).ok()?;
    let vector = vectors.cases().first()?;
    Some((vector.name().to_owned(), vector.prepare(profile).ok()?))
}

fn example_text(name: &str, prepared: &Prepared) -> String {
    let rows = pairs(&[
        ("  algorithm", prepared.scheme().name().to_owned()),
        ("  covers", prepared.signed_fields().join(" ")),
        ("  key id", prepared.key_id().unwrap_or_default().to_owned()),
        ("  sets", set(prepared).join(" ")),
    ]);
    format!("\nfor example, {name}\n{rows}")
}

fn example_json((name, prepared): &(String, Prepared)) -> Value {
    json!({
        "name": name,
        "algorithm": prepared.scheme().name(),
        "signed_fields": prepared.signed_fields(),
        "key_id": prepared.key_id(),
        "sets": set(prepared),
    })
}

/// The names of the headers that signing sets.
fn set(prepared: &Prepared) -> Vec<String> {
    prepared
        .outline()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

fn operations(operations: &[Operation]) -> String {
    if operations.is_empty() {
        return "No operations: the service signs no HTTP request by this profile.\n".to_owned();
    }
    let row = |operation: &Operation| {
        [
            operation.name.clone(),
            role(operation).unwrap_or_else(|| "any".to_owned()),
            methods(operation).join(" "),
            operation.path().to_owned(),
        ]
    };
    let rows = operations.iter().map(row).collect();
    table(["OPERATION", "ROLE", "METHODS", "PATH"], rows)
}

fn says(yes: bool, is: &str, is_not: &str) -> String {
    if yes { is } else { is_not }.to_owned()
}

/// What a person should make of it.
fn meaning(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Specified => "a published specification says so",
        Confidence::Seen => "code that talked to the bank in production does so",
        Confidence::Unconfirmed => "neither specified nor seen; ask the bank",
    }
}

fn request_id(profile: &Profile) -> String {
    let form = |form| match form {
        RequestIdForm::Uuid => "a UUID",
        RequestIdForm::UuidWithoutDashes => "a UUID without dashes",
        RequestIdForm::UpTo40 => "at most 40 characters",
        RequestIdForm::Any => "any text",
    };
    profile.request_id().map_or_else(String::new, |id| {
        let need = if id.required { "required" } else { "optional" };
        format!("{}, {}, {need}", id.header, form(id.form))
    })
}

fn freshness(profile: &Profile) -> String {
    profile.freshness().map_or_else(String::new, |fresh| {
        format!(
            "{} within {} s of now",
            fresh.header, fresh.skew_seconds_max
        )
    })
}

fn is_required(profile: &Profile, setting: &str) -> bool {
    profile
        .required_settings()
        .iter()
        .any(|name| name == setting)
}

fn role(operation: &Operation) -> Option<String> {
    operation.role.map(|role| role.to_string())
}

fn methods(operation: &Operation) -> Vec<&'static str> {
    operation.methods().iter().map(|m| m.as_str()).collect()
}

fn summary(profile: &Profile) -> Value {
    json!({
        "name": profile.name(),
        "title": profile.title(),
        "confidence": profile.confidence().name(),
        "source": profile.source(),
        "extends": profile.extends(),
        "required_settings": profile.required_settings(),
    })
}

fn detail(profile: &Profile, example: Option<&(String, Prepared)>) -> Value {
    let setting = |(name, about): (&str, &str)| json!({ "name": name, "required": is_required(profile, name), "about": about });
    let operation = |operation: &Operation| {
        json!({
            "name": operation.name,
            "role": role(operation),
            "methods": methods(operation),
            "path": operation.path(),
        })
    };
    let request_id = profile.request_id();
    let request_id = request_id.map(|id| json!({ "header": id.header, "required": id.required }));
    let freshness = profile.freshness();
    let freshness =
        freshness.map(|f| json!({ "header": f.header, "skew_seconds_max": f.skew_seconds_max }));
    json!({
        "name": profile.name(),
        "title": profile.title(),
        "confidence": profile.confidence().name(),
        "source": profile.source(),
        "extends": profile.extends(),
        "needs_body": profile.needs_body(),
        "signs_responses": profile.signs_responses(),
        "request_id": request_id,
        "freshness": freshness,
        "settings": profile.settings().map(setting).collect::<Vec<_>>(),
        "example": example.map(example_json),
        "operations": profile.operations().iter().map(operation).collect::<Vec<_>>(),
    })
}
