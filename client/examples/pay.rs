//! A TPP service that reads accounts and pays, without a key of its own for any bank.
//!
//! In: `SEALKEEP_*` (how to reach the service and who we are to it), the bank's address and roots. Out: one line for each
//! step; an exit code other than 0 when anything is not as it has to be. Never: a private key of a certificate that
//! the bank knows.
//!
//! ```text
//! SEALKEEP_ADDR=.. SEALKEEP_CACERT=.. SEALKEEP_CLIENT_CERT=.. SEALKEEP_CLIENT_KEY=.. \
//!   pay --bank-url https://localhost:8443 --bank demo-bank --bank-ca root.pem --client-id PSDDE-BAFIN-123456
//! ```

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sealkeep_client::{AnswerVerifier, BankHandle, Config, HttpClient, Sealkeep};
use sealkeep_client::{VerifiedAnswer, clock, http, roots_from_pem};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::PathBuf;
use uuid::Uuid;

const PAYMENTS: &str = "/v1/payments/sepa-credit-transfers";
/// A consent to read accounts lasts so long, in hours.
const CONSENT_HOURS: i64 = 24;

/// Reads accounts and pays, with keys that stay in the token.
#[derive(Parser)]
struct Arguments {
    /// Where the bank is, `https://host:port`.
    #[arg(long)]
    bank_url: String,
    /// What Sealkeep calls the bank.
    #[arg(long)]
    bank: String,
    /// Roots of the bank's TLS and seal certificates, PEM.
    #[arg(long)]
    bank_ca: PathBuf,
    /// Issuing certificates below them, PEM; the bank's seals come without.
    #[arg(long)]
    bank_issuing: Option<PathBuf>,
    /// Whose seals count: the bank's organisation identifier.
    #[arg(long)]
    bank_organization: Option<String>,
    /// Our client id at the bank: our organisation identifier.
    #[arg(long)]
    client_id: String,
    /// Account that pays; without it the first one the bank shows.
    #[arg(long)]
    debtor: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();

    // Who we are to Sealkeep. Nothing is connected yet.
    let config = Config::from_env()?;
    say(
        "service",
        &format!("{}, no key for the bank in this process", config.addr),
    )?;
    let bank = Sealkeep::connect(config)?.bank(&arguments.bank);

    // Mutual TLS with the QWAC bound to this bank; every handshake asks Sealkeep for its one signature.
    let pem = std::fs::read(&arguments.bank_ca).context("--bank-ca")?;
    let roots = roots_from_pem(&pem)?;
    let http = bank.http_client(roots.clone()).await?;
    say(
        "transport",
        &format!(
            "{}, its key stays in the token",
            short(&http.tls().version())
        ),
    )?;

    // The access token is bound to the certificate of the connection it was asked for on.
    let token = token(&http, &arguments).await?;

    // From here on requests are sealed, and answers are believed only when the bank sealed them.
    let mut verifier = AnswerVerifier::new("berlin-group-1.3.4", &roots)?;
    if let Some(file) = &arguments.bank_issuing {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)?.collect();
        verifier = verifier.intermediates(chain?);
    }
    if let Some(organization) = &arguments.bank_organization {
        verifier = verifier.only_from(organization);
    }
    let url = arguments.bank_url.trim_end_matches('/').to_owned();
    let mut tpp = Tpp {
        bank,
        http,
        verifier,
        url,
        token,
        verified: 0,
    };

    let debtor = tpp.accounts(arguments.debtor).await?;
    tpp.pay(&debtor).await?;
    say(
        "done",
        &format!(
            "{} answers of the bank, each with its seal verified",
            tpp.verified
        ),
    )
}

/// Asks for an access token (RFC 6749 section 4.4) and checks that it is bound to our certificate (RFC 8705 section 3.1).
async fn token(http: &HttpClient, arguments: &Arguments) -> Result<String> {
    let form = format!(
        "grant_type=client_credentials&client_id={}&scope=aisp%20pisp",
        form_encoded(&arguments.client_id)
    );
    let request = Request::post(format!(
        "{}/oauth/token",
        arguments.bank_url.trim_end_matches('/')
    ))
    .header("content-type", "application/x-www-form-urlencoded")
    .body(form)?;
    let answer = http.send(request).await?;
    let body: Value = serde_json::from_slice(answer.body()).context("the token endpoint")?;
    ensure!(
        answer.status() == StatusCode::OK,
        "no token: {} {body}",
        answer.status()
    );
    let token = body["access_token"]
        .as_str()
        .context("no access_token")?
        .to_owned();
    let claims = token.split('.').nth(1).context("the token is no JWT")?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    let bound = claims["cnf"]["x5t#S256"]
        .as_str()
        .context("the token is not bound")?;
    let chain = http.tls().certificate_chain();
    let ours = URL_SAFE_NO_PAD.encode(Sha256::digest(chain.first().context("no certificate")?));
    ensure!(bound == ours, "the token is bound to another certificate");
    say(
        "token",
        &format!("certificate-bound (cnf.x5t#S256 = {bound})"),
    )?;
    Ok(token)
}

/// We, at one bank.
struct Tpp {
    bank: BankHandle,
    http: HttpClient,
    verifier: AnswerVerifier,
    url: String,
    token: String,
    verified: u32,
}

/// An answer whose seal was verified.
struct Sealed {
    answer: Response<Bytes>,
    body: Value,
    seal: VerifiedAnswer,
    /// Which of our versions signed the request, with what, under which record.
    signed: String,
}

