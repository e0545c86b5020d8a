//! The doctor's report, for people.

use std::fmt::Write;

use sealkeep_quirks::Severity;

use super::{Diagnosis, Finding};
use crate::backend::pkcs11::doctor::{Examination, KeyFacts, Trial};

/// The report as text: the token, what each kind of key does, what to know, the verdict.
pub(super) fn text(seen: &Examination, diagnosis: &Diagnosis) -> String {
    let mut text = head(seen, diagnosis);
    let (width, use_width) = (10, 8);
    let _ = writeln!(
        text,
        "\n{:width$}{:use_width$}{:>9}  DOES",
        "KEY", "FOR", "MADE IN"
    );
    for key in &seen.keys {
        let made = match key.made {
            Trial::Works { us } => duration(us),
            _ => "-".to_owned(),
        };
        let does = does(key);
        let _ = writeln!(
            text,
            "{:width$}{:use_width$}{made:>9}  {does}",
            key.key, key.usage
        );
    }
    let import = match &seen.import {
        Trial::Works { us } => format!("works, in {}", duration(*us)),
        Trial::Lacks { said } | Trial::Fails { said } => format!("does not work: {said}"),
    };
    let _ = writeln!(text, "\nimport    ec-p256 from outside {import}");
    for finding in &diagnosis.findings {
        text.push('\n');
        text.push_str(&paragraph(finding));
    }
    let _ = writeln!(text, "\n{}", verdict(diagnosis));
    text
}

fn head(seen: &Examination, diagnosis: &Diagnosis) -> String {
    let (module, token, sessions) = (&seen.module, &seen.token, &seen.sessions);
    let known = match diagnosis.known_as.as_slice() {
        [] => "not in the table of quirks".to_owned(),
        names => format!("known as {}", names.join(", ")),
    };
    let told = match sessions.told_max {
        Some(max) => format!("the token tells of {max} at most"),
        None => "no limit told".to_owned(),
    };
    format!(
        "module    {}\n          {}, {} {} (PKCS#11 {}); {known}\n\
         token     {} (serial {}), {} {}, firmware {}\n\
         sessions  {} of {} opened; {told}\n\
         search    {} private keys, one by its id in {}\n",
        module.path,
        module.manufacturer,
        module.library,
        module.library_version,
        module.cryptoki_version,
        token.label,
        token.serial,
        token.manufacturer,
        token.model,
        token.firmware,
        sessions.opened,
        sessions.wanted,
        seen.search.private_keys,
        duration(seen.search.by_id_us),
    )
}

/// What works, with what does not after it.
fn does(key: &KeyFacts) -> String {
    if let Trial::Lacks { said } | Trial::Fails { said } = &key.made {
        return format!("nothing: {said}");
    }
    let word = |works: bool| {
        let such = key.algorithms.iter().filter(|it| it.tried.works() == works);
        let names: Vec<_> = such.map(|it| it.name).collect();
        names.join(" ")
    };
    match (word(true), word(false)) {
        (works, not) if not.is_empty() => works,
        (works, not) => format!("{works}  NOT: {not}"),
    }
}

fn paragraph(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Note => "note",
        Severity::Degraded => "DEGRADED",
        Severity::Unsafe => "UNSAFE",
    };
    let mut text = format!("{word:<10}{}\n          {}\n", finding.code, finding.what);
    if let Some(so) = &finding.so {
        let _ = writeln!(text, "          so: {so}");
    }
    if let Some(fix) = &finding.fix {
        let _ = writeln!(text, "          way out: {fix}");
    }
    text
}

fn verdict(diagnosis: &Diagnosis) -> String {
    let counts = format!(
        "{} unsafe, {} degraded, {} notes",
        diagnosis.count(Severity::Unsafe),
        diagnosis.count(Severity::Degraded),
        diagnosis.count(Severity::Note)
    );
    match diagnosis.signs {
        true => format!("the token signs; {counts}"),
        false => format!("THE TOKEN DOES NOT SIGN; {counts}"),
    }
}

fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}
