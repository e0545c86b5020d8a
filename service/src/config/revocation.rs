//! How issuers are asked what is revoked: the tables, as they are written.

use http::uri::Authority;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::credential::revocation::{
    self, EnvironmentRules, RevocationRules, Revocations, WhenUnknown,
};

/// `[revocation]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationConfig {
    /// The HTTP proxy through which QTSPs are reached, `http://host:port`; directly when absent.
    pub proxy: Option<String>,
    /// How often every certificate in use is asked about, seconds.
    pub interval_s: u32,
    /// For sandbox certificates.
    pub sandbox: RevocationEnvironmentConfig,
    /// For production certificates.
    pub production: RevocationEnvironmentConfig,
}

/// `[revocation.sandbox]` and `[revocation.production]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationEnvironmentConfig {
    /// What activation does when nobody says whether a certificate is revoked.
    pub when_unknown: WhenUnknown,
    /// How long the last word counts when no newer one comes, seconds.
    pub age_s_max: u32,
}

impl Default for RevocationConfig {
    fn default() -> Self {
        Self {
            proxy: None,
            interval_s: revocation::INTERVAL_DEFAULT_S,
            sandbox: RevocationEnvironmentConfig::default(),
            production: RevocationEnvironmentConfig::default(),
        }
    }
}

impl Default for RevocationEnvironmentConfig {
    fn default() -> Self {
        Self {
            when_unknown: WhenUnknown::default(),
            age_s_max: revocation::AGE_DEFAULT_S,
        }
    }
}

impl RevocationConfig {
    /// The proxy; an error when the URL is none.
    pub(super) fn proxy(&self) -> Result<Option<Authority>, ()> {
        let Some(url) = &self.proxy else {
            return Ok(None);
        };
        let url: http::Uri = url.parse().map_err(drop)?;
        let plain = url.scheme_str() == Some("http") && matches!(url.path(), "" | "/");
        match url.authority() {
            Some(at) if plain && at.port().is_some() && !at.as_str().contains('@') => {
                Ok(Some(at.clone()))
            }
            _ => Err(()),
        }
    }

    /// What the tables say, in force.
    pub fn revocations(&self) -> Revocations {
        // Cannot fail: the proxy was checked when the file was read.
        let proxy = self.proxy().unwrap_or_default();
        Revocations::new(self.rules(), proxy)
    }

    fn rules(&self) -> RevocationRules {
        let environment = |config: &RevocationEnvironmentConfig| EnvironmentRules {
            when_unknown: config.when_unknown,
            age_max: SignedDuration::from_secs(config.age_s_max.into()),
        };
        RevocationRules {
            interval: SignedDuration::from_secs(self.interval_s.into()),
            sandbox: environment(&self.sandbox),
            production: environment(&self.production),
        }
    }
}