impl Tpp {
    /// Gets a consent, then the accounts. Yields the account to pay from.
    async fn accounts(&mut self, debtor: Option<String>) -> Result<String> {
        let until = clock::now() + jiff::SignedDuration::from_hours(CONSENT_HOURS);
        let order = json!({
            "access": { "allPsd2": "allAccounts" },
            "recurringIndicator": false,
            "validUntil": until.strftime("%Y-%m-%d").to_string(),
            "frequencyPerDay": 1,
            "combinedServiceIndicator": false,
        });
        let consent = self
            .call(Method::POST, "/v1/consents", &[], Uuid::new_v4(), &order)
            .await?;
        consent.expect(StatusCode::CREATED)?;
        let id = consent.text("consentId")?;
        say("consent", &format!("{id}, request {}", consent.signed))?;

        let headers = [("consent-id", id.as_str())];
        let path = "/v1/accounts";
        let seen = self
            .call(Method::GET, path, &headers, Uuid::new_v4(), &Value::Null)
            .await?;
        seen.expect(StatusCode::OK)?;
        let accounts = seen.body["accounts"].as_array().context("no accounts")?;
        let ibans: Vec<&str> = accounts.iter().filter_map(|a| a["iban"].as_str()).collect();
        say(
            "accounts",
            &format!("{}: {}", ibans.len(), ibans.join(", ")),
        )?;
        let first = ibans.first().map(|iban| (*iban).to_owned());
        debtor.or(first).context("there is no account to pay from")
    }

    /// Pays, repeats the request, and tries to repeat it with another amount.
    async fn pay(&mut self, debtor: &str) -> Result<()> {
        let id = Uuid::new_v4();
        let headers = [("psu-ip-address", "192.0.2.17")];
        let order = order(debtor, "123.50");
        let paid = self
            .call(Method::POST, PAYMENTS, &headers, id, &order)
            .await?;
        paid.expect(StatusCode::CREATED)?;
        let payment = paid.text("paymentId")?;
        say(
            "payment",
            &format!("{payment} {}", paid.text("transactionStatus")?),
        )?;
        say("  request", &format!("body digested here, {}", paid.signed))?;
        let fields = paid.seal.signed_fields.join(" ");
        let seal = format!("{} over {fields}: verified", paid.seal.algorithm);
        say(
            "  answer",
            &format!("sealed by {}, {seal}", paid.seal.organization),
        )?;

        // A retry after a lost answer: same id, same body. The bank must not pay twice.
        let retried = self
            .call(Method::POST, PAYMENTS, &headers, id, &order)
            .await?;
        retried.expect(StatusCode::CREATED)?;
        ensure!(
            retried.text("paymentId")? == payment,
            "the retry made a second payment"
        );
        say("retry", "same X-Request-ID, same body: the same payment")?;

        let status = format!("{PAYMENTS}/{payment}/status");
        let status = self
            .call(Method::GET, &status, &[], Uuid::new_v4(), &Value::Null)
            .await?;
        status.expect(StatusCode::OK)?;
        say("status", &status.text("transactionStatus")?)?;

        // The same id with another amount is a mistake or an attack.
        let changed = self::order(debtor, "999.99");
        let refused = self
            .call(Method::POST, PAYMENTS, &headers, id, &changed)
            .await?;
        ensure!(
            refused.answer.status().is_client_error(),
            "the bank took a changed retry"
        );
        let message = &refused.body["tppMessages"][0];
        let (code, text) = (message["code"].as_str(), message["text"].as_str());
        let said = format!("{} {}", code.unwrap_or_default(), text.unwrap_or_default());
        say(
            "changed",
            &format!(
                "refused by the bank: {} {said}",
                refused.answer.status().as_u16()
            ),
        )
    }

    /// Signs a request, sends it, and verifies the seal of the answer, of refusals too.
    async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        id: Uuid,
        body: &Value,
    ) -> Result<Sealed> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("x-request-id", id.to_string())
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Value::Null => Bytes::new(),
            body => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
        };
        // What is signed is exactly what is sent.
        let (mut parts, body) = request.body(body)?.into_parts();
        let source = sealkeep_client::BodySource::Bytes(&body);
        let signed = self.bank.sign_parts(&parts, source).await?;
        signed.apply(&mut parts);
        let answer = self.http.send(Request::from_parts(parts, body)).await?;

        let seal = self.verifier.verify(&answer, clock::now())?;
        ensure!(
            seal.request_id == Some(id.to_string()),
            "the bank answered another request"
        );
        self.verified += 1;
        let body = serde_json::from_slice(answer.body()).context("the answer is not JSON")?;
        let by = short(&signed.version);
        let signed = format!(
            "signed by {by} ({}, {})",
            signed.algorithm, signed.audit_record
        );
        Ok(Sealed {
            answer,
            body,
            seal,
            signed,
        })
    }
}

impl Sealed {
    fn expect(&self, status: StatusCode) -> Result<()> {
        if self.answer.status() != status {
            bail!("the bank said {} {}", self.answer.status(), self.body);
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Result<String> {
        let text = self.body[name].as_str();
        Ok(text
            .with_context(|| format!("no {name} in the answer"))?
            .to_owned())
    }
}

fn order(debtor: &str, amount: &str) -> Value {
    json!({
        "instructedAmount": { "currency": "EUR", "amount": amount },
        "debtorAccount": { "iban": debtor },
        "creditorAccount": { "iban": "DE75512108001245126199" },
        "creditorName": "Merchant123",
        "remittanceInformationUnstructured": "Ref Number Merchant",
    })
}

/// `acme-seal@3` for `credentials/acme-seal/versions/3`.
fn short(version: &str) -> String {
    version
        .trim_start_matches("credentials/")
        .replace("/versions/", "@")
}

/// A value in a form (`application/x-www-form-urlencoded`).
fn form_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn say(step: &str, what: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "  {step:<10} {what}")?)
}
