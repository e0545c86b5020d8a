//! What TOML cannot say: ranges, and what must not stand beside what.

use super::{Config, token};

/// Receivers of alerts, at most.
const WEBHOOKS_MAX: usize = 16;
/// URLs of a publication, at most.
const URLS_MAX: usize = 16;

impl Config {
    /// The first key whose value cannot be, and what it must be.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        token::check(&self.tokens)?;
        if self.store.sqlite_file.is_some() == self.store.postgres.is_some() {
            return Err((
                "store.sqlite_file",
                "give sqlite_file or a table [store.postgres], one of them",
            ));
        }
        if let Some(publication) = &self.publication
            && !(1..=URLS_MAX).contains(&publication.urls.len())
        {
            return Err(("publication.urls", "1 to 16"));
        }
        let webhooks = &self.watch.webhook;
        if webhooks.len() > WEBHOOKS_MAX {
            return Err(("watch.webhook", "at most 16"));
        }
        for (at, webhook) in webhooks.iter().enumerate() {
            let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if !(1..=63).contains(&webhook.name.len()) || !webhook.name.bytes().all(is_name) {
                return Err(("watch.webhook.name", "1 to 63 of a-z, 0-9 and hyphens"));
            }
            if webhook.name == "log" || webhooks[..at].iter().any(|w| w.name == webhook.name) {
                return Err((
                    "watch.webhook.name",
                    "each its own, and none `log`: what was delivered is remembered by it",
                ));
            }
        }
        if self
            .runtime
            .worker_threads
            .is_some_and(|count| !(1..=64).contains(&count))
        {
            return Err(("runtime.worker_threads", "1 to 64"));
        }
        if !(1..=300).contains(&self.runtime.drain_timeout_s) {
            return Err(("runtime.drain_timeout_s", "1 to 300"));
        }
        for (at, enroller) in self.enroller.iter().enumerate() {
            if self.enroller[..at]
                .iter()
                .any(|other| other.name() == enroller.name())
            {
                return Err(("enroller.name", "each name once"));
            }
            enroller.check()?;
        }
        if !(1..=3_650).contains(&self.watch.secret_days_max) {
            return Err(("watch.secret_days_max", "1 to 3650"));
        }
        let revocation = &self.revocation;
        if revocation.proxy().is_err() {
            return Err(("revocation.proxy", "http://host:port"));
        }
        if !(1..=7 * 86_400).contains(&revocation.interval_s) {
            return Err(("revocation.interval_s", "1 to 604800"));
        }
        let ages = [&revocation.sandbox, &revocation.production];
        if !ages
            .iter()
            .all(|one| (1..=90 * 86_400).contains(&one.age_s_max))
        {
            return Err(("revocation.age_s_max", "1 to 7776000"));
        }
        if !(60..=86_400).contains(&self.approval.expiry_s) {
            return Err(("approval.expiry_s", "60 to 86400"));
        }
        if !(1..=30 * 86_400).contains(&self.approval.destroy_delay_s) {
            return Err(("approval.destroy_delay_s", "1 to 2592000"));
        }
        Ok(())
    }
}
