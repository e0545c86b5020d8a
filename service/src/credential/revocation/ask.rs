//! One certificate, and everybody whom it names.
//!
//! In: a certificate, its issuer, the time. Out: the first signed word that decides, and what each of those asked had to
//! say. Responders come first: they are small and new. A responder that does not know the certificate does not decide, so
//! the lists are asked too. Within one round nobody is asked twice for the same list, nor again who was not there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use sealkeep_profiles::certificate::Certificate;
use tokio::sync::OnceCell;

use super::crl::Crl;
use super::fetch::{Fetcher, failure};
use super::location::Locations;
use super::ocsp::{NONCE_BYTES, Question};
use super::{Skipped, Unproven};
use crate::domain::{Failure, RevocationSource, RevocationStatus, Statement};

/// One of those who were asked.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Responder or list.
    pub source: RevocationSource,
    /// Where.
    pub url: String,
    /// What it said, or why that counts for nothing.
    pub outcome: Result<Statement, Failure>,
}

/// What came of asking about one certificate.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The word that decides, or why there is none.
    pub outcome: Result<Statement, Failure>,
    /// Everybody who was asked, in order.
    pub attempts: Vec<Attempt>,
    /// Whom it names and who cannot be asked.
    pub skipped: Vec<Skipped>,
}

impl Asked {
    /// Nobody could be asked.
    pub(super) fn nobody(reason: &str, detail: &str) -> Self {
        Self {
            outcome: Err(failure(reason, detail.to_owned())),
            attempts: Vec::new(),
            skipped: Vec::new(),
        }
    }
}

/// The reason word for a certificate that names nobody who can be asked.
pub(crate) const NO_SOURCE: &str = "NO_SOURCE";

type List = Arc<OnceCell<Result<Arc<Crl>, Failure>>>;

/// One round of questions at one time.
pub(super) struct Round {
    fetcher: Fetcher,
    now: Timestamp,
    /// By URL and the issuer's fingerprint.
    lists: Mutex<HashMap<(String, [u8; 32]), List>>,
    /// Hosts that were not there.
    away: Mutex<HashMap<String, Failure>>,
}

