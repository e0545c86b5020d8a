//! What the facts about a token mean.
//!
//! In: what was seen ([`Examination`]) and what is known ([`Quirks`]). Out: findings with a stable code and a way out,
//! worst first, and whether the token can sign. Pure.

use std::collections::BTreeMap;

use sealkeep_profiles::format::jwe::KeyManagement;
use sealkeep_quirks::{Identity, Quirks, Severity};
use serde::Serialize;

use crate::backend::pkcs11::doctor::{AlgorithmFacts, Examination, KeyFacts, PointForm, Trial};

/// A search by id that takes longer is worth a word, microseconds.
const SEARCH_SLOW_US: u64 = 5_000;
/// A signature that takes longer is worth a word, microseconds.
const SIGNATURE_SLOW_US: u64 = 50_000;

/// What the doctor thinks.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// At least one kind of key signs by at least one scheme.
    pub signs: bool,
    /// What such modules are called, with the versions they are known by; empty for strangers.
    pub known_as: Vec<String>,
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// One thing to know about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it costs.
    pub severity: Severity,
    /// A word that stays: in capitals what was seen now, in small letters what is known of such modules.
    pub code: String,
    /// What is so.
    pub what: String,
    /// What Sealkeep does about it.
    pub so: Option<String>,
    /// What an operator can do.
    pub fix: Option<String>,
}

impl Diagnosis {
    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let such = self.findings.iter().filter(|it| it.severity == severity);
        such.count()
    }
}

/// Judges what was seen.
pub fn diagnose(seen: &Examination, quirks: &Quirks) -> Diagnosis {
    let identity = Identity {
        manufacturer: &seen.module.manufacturer,
        library: &seen.module.library,
        file: &seen.module.file,
    };
    let signs = signing(seen).any(|algorithm| algorithm.tried.works());
    let mut findings = Vec::new();
    if !signs {
        findings.push(cannot_sign(seen));
    }
    findings.extend(of_token(seen));
    findings.extend(of_keys(seen));
    findings.extend(of_import(seen));
    findings.extend(of_protection(seen));
    findings.extend(of_algorithms(seen));
    findings.extend(quirks.of(identity).map(|quirk| Finding {
        severity: quirk.severity,
        code: quirk.id.clone(),
        what: quirk.does.clone(),
        so: Some(quirk.so.clone()),
        fix: quirk.fix.clone(),
    }));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Diagnosis {
        signs,
        known_as: quirks.names(identity),
        findings,
    }
}

/// Everything that was tried with keys that sign.
fn signing(seen: &Examination) -> impl Iterator<Item = &AlgorithmFacts> {
    let keys = seen.keys.iter().filter(|key| key.usage == "sign");
    keys.flat_map(|key| &key.algorithms)
}

fn finding(severity: Severity, code: &str, what: impl Into<String>) -> Finding {
    Finding {
        severity,
        code: code.to_owned(),
        what: what.into(),
        so: None,
        fix: None,
    }
}

impl Finding {
    fn so(mut self, so: &str) -> Self {
        self.so = Some(so.to_owned());
        self
    }

    fn fix(mut self, fix: &str) -> Self {
        self.fix = Some(fix.to_owned());
        self
    }
}

fn cannot_sign(seen: &Examination) -> Finding {
    let what = "no test key could be made that signs";
    let it = finding(Severity::Unsafe, "CANNOT_SIGN", what);
    match seen.token.write_protected {
        true => it.fix("the token is write-protected: log in as a user who may make keys"),
        false => it.fix("ask the vendor for CKM_ECDSA with P-256, or CKM_RSA_PKCS with RSA-2048, for this user; the answers are above"),
    }
}

fn of_token(seen: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sessions = &seen.sessions;
    if sessions.opened < sessions.wanted {
        let what = format!(
            "{} of {} sessions could be opened",
            sessions.opened, sessions.wanted
        );
        findings.push(
            finding(Severity::Degraded, "SESSIONS_FEWER", what)
                .so("the service signs with those it gets")
                .fix("lower token.session_count, or raise the limit of the token"),
        );
    }
    if seen.token.pin_count_low {
        findings.push(
            finding(
                Severity::Degraded,
                "PIN_COUNT_LOW",
                "a wrong PIN was tried since the last login",
            )
            .so("the service tries a wrong PIN once and never again")
            .fix("find out who tried"),
        );
    }
    if seen.search.by_id_us > SEARCH_SLOW_US {
        let what = format!(
            "a search takes {:.1} ms among {} private keys",
            seen.search.by_id_us as f64 / 1e3,
            seen.search.private_keys
        );
        findings.push(finding(Severity::Note, "SEARCH_SLOW", what).so(
            "nothing is searched for a signature; start and recovery find all keys in one pass",
        ));
    }
    findings
}

fn of_keys(seen: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    let missing = seen
        .keys
        .iter()
        .filter(|key| matches!(key.made, Trial::Lacks { .. }));
    let missing: Vec<_> = missing.map(kind).collect();
    if !missing.is_empty() {
        let kinds = missing.join(", ");
        findings.push(
            finding(
                Severity::Note,
                "KEYS_NOT_OFFERED",
                format!("not made by this token: {kinds}"),
            )
            .so("enrolling such a key is refused with KEY_SPEC_UNSUPPORTED"),
        );
    }
    let mut failing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for key in &seen.keys {
        if let Trial::Fails { said } = &key.made {
            failing.entry(said).or_default().push(kind(key));
        }
    }
    findings.extend(failing.into_iter().map(|(said, kinds)| {
        let what = format!("{}: {said}", kinds.join(", "));
        finding(Severity::Degraded, "KEY_FAILS", what)
            .fix("enrol another kind of key, or show this line to the vendor")
    }));
    findings
}

