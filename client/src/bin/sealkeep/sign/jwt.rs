//! `sealkeep sign jwt ...`: has a JWT made and signed for a bank's authorisation server, or out of a request's body.
//!
//! In: typed fields, of which the larger sets are JSON. Out: the JWT. Never: claims; the service makes them, with times and
//! `jti`, so that one kind of JWT cannot be had under the name of another.

use super::{Signer, default_method, said};
use crate::failure::Failure;
use crate::files::{argument_bytes, argument_text};
use crate::report::Report;
use crate::words::{Url, url};
use clap::{Args, Subcommand};
use sealkeep_client::{
    CLIENT_ASSERTION_TYPE, Registration, RequestObject, Sealkeep, SignedJwt, http,
};
use serde::de::DeserializeOwned;
use serde_json::json;

/// The fields of a request object, for its help.
const REQUEST_OBJECT_HELP: &str = "\
Fields are JSON; what is left out is not sent:
  {
    \"response_type\": \"code\", \"response_mode\": \"jwt\", \"redirect_uri\": \"https://tpp.example/cb\",
    \"scope\": \"accounts\", \"state\": \"...\", \"nonce\": \"...\", \"code_challenge\": \"...\"
  }
Others: audience, max_age, acr_values, prompt, login_hint, ui_locales, authorization_details (JSON as text), dpop_jkt,
intent_id, intent_acr.";

/// The fields of a registration, for its help.
const REGISTRATION_HELP: &str = "\
Fields are JSON; what is left out is not sent:
  {
    \"software_statement\": \"eyJ...\", \"redirect_uris\": [\"https://tpp.example/cb\"],
    \"grant_types\": [\"authorization_code\"], \"token_endpoint_auth_method\": \"private_key_jwt\"
  }
Others: audience, response_types, application_type, client_id, id_token_signed_response_alg, request_object_signing_alg,
scope, software_id, tls_client_auth_subject_dn, token_endpoint_auth_signing_alg.";

#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// A client assertion, `private_key_jwt`; one is sent once.
    ClientAssertion {
        #[command(flatten)]
        signer: Signer,
        /// One of the audiences in the bank's settings; without it the one its profile prefers.
        #[arg(long, value_name = "URL")]
        audience: Option<String>,
    },
    /// An authorisation request, for PAR or as `request`.
    #[command(after_help = REQUEST_OBJECT_HELP)]
    RequestObject(Fields),
    /// A DPoP proof for one request, to be sent as its `DPoP` header.
    Dpop {
        #[command(flatten)]
        signer: Signer,
        /// The method of the request.
        #[arg(short = 'X', long, value_name = "METHOD", default_value = "POST")]
        method: String,
        /// The access token that the request carries: `@file`, `@-` for stdin, or text. It is hashed here.
        #[arg(long, value_name = "@FILE|TEXT")]
        access_token: Option<String>,
        /// What the server sent as `DPoP-Nonce`.
        #[arg(long)]
        nonce: Option<String>,
        /// Where the request goes.
        #[arg(value_parser = url)]
        url: Url,
    },
    /// A client registration around the directory's software statement.
    #[command(after_help = REGISTRATION_HELP)]
    Registration(Fields),
    /// The body of a request as a JWT, to be sent as `application/jwt`.
    Body {
        #[command(flatten)]
        signer: Signer,
        /// The method of the request.
        #[arg(short = 'X', long, value_name = "METHOD")]
        method: Option<String>,
        /// The body, a JSON object: `@file`, `@-` for stdin, or text.
        #[arg(short, long, value_name = "@FILE|TEXT")]
        data: String,
        /// Where the request goes.
        #[arg(value_parser = url)]
        url: Url,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Fields {
    #[command(flatten)]
    signer: Signer,
    /// The fields: `@file`, `@-` for stdin, or text.
    #[arg(long, value_name = "@FILE|TEXT")]
    fields: String,
}

impl Fields {
    fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let bytes = argument_bytes(&self.fields)?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::usage(format!("--fields: {error}")))
    }
}

impl Kind {
    pub(crate) async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        match self {
            Self::ClientAssertion { signer, audience } => {
                let bank = signer.bank(connect()?);
                let signed = bank.client_assertion(audience.as_deref()).await?;
                let sent = format!("sent beside client_assertion_type={CLIENT_ASSERTION_TYPE}");
                Ok(report(&signed).note(sent))
            }
            Self::RequestObject(fields) => {
                let asked: RequestObject = fields.read()?;
                Ok(report(
                    &fields.signer.bank(connect()?).request_object(asked).await?,
                ))
            }
            Self::Registration(fields) => {
                let asked: Registration = fields.read()?;
                Ok(report(
                    &fields.signer.bank(connect()?).registration(asked).await?,
                ))
            }
            Self::Dpop {
                signer,
                method,
                access_token,
                nonce,
                url,
            } => {
                let token = access_token.as_deref();
                let token = token.map(|token| argument_text("--access-token", token));
                let token = token.transpose()?;
                let request = request(&method, &url, ())?;
                let (parts, ()) = request.into_parts();
                let bank = signer.bank(connect()?);
                let proof = bank.dpop_proof(&parts, token.as_deref(), nonce.as_deref());
                Ok(report(&proof.await?))
            }
            Self::Body {
                signer,
                method,
                data,
                url,
            } => {
                let method = method.as_deref().unwrap_or(default_method(true));
                let request = request(method, &url, argument_bytes(&data)?)?;
                let signed = signer.bank(connect()?).sign_body(request).await?;
                let jwt = signed.body();
                Ok(Report::new(format!("{jwt}\n"), json!({ "jwt": jwt })))
            }
        }
    }
}

fn report(signed: &SignedJwt) -> Report {
    let json = json!({
        "jwt": signed.jwt,
        "version": signed.version,
        "algorithm": signed.algorithm,
        "audit_record": signed.audit_record,
    });
    let note = said(&signed.version, &signed.algorithm, &signed.audit_record);
    Report::new(format!("{}\n", signed.jwt), json).note(note)
}

fn request<B>(method: &str, url: &Url, body: B) -> Result<http::Request<B>, Failure> {
    let uri = format!("https://{}{}", url.authority, url.target);
    let request = http::Request::builder().method(method).uri(uri).body(body);
    request.map_err(|error| Failure::usage(format!("method or URL: {error}")))
}