impl Round {
    pub(super) fn new(fetcher: Fetcher, now: Timestamp) -> Self {
        Self {
            fetcher,
            now,
            lists: Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// Asks until somebody says good or revoked.
    pub(super) async fn ask(&self, certificate: &Certificate, issuer: &Certificate) -> Asked {
        let places = Locations::of(certificate);
        let mut asked = Asked::nobody(NO_SOURCE, "it names neither a responder nor a list");
        asked.skipped.clone_from(&places.skipped);
        let responders = places.ocsp.iter().map(|uri| (RevocationSource::Ocsp, uri));
        let lists = places.crl.iter().map(|uri| (RevocationSource::Crl, uri));
        for (source, uri) in responders.chain(lists) {
            let outcome = match source {
                RevocationSource::Ocsp => self.responder(uri, certificate, issuer).await,
                RevocationSource::Crl => {
                    let points = &places.points;
                    self.list(uri, certificate, issuer, points).await
                }
            };
            let decided = outcome
                .as_ref()
                .is_ok_and(|said| said.status != RevocationStatus::Unknown);
            asked.attempts.push(Attempt {
                source,
                url: uri.to_string(),
                outcome,
            });
            if decided {
                break;
            }
        }
        if let Some(outcome) = outcome(&asked.attempts) {
            asked.outcome = outcome;
        }
        asked
    }

    async fn responder(
        &self,
        uri: &Uri,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Statement, Failure> {
        let mut nonce = [0; NONCE_BYTES];
        let random = SystemRandom::new().fill(&mut nonce);
        random.map_err(|_| failure("NO_RANDOMNESS", "the system gives none".to_owned()))?;
        let question = Question::new(certificate, issuer, nonce).map_err(unproven)?;
        let request = question.to_der().map_err(unproven)?;
        self.unless_away(uri)?;
        let answer = self.fetcher.ask(uri, request).await;
        let answer = self.remembering(uri, answer)?;
        question.answer(&answer, self.now).map_err(unproven)
    }

    async fn list(
        &self,
        uri: &Uri,
        certificate: &Certificate,
        issuer: &Certificate,
        points: &[String],
    ) -> Result<Statement, Failure> {
        let key = (uri.to_string(), issuer.sha256());
        let cell = {
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            lists.entry(key).or_default().clone()
        };
        let read = async {
            self.unless_away(uri)?;
            let bytes = self.fetcher.list(uri).await;
            let bytes = self.remembering(uri, bytes)?;
            let issuer = issuer.clone();
            aside(move || Crl::read(bytes, &issuer).map(Arc::new)).await
        };
        let list = cell.get_or_init(|| read).await.clone()?;
        let (certificate, points, now) = (certificate.clone(), points.to_vec(), self.now);
        aside(move || list.statement(&certificate, &points, now)).await
    }

    fn unless_away(&self, uri: &Uri) -> Result<(), Failure> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match away.get(host(uri)) {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    fn remembering(
        &self,
        uri: &Uri,
        fetched: Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Failure> {
        if let Err(failure) = &fetched
            && matches!(failure.reason.as_str(), "UNREACHABLE" | "TIMED_OUT")
        {
            let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
            away.insert(host(uri).to_owned(), failure.clone());
        }
        fetched
    }
}

/// Megabytes are hashed and searched beside the threads that answer callers.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Unproven> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| failure("BROKEN_OFF", error.to_string()))?;
    done.map_err(unproven)
}

/// A word that decides, else that nobody knows it, else why nobody said anything; none when nobody was asked.
fn outcome(attempts: &[Attempt]) -> Option<Result<Statement, Failure>> {
    let mut said = attempts.iter().filter_map(|one| one.outcome.as_ref().ok());
    // The last word is the one that ended the asking, if any did.
    if let Some(last) = said.next_back() {
        return Some(Ok(last.clone()));
    }
    let failed = || {
        attempts
            .iter()
            .filter_map(|one| Some((one, one.outcome.as_ref().err()?)))
    };
    let (_, first) = failed().next()?;
    let words = failed().map(|(one, failure)| format!("{}: {}", one.url, failure.detail));
    let detail = words.collect::<Vec<_>>().join("; ");
    let reason = first.reason.clone();
    Some(Err(Failure { reason, detail }))
}

fn host(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

fn unproven(error: Unproven) -> Failure {
    failure(error.reason(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(source: RevocationSource, heard: Result<RevocationStatus, &str>) -> Attempt {
        let outcome = heard.map(|status| Statement {
            source,
            status,
            this_update: Timestamp::UNIX_EPOCH,
            next_update: None,
        });
        Attempt {
            source,
            url: "http://qtsp.example".to_owned(),
            outcome: outcome.map_err(|reason| failure(reason, reason.to_lowercase())),
        }
    }

    #[test]
    fn the_word_that_decides_is_the_last_one_heard() {
        use RevocationSource::{Crl, Ocsp};
        use RevocationStatus::{Good, Unknown};
        let (away, late) = (Err("UNREACHABLE"), Err("TIMED_OUT"));
        for (heard, wanted) in [
            (vec![], "nobody"),
            (vec![(Ocsp, Ok(Good))], "ocsp good"),
            (vec![(Ocsp, away), (Crl, Ok(Good))], "crl good"),
            (vec![(Ocsp, Ok(Unknown)), (Crl, Ok(Good))], "crl good"),
            (vec![(Ocsp, Ok(Unknown)), (Crl, late)], "ocsp unknown"),
            (
                vec![(Ocsp, away), (Crl, late)],
                "UNREACHABLE http://qtsp.example: unreachable; http://qtsp.example: timed_out",
            ),
        ] {
            let attempts: Vec<_> = heard.into_iter().map(|(s, h)| attempt(s, h)).collect();
            let found = match outcome(&attempts) {
                None => "nobody".to_owned(),
                Some(Ok(said)) => format!("{} {}", said.source.as_str(), said.status.as_str()),
                Some(Err(failure)) => format!("{} {}", failure.reason, failure.detail),
            };
            assert_eq!(found, wanted);
        }
    }
}
