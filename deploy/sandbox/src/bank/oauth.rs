//! `POST /oauth/token`: an access token for a provider that proves itself with its QWAC and nothing else.
//!
//! In: a form. Out: a certificate-bound token. There is no client secret and no registration: the client id is the
//! organizationIdentifier of the certificate. Serves RFC 6749 §4.4 and §5, RFC 8705 §2.1 (`tls_client_auth`).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, PRAGMA};
use jiff::Timestamp;
use sealkeep_profiles::roles::Role;
use serde::Deserialize;
use serde_json::json;

use super::House;
use super::peer::Peer;
use super::refused::Refused;
use super::serve::Visitor;
use super::token::{Scope, TOKEN_LIFETIME_SECONDS};

/// The form of the request.
#[derive(Deserialize)]
pub(super) struct Ask {
    grant_type: String,
    client_id: Option<String>,
    scope: Option<String>,
}

/// The error answer of RFC 6749 §5.2.
struct OauthError(StatusCode, &'static str, String);

pub(super) async fn token(
    State(house): State<Arc<House>>,
    Extension(visitor): Extension<Visitor>,
    form: Result<Form<Ask>, FormRejection>,
) -> Response {
    match grant(&house, &visitor, form) {
        Ok(response) => response,
        Err(OauthError(status, word, text)) => {
            let body = Json(json!({ "error": word, "error_description": text }));
            (status, [(CACHE_CONTROL, "no-store")], body).into_response()
        }
    }
}

fn grant(
    house: &House,
    visitor: &Visitor,
    form: Result<Form<Ask>, FormRejection>,
) -> Result<Response, OauthError> {
    let peer = visitor.peer().map_err(invalid_client)?;
    let Form(ask) = form.map_err(|rejection| {
        OauthError(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            rejection.body_text(),
        )
    })?;
    if ask.grant_type != "client_credentials" {
        let text = "only client_credentials is offered".to_owned();
        return Err(OauthError(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            text,
        ));
    }
    if ask.client_id.as_deref() != Some(peer.organization()) {
        let text = "client_id must be the organizationIdentifier of the client certificate";
        return Err(OauthError(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            text.to_owned(),
        ));
    }
    let now = house.clock.now();
    let scopes = scopes(&ask, peer, now)?;
    let token = house.tokens.issue(peer, &scopes, now).map_err(|refused| {
        OauthError(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            refused.text,
        )
    })?;
    let words: Vec<_> = scopes.iter().map(|scope| scope.word()).collect();
    let body = Json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFETIME_SECONDS,
        "scope": words.join(" "),
    }));
    Ok(([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], body).into_response())
}

/// Each scope needs its role, so no token promises what the certificate does not carry.
fn scopes(ask: &Ask, peer: &Peer, now: Timestamp) -> Result<Vec<Scope>, OauthError> {
    let invalid = |text: String| OauthError(StatusCode::BAD_REQUEST, "invalid_scope", text);
    let words = ask.scope.as_deref().unwrap_or_default();
    let mut scopes = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (scope, role) = match word {
            "aisp" => (Scope::Aisp, Role::PSP_AI),
            "pisp" => (Scope::Pisp, Role::PSP_PI),
            _ => return Err(invalid("the scopes are aisp and pisp".to_owned())),
        };
        peer.permit(role, now)
            .map_err(|refused| invalid(refused.text))?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    match scopes.is_empty() {
        true => Err(invalid("ask for aisp, pisp or both".to_owned())),
        false => Ok(scopes),
    }
}

fn invalid_client(refused: &Refused) -> OauthError {
    OauthError(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        refused.to_string(),
    )
}
