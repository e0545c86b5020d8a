//! What the bank remembers: accounts, consents, payments, and the answers it gave.
//!
//! In: orders that passed every check. Out: what became of them. All in memory, each list capped; a full list refuses
//! the new one and forgets none. One lock around it all makes check, booking and remembered answer one step.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::money::{Cents, Iban};
use super::refused::{Code, Refused};

/// Consents remembered.
pub(super) const CONSENTS_MAX: usize = 100_000;
/// Payments remembered.
pub(super) const PAYMENTS_MAX: usize = 100_000;
/// Answers remembered for retries.
pub(super) const ANSWERS_MAX: usize = 100_000;
/// How long a retry gets the same answer.
pub(super) const RETRY_WINDOW_HOURS: i64 = 24;

/// An account of the pretend customer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The identifier in paths.
    pub id: String,
    /// The account number.
    pub iban: Iban,
    /// Three letters, ISO 4217.
    pub currency: String,
    /// The name of the account.
    pub name: String,
    /// What is on it.
    pub balance: Cents,
}

/// What a customer allowed a provider to see.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    pub(super) owner: String,
    pub(super) accounts: Reach,
    pub(super) balances: Reach,
    pub(super) recurring: bool,
    pub(super) frequency_per_day: u32,
    pub(super) valid_until: Date,
}

/// Which accounts a consent is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every account of the customer.
    All,
    /// These, maybe none.
    Only(Vec<String>),
}

impl Reach {
    pub(super) fn covers(&self, account: &Account) -> bool {
        match self {
            Self::All => true,
            Self::Only(ibans) => ibans.iter().any(|iban| iban == account.iban.as_str()),
        }
    }
}

/// An order to pay.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) owner: String,
    pub(super) debtor: Iban,
    pub(super) amount: Cents,
    pub(super) currency: String,
}

/// What became of a payment (ISO 20022 ExternalPaymentTransactionStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PaymentStatus {
    /// Booked on the debtor's account.
    Settled,
    /// There was not enough on it.
    Rejected,
}

impl PaymentStatus {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Settled => "ACSC",
            Self::Rejected => "RJCT",
        }
    }
}

/// The answer to a POST that made something.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Created {
    pub(super) location: String,
    pub(super) body: Value,
}

/// Who asked with which X-Request-ID.
pub(super) type RetryKey = (String, Uuid);

