//! Requests and the PSD2 roles they take, in the shipped profiles.

use sealkeep_profiles::request::Method;
use sealkeep_profiles::roles::Role;

use crate::support::*;

fn role(name: &str, method: Method, path: &str) -> Option<Role> {
    profile(name).operation(method, path)?.role
}

#[test]
fn payments_take_the_payment_role_at_every_community() {
    for (name, path) in [
        ("berlin-group-1.3.4", "/v1/payments/sepa-credit-transfers"),
        (
            "berlin-group-1.3.4",
            "/v1/bulk-payments/sepa-credit-transfers/1/status",
        ),
        (
            "berlin-group-1.3.4",
            "/v1/periodic-payments/sepa-credit-transfers",
        ),
        ("berlin-group-1.3.4", "/v1/signing-baskets"),
        ("stet-1.4", "/payment-requests"),
        ("obuk-3.1.4", "/pisp/domestic-payments"),
        ("obuk-3.1.3", "/pisp/domestic-payments"),
    ] {
        assert_eq!(
            role(name, Method::Post, path),
            Some(Role::PSP_PI),
            "{name} {path}"
        );
    }
}

#[test]
fn account_information_takes_the_account_role_at_every_community() {
    for (name, method, path) in [
        ("berlin-group-1.3.4", Method::Get, "/v1/accounts"),
        (
            "berlin-group-1.3.4",
            Method::Get,
            "/v1/accounts/1/transactions",
        ),
        (
            "berlin-group-1.3.4",
            Method::Get,
            "/v1/card-accounts/1/balances",
        ),
        ("berlin-group-1.3.4", Method::Post, "/v1/consents"),
        ("stet-1.4", Method::Get, "/accounts/1/balances"),
        ("stet-1.4", Method::Put, "/consents"),
        ("stet-1.4", Method::Get, "/end-user-identity"),
        ("stet-1.4", Method::Get, "/trusted-beneficiaries"),
        ("obuk-3.1.4", Method::Post, "/aisp/account-access-consents"),
    ] {
        assert_eq!(
            role(name, method, path),
            Some(Role::PSP_AI),
            "{name} {path}"
        );
    }
}

#[test]
fn confirmations_of_funds_take_the_card_role_at_every_community() {
    for (name, path) in [
        ("berlin-group-1.3.4", "/v1/funds-confirmations"),
        ("berlin-group-1.3.4", "/v2/consents/confirmation-of-funds"),
        ("stet-1.4", "/funds-confirmations"),
        ("obuk-3.1.4", "/cbpii/funds-confirmations"),
    ] {
        assert_eq!(
            role(name, Method::Post, path),
            Some(Role::PSP_IC),
            "{name} {path}"
        );
    }
}

#[test]
fn what_no_row_names_is_unknown() {
    for (name, method, path) in [
        ("berlin-group-1.3.4", Method::Get, "/"),
        ("berlin-group-1.3.4", Method::Get, "/v1/cards"),
        ("berlin-group-1.3.4", Method::Post, "/v1/accounts"),
        ("berlin-group-1.3.4", Method::Get, "/v1/%61ccounts"),
        ("berlin-group-1.3.4", Method::Post, "/v1/payments2/sepa"),
        ("stet-1.4", Method::Delete, "/accounts"),
        ("obuk-3.1.4", Method::Post, "/domestic-payments"),
    ] {
        assert!(
            profile(name).operation(method, path).is_none(),
            "{name} {path}"
        );
    }
}
