//! The token by itself: the yardstick of `sealkeep bench`.
//!
//! In: a configuration, a scheme, threads, a duration. Out: a line of JSON. Works beside a running service: it opens the
//! token, not the store, and signs with a key that it makes and destroys.

use std::time::Duration;

use sealkeep_profiles::algorithm::SignatureScheme;
use serde_json::json;

use crate::backend::pkcs11::{Pkcs11Backend, raw_sign_loop};
use crate::backend::{BackendError, KeyBackend, KeyId, KeySpec, KeyUsage};
use crate::config::Config;
use crate::run::RunError;
use crate::{clock, pin};

/// How long making the key may take, seconds.
const GENERATE_TIMEOUT_S: u64 = 60;

/// Measures and reports.
pub async fn run(
    config: &Config,
    token: Option<&str>,
    algorithm: &str,
    threads: u16,
    duration: Duration,
) -> Result<String, RunError> {
    let scheme = SignatureScheme::ALL
        .into_iter()
        .find(|scheme| scheme.name() == algorithm);
    let scheme = scheme.ok_or_else(|| BackendError::ConfigInvalid {
        field: "algorithm".into(),
        rule: SignatureScheme::ALL.map(SignatureScheme::name).join(", "),
    })?;
    let spec = [
        KeySpec::Rsa { bits: 2048 },
        KeySpec::EcP256,
        KeySpec::EcP384,
        KeySpec::EcP521,
        KeySpec::Ed25519,
    ];
    let spec = spec.into_iter().find(|spec| scheme.fits(&spec.key_type()));
    let spec = spec.ok_or_else(|| BackendError::SpecUnsupported(algorithm.to_owned()))?;
    let token = config.token(token)?;
    let pin = pin::read(token, None)?;
    let backend = Pkcs11Backend::start(config.pkcs11(token), pin, config.pin_marker(token))?;
    let deadline = clock::monotonic() + Duration::from_secs(GENERATE_TIMEOUT_S);
    let key = backend
        .generate(
            KeyId::random(),
            "bench-token",
            spec,
            KeyUsage::Sign,
            deadline,
        )
        .await?
        .key;
    let measured = raw_sign_loop(&backend, &key, scheme, threads, duration);
    let deadline = clock::monotonic() + Duration::from_secs(GENERATE_TIMEOUT_S);
    backend.destroy(&key, deadline).await?;
    let measured = measured?;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let report = json!({
        "algorithm": algorithm,
        "threads": threads,
        "per_s": measured.per_second(),
        "p50_us": micros(measured.p50),
        "p99_us": micros(measured.p99),
        "cpu_us": measured.cpu.map(|cpu| micros(cpu) / measured.signatures.max(1) as f64),
    });
    Ok(report.to_string())
}