#[derive(Debug)]
struct Answer {
    fingerprint: [u8; 32],
    created: Created,
    at: Timestamp,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Books {
    accounts: Vec<Account>,
    consents: HashMap<Uuid, Consent>,
    payments: HashMap<Uuid, (Payment, PaymentStatus)>,
    answers: HashMap<RetryKey, Answer>,
}

impl Books {
    pub(super) fn new(accounts: Vec<Account>) -> Self {
        let (consents, payments, answers) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self {
            accounts,
            consents,
            payments,
            answers,
        }
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// A consent, for its owner only; a stranger's looks like none.
    pub(super) fn consent(&self, owner: &str, id: Uuid) -> Option<&Consent> {
        self.consents
            .get(&id)
            .filter(|consent| consent.owner == owner)
    }

    /// A payment's status, for its owner only; a stranger's looks like none.
    pub(super) fn payment(&self, owner: &str, id: Uuid) -> Option<PaymentStatus> {
        let (payment, status) = self.payments.get(&id)?;
        (payment.owner == owner).then_some(*status)
    }

    pub(super) fn add_consent(&mut self, consent: Consent) -> Result<Uuid, Refused> {
        room(self.consents.len(), CONSENTS_MAX, "consents")?;
        let id = Uuid::new_v4();
        self.consents.insert(id, consent);
        Ok(id)
    }

    /// Books a payment, or rejects it for want of money.
    pub(super) fn add_payment(&mut self, payment: Payment) -> Result<Uuid, Refused> {
        room(self.payments.len(), PAYMENTS_MAX, "payments")?;
        let account = self
            .accounts
            .iter_mut()
            .find(|account| account.iban == payment.debtor)
            .ok_or_else(|| Code::FormatError.because("debtorAccount is not of this bank"))?;
        if account.currency != payment.currency {
            let text = "instructedAmount is not in the currency of the debtor's account";
            return Err(Code::FormatError.because(text));
        }
        let status = match account.balance >= payment.amount {
            true => {
                account.balance = Cents(account.balance.0 - payment.amount.0);
                PaymentStatus::Settled
            }
            false => PaymentStatus::Rejected,
        };
        let id = Uuid::new_v4();
        self.payments.insert(id, (payment, status));
        Ok(id)
    }

    /// Does `make` once for a key. A retry with the same fingerprint gets the first answer again and nothing is made; a
    /// retry with another one is refused. Only successes are remembered: a refused request may be mended and sent again.
    pub(super) fn once(
        &mut self,
        key: RetryKey,
        fingerprint: [u8; 32],
        now: Timestamp,
        make: impl FnOnce(&mut Self) -> Result<Created, Refused>,
    ) -> Result<Created, Refused> {
        let window = SignedDuration::from_hours(RETRY_WINDOW_HOURS);
        let fresh = |answer: &Answer| now.duration_since(answer.at) < window;
        match self.answers.get(&key) {
            Some(answer) if fresh(answer) && answer.fingerprint == fingerprint => {
                return Ok(answer.created.clone());
            }
            Some(answer) if fresh(answer) => {
                let text = "X-Request-ID was used before, for a request with other content";
                return Err(Code::FormatError.because(text));
            }
            _ => {}
        }
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.retain(|_, answer| fresh(answer));
        }
        room(self.answers.len(), ANSWERS_MAX, "answers")?;
        let created = make(self)?;
        let answer = Answer {
            fingerprint,
            created: created.clone(),
            at: now,
        };
        self.answers.insert(key, answer);
        Ok(created)
    }
}

fn room(len: usize, max: usize, what: &str) -> Result<(), Refused> {
    match len < max {
        true => Ok(()),
        false => Err(Code::ServiceUnavailable.because(format!("the store of {what} is full"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn created(number: i64) -> Result<Created, Refused> {
        Ok(Created {
            location: "/".to_owned(),
            body: number.into(),
        })
    }

    fn key() -> RetryKey {
        ("PSDDE-BAFIN-1".to_owned(), Uuid::nil())
    }

    #[test]
    fn answers_a_retry_without_making_again() {
        let mut books = Books::new(Vec::new());
        books.once(key(), [1; 32], NOW, |_| created(1)).unwrap();
        let again = books.once(key(), [1; 32], NOW, |_| created(2)).unwrap();
        assert_eq!(again.body, 1);
    }

    #[test]
    fn refuses_a_changed_retry_until_the_window_ends() {
        let mut books = Books::new(Vec::new());
        books.once(key(), [1; 32], NOW, |_| created(1)).unwrap();
        let late = NOW + SignedDuration::from_hours(RETRY_WINDOW_HOURS);
        let just = late - SignedDuration::from_secs(1);
        let refused = books
            .once(key(), [2; 32], just, |_| created(2))
            .unwrap_err();
        assert_eq!(refused.code, Code::FormatError);
        assert_eq!(
            books
                .once(key(), [2; 32], late, |_| created(2))
                .unwrap()
                .body,
            2
        );
    }

    #[test]
    fn lets_a_refused_request_be_mended() {
        let mut books = Books::new(Vec::new());
        let refuse = |_: &mut Books| Err(Code::FormatError.because("no"));
        books.once(key(), [1; 32], NOW, refuse).unwrap_err();
        assert_eq!(
            books
                .once(key(), [2; 32], NOW, |_| created(2))
                .unwrap()
                .body,
            2
        );
    }

    #[test]
    fn keeps_providers_apart() {
        let mut books = Books::new(Vec::new());
        books.once(key(), [1; 32], NOW, |_| created(1)).unwrap();
        let other = ("PSDDE-BAFIN-2".to_owned(), Uuid::nil());
        assert_eq!(
            books
                .once(other, [2; 32], NOW, |_| created(2))
                .unwrap()
                .body,
            2
        );
    }

    #[test]
    fn refuses_when_a_store_is_full() {
        assert!(room(PAYMENTS_MAX - 1, PAYMENTS_MAX, "payments").is_ok());
        let refused = room(PAYMENTS_MAX, PAYMENTS_MAX, "payments").unwrap_err();
        assert_eq!(refused.code, Code::ServiceUnavailable);
    }
}
