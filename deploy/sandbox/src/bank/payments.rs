//! Payment initiation: SEPA credit transfers.
//!
//! In: an admitted call. Out: JSON of the interface. The pretend customer authorises every payment at once: the first
//! answer says `RCVD`, the status says what became of it. Serves NextGenPSD2 XS2A 1.3.x, PIS.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::House;
use super::books::{Created, Payment};
use super::gate::Service;
use super::money::{Cents, Iban};
use super::refused::{Code, Refused};

/// The one payment product.
const PRODUCT: &str = "sepa-credit-transfers";
/// Characters of a name (pain.001, Max70Text).
const NAME_CHARS_MAX: usize = 70;
/// Characters of remittance information (Max140Text).
const REMITTANCE_CHARS_MAX: usize = 140;
/// Characters of an end-to-end identification (Max35Text).
const END_TO_END_CHARS_MAX: usize = 35;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PaymentOrder {
    instructed_amount: Amount,
    debtor_account: AccountReference,
    creditor_account: AccountReference,
    creditor_name: String,
    remittance_information_unstructured: Option<String>,
    end_to_end_identification: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    currency: String,
    amount: Cents,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountReference {
    iban: Iban,
}

pub(super) async fn initiate(
    State(house): State<Arc<House>>,
    Path(product): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let call = house.admit(request, Service::Payments).await?;
    known(&product)?;
    let order: PaymentOrder = call.json()?;
    check(&order)?;
    let payment = Payment {
        owner: call.organization().to_owned(),
        debtor: order.debtor_account.iban,
        amount: order.instructed_amount.amount,
        currency: order.instructed_amount.currency,
    };
    let created = house.once(&call, |books| {
        let id = books.add_payment(payment)?;
        let location = format!("/v1/payments/{PRODUCT}/{id}");
        let status = format!("{location}/status");
        let body = json!({
            "transactionStatus": "RCVD",
            "paymentId": id.to_string(),
            "_links": { "self": { "href": location }, "status": { "href": status } },
        });
        Ok(Created { location, body })
    })?;
    Ok(created.into_response())
}

pub(super) async fn status(
    State(house): State<Arc<House>>,
    Path((product, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refused> {
    let call = house.admit(request, Service::Payments).await?;
    known(&product)?;
    let status = Uuid::try_parse(&id)
        .ok()
        .and_then(|id| house.books().payment(call.organization(), id))
        .ok_or_else(|| Code::ResourceUnknown.because("no such payment of this provider"))?;
    Ok(Json(json!({ "transactionStatus": status.word() })).into_response())
}

fn known(product: &str) -> Result<(), Refused> {
    match product == PRODUCT {
        true => Ok(()),
        false => Err(Code::ProductUnknown.because(format!("this bank offers {PRODUCT}"))),
    }
}

fn check(order: &PaymentOrder) -> Result<(), Refused> {
    let refuse = |text: String| Err(Code::FormatError.because(text));
    if order.instructed_amount.amount <= Cents(0) {
        return refuse("instructedAmount is more than nothing".to_owned());
    }
    if order.creditor_account.iban == order.debtor_account.iban {
        return refuse("debtorAccount and creditorAccount are the same".to_owned());
    }
    if order.creditor_name.is_empty() {
        return refuse("creditorName is empty".to_owned());
    }
    let texts = [
        ("creditorName", Some(&order.creditor_name), NAME_CHARS_MAX),
        (
            "remittanceInformationUnstructured",
            order.remittance_information_unstructured.as_ref(),
            REMITTANCE_CHARS_MAX,
        ),
        (
            "endToEndIdentification",
            order.end_to_end_identification.as_ref(),
            END_TO_END_CHARS_MAX,
        ),
    ];
    for (name, text, max) in texts {
        if text.is_some_and(|text| text.chars().count() > max) {
            return refuse(format!("{name} has more than {max} characters"));
        }
    }
    Ok(())
}
