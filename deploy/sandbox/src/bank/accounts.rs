//! Account information: consents, accounts, balances.
//!
//! In: an admitted call. Out: JSON of the interface. The pretend customer approves every consent at once, so a consent
//! is `received` in the first answer and `valid` from then on. Serves NextGenPSD2 XS2A 1.3.x, AIS.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::House;
use super::books::{Account, Books, Consent, Created, Reach};
use super::gate::{Call, Service};
use super::money::Iban;
use super::refused::{Code, Refused};

/// Accounts one consent may name.
const CONSENT_ACCOUNTS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsentOrder {
    access: Access,
    recurring_indicator: bool,
    #[serde(deserialize_with = "date")]
    valid_until: Date,
    frequency_per_day: u32,
    #[serde(default)]
    combined_service_indicator: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Access {
    accounts: Option<Vec<AccountReference>>,
    balances: Option<Vec<AccountReference>>,
    all_psd2: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountReference {
    iban: Iban,
}

pub(super) async fn create_consent(
    State(house): State<Arc<House>>,
    request: Request,
) -> Result<Response, Refused> {
    let call = house.admit(request, Service::Accounts).await?;
    let order: ConsentOrder = call.json()?;
    if order.combined_service_indicator {
        let text = "combinedServiceIndicator is not offered";
        return Err(Code::FormatError.because(text));
    }
    if order.frequency_per_day == 0 {
        return Err(Code::FormatError.because("frequencyPerDay is at least 1"));
    }
    if order.valid_until < today(&call) {
        return Err(Code::FormatError.because("validUntil is in the past"));
    }
    let (accounts, balances) = reach(order.access)?;
    let consent = Consent {
        owner: call.organization().to_owned(),
        accounts,
        balances,
        recurring: order.recurring_indicator,
        frequency_per_day: order.frequency_per_day,
        valid_until: order.valid_until,
    };
    let created = house.once(&call, |books| {
        let id = books.add_consent(consent)?;
        let location = format!("/v1/consents/{id}");
        let body = json!({
            "consentStatus": "received",
            "consentId": id.to_string(),
            "_links": { "self": { "href": location }, "status": { "href": location } },
        });
        Ok(Created { location, body })
    })?;
    Ok(created.into_response())
}

pub(super) async fn read_consent(
    State(house): State<Arc<House>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let call = house.admit(request, Service::Accounts).await?;
    let books = house.books();
    let consent = Uuid::try_parse(&id)
        .ok()
        .and_then(|id| books.consent(call.organization(), id))
        .ok_or_else(|| Code::ConsentUnknown.because("no such consent of this provider"))?;
    let status = if consent.valid_until < today(&call) {
        "expired"
    } else {
        "valid"
    };
    let body = json!({
        "access": { "accounts": listed(&consent.accounts), "balances": listed(&consent.balances) },
        "recurringIndicator": consent.recurring,
        "validUntil": consent.valid_until.to_string(),
        "frequencyPerDay": consent.frequency_per_day,
        "consentStatus": status,
    });
    Ok(Json(body).into_response())
}

pub(super) async fn list_accounts(
    State(house): State<Arc<House>>,
    request: Request,
) -> Result<Response, Refused> {
    let call = house.admit(request, Service::Accounts).await?;
    let books = house.books();
    let consent = consent(&books, &call)?;
    let seen = |account: &&Account| consent.accounts.covers(account);
    let accounts: Vec<_> = books
        .accounts()
        .iter()
        .filter(seen)
        .map(described)
        .collect();
    Ok(Json(json!({ "accounts": accounts })).into_response())
}

pub(super) async fn read_balances(
    State(house): State<Arc<House>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let call = house.admit(request, Service::Accounts).await?;
    let books = house.books();
    let consent = consent(&books, &call)?;
    let account = books
        .accounts()
        .iter()
        .find(|account| account.id == id)
        .ok_or_else(|| Code::ResourceUnknown.because("no such account"))?;
    if !consent.balances.covers(account) {
        let text = "the consent does not cover the balances of this account";
        return Err(Code::ConsentInvalid.because(text));
    }
    let amount = json!({ "currency": account.currency, "amount": account.balance });
    let balance = json!({ "balanceType": "interimAvailable", "balanceAmount": amount });
    let body = json!({ "account": { "iban": account.iban }, "balances": [balance] });
    Ok(Json(body).into_response())
}

/// The consent named by the Consent-ID header, if it is this provider's and has not ended.
fn consent<'a>(books: &'a Books, call: &Call) -> Result<&'a Consent, Refused> {
    let id = call
        .header("consent-id")
        .ok_or_else(|| Code::FormatError.because("the header Consent-ID is missing"))?;
    let consent = Uuid::try_parse(id)
        .ok()
        .and_then(|id| books.consent(call.organization(), id))
        .ok_or_else(|| Code::ConsentInvalid.because("no such consent of this provider"))?;
    match consent.valid_until < today(call) {
        true => Err(Code::ConsentExpired.because("the consent has ended")),
        false => Ok(consent),
    }
}

/// Empty lists ask the customer which accounts to show, and this one shows all.
fn reach(access: Access) -> Result<(Reach, Reach), Refused> {
    match access {
        Access {
            accounts: None,
            balances: None,
            all_psd2: Some(all),
        } if all == "allAccounts" => Ok((Reach::All, Reach::All)),
        Access {
            all_psd2: Some(_), ..
        } => {
            let text = "allPsd2 stands alone and says allAccounts";
            Err(Code::FormatError.because(text))
        }
        Access {
            accounts: None,
            balances: None,
            all_psd2: None,
        } => Err(Code::FormatError.because("access is empty")),
        Access {
            accounts,
            balances,
            all_psd2: None,
        } => {
            let balances = named(balances)?;
            // Access to balances includes access to the account (Berlin Group, "Account Access").
            let accounts = match (named(accounts)?, &balances) {
                (Reach::All, _) | (_, Reach::All) => Reach::All,
                (Reach::Only(mut ibans), Reach::Only(more)) => {
                    ibans.extend(more.iter().cloned());
                    Reach::Only(ibans)
                }
            };
            Ok((accounts, balances))
        }
    }
}

fn named(list: Option<Vec<AccountReference>>) -> Result<Reach, Refused> {
    match list {
        None => Ok(Reach::Only(Vec::new())),
        Some(list) if list.is_empty() => Ok(Reach::All),
        Some(list) if list.len() > CONSENT_ACCOUNTS_MAX => {
            let text = format!("a consent names at most {CONSENT_ACCOUNTS_MAX} accounts");
            Err(Code::FormatError.because(text))
        }
        Some(list) => Ok(Reach::Only(
            list.iter()
                .map(|account| account.iban.as_str().to_owned())
                .collect(),
        )),
    }
}

fn listed(reach: &Reach) -> Value {
    match reach {
        Reach::All => json!([]),
        Reach::Only(ibans) => ibans.iter().map(|iban| json!({ "iban": iban })).collect(),
    }
}

fn described(account: &Account) -> Value {
    let balances = format!("/v1/accounts/{}/balances", account.id);
    json!({
        "resourceId": account.id,
        "iban": account.iban,
        "currency": account.currency,
        "name": account.name,
        "_links": { "balances": { "href": balances } },
    })
}

fn today(call: &Call) -> Date {
    call.now().to_zoned(TimeZone::UTC).date()
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| serde::de::Error::custom("not a date YYYY-MM-DD"))
}