/// An import is a way out for keys that cannot be had anew; most tokens never need it.
fn of_import(seen: &Examination) -> Option<Finding> {
    let (Trial::Lacks { said } | Trial::Fails { said }) = &seen.import else {
        return None;
    };
    let what = format!("a key from outside does not come in: {said}");
    let it = finding(Severity::Note, "IMPORT_FAILS", what);
    Some(it.so("`sealkeepd key import` fails and leaves nothing behind"))
}

/// What the token says about the keys it made.
fn of_protection(seen: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    let readable: Vec<_> = seen
        .keys
        .iter()
        .filter(|key| key.evidence.is_some_and(|it| !it.is_protected()))
        .map(kind)
        .collect();
    if !readable.is_empty() {
        let kinds = readable.join(", ");
        findings.push(
            finding(
                Severity::Unsafe,
                "KEY_UNPROTECTED",
                format!("the token says of these that they can be read: {kinds}"),
            )
            .fix("do not use the token"),
        );
    }
    let limits = |key: &KeyFacts| key.evidence.map(|it| it.limits).unwrap_or_default();
    let told: Vec<_> = seen.keys.iter().filter(|key| key.made.works()).collect();
    if told
        .iter()
        .any(|key| !key.evidence.is_some_and(|it| it.local))
    {
        findings.push(
            finding(
                Severity::Note,
                "EVIDENCE_NOT_LOCAL",
                "CKA_LOCAL of keys that were made here is not true",
            )
            .so("how a key came is kept by the service; `sealkeep key attest` shows both"),
        );
    }
    if told.iter().any(|key| limits(key).mechanisms != Some(true)) {
        findings.push(
            finding(
                Severity::Note,
                "MECHANISMS_NOT_LIMITED",
                "keys carry no CKA_ALLOWED_MECHANISMS",
            )
            .so("the mechanism is chosen by the service alone"),
        );
    }
    if told
        .iter()
        .any(|key| key.allowed_mechanisms_enforced == Some(false))
    {
        findings.push(
            finding(
                Severity::Degraded,
                "MECHANISMS_NOT_ENFORCED",
                "a key signed by a mechanism that its CKA_ALLOWED_MECHANISMS leaves out",
            )
            .so("the mechanism is chosen by the service alone")
            .fix("give the PIN to nobody but the service"),
        );
    }
    if told.iter().any(|key| limits(key).modifiable == Some(true)) {
        findings.push(
            finding(
                Severity::Note,
                "KEYS_MODIFIABLE",
                "CKA_MODIFIABLE could not be set to false",
            )
            .so("a key is known by its public key, not by its attributes"),
        );
    }
    if told.iter().any(|key| key.ec_point == Some(PointForm::Bare)) {
        findings.push(
            finding(
                Severity::Note,
                "EC_POINT_BARE",
                "CKA_EC_POINT is not wrapped in an OCTET STRING",
            )
            .so("both forms are read"),
        );
    }
    findings
}

fn of_algorithms(seen: &Examination) -> Vec<Finding> {
    // RSA is tried in three lengths: one line for each algorithm.
    let mut missing: BTreeMap<&str, (&KeyFacts, &Trial)> = BTreeMap::new();
    let mut slow: BTreeMap<String, u64> = BTreeMap::new();
    for key in &seen.keys {
        for algorithm in &key.algorithms {
            match &algorithm.tried {
                Trial::Works { us } if *us > SIGNATURE_SLOW_US => {
                    let slowest = slow.entry(kind(key)).or_default();
                    *slowest = (*slowest).max(*us);
                }
                Trial::Works { .. } => {}
                trial => {
                    missing.entry(algorithm.name).or_insert((key, trial));
                }
            }
        }
    }
    let missing = missing.into_iter().map(|(name, (key, trial))| {
        let (code, said) = match trial {
            Trial::Fails { said } => ("ALGORITHM_FAILS", said.as_str()),
            Trial::Lacks { said } => ("ALGORITHM_NOT_OFFERED", said.as_str()),
            Trial::Works { .. } => ("ALGORITHM_NOT_OFFERED", ""),
        };
        finding(
            Severity::Degraded,
            code,
            format!("{name} with {}: {said}", kind(key)),
        )
        .so("it is refused with SCHEME_UNSUPPORTED")
        .fix(instead_of(name))
    });
    let slow = slow.into_iter().map(|(kind, us)| {
        finding(
            Severity::Note,
            "SIGNATURE_SLOW",
            format!("a signature with {kind} took {} ms", us / 1_000),
        )
        .so("signatures queue; the queue is bounded by token.queue_length_max")
    });
    missing.chain(slow).collect()
}

/// What to use where an algorithm is missing.
fn instead_of(algorithm: &str) -> &'static str {
    match algorithm {
        name if name.starts_with("rsa-pss") => {
            "use elliptic-curve keys for banks that want PSS, and for TLS 1.3"
        }
        name if name == KeyManagement::RsaOaep256.name() => {
            "give banks RSA-OAEP, or an elliptic-curve key for ECDH-ES"
        }
        name if name == KeyManagement::RsaOaep.name() => {
            "give banks an elliptic-curve key for ECDH-ES"
        }
        _ => "enrol another kind of key",
    }
}

fn kind(key: &KeyFacts) -> String {
    match key.usage {
        "sign" => key.key.clone(),
        usage => format!("{} ({usage})", key.key),
    }
}

#[cfg(test)]
mod tests;
