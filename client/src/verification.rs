//! The version that a bank moves to, tried at the bank before anything is switched.
//!
//! In: a credential in rotation, roots for the bank's server. Out: the service's verdict over what was seen: a real
//! handshake and the bank's harmless request, both signed with the new version. Never: a key (the token signs), another
//! request than the one the service names, a connection that is used for anything else.

mod exchange;

use crate::bank::BankHandle;
use crate::clock;
use crate::error::{Error, chain};
use crate::target::RequestHead;
use crate::{BodySource, TlsConfig};
use exchange::{Exchange, Fault};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use rustls::{ClientConfig, RootCertStore};
use sealkeep_proto::v1::rotation_service_client::RotationServiceClient;
use sealkeep_proto::v1::{
    BeginVerificationRequest, BeginVerificationResponse, ConcludeVerificationRequest,
    HarmlessRequest, Seen, Stage, Verification,
};
use std::sync::Arc;

/// How HTTP writes a date (RFC 9110 section 5.6.7).
const IMF_FIXDATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

impl BankHandle {
    /// Tries the version that the bank moves to in the open rotation of this handle's credential: connects to the bank,
    /// presents and signs with it, sends the harmless request of the bank, and has the service keep what was seen.
    ///
    /// Whoever may use the credential at the bank may do so. It changes nothing for anybody else: the version that is
    /// bound goes on signing.
    ///
    /// # Errors
    /// [`Error`], by what to do, when the service takes no verification. What goes wrong at the bank is no error but a
    /// verdict, see [`Verification::reason`].
    pub async fn verify_rotation(&self, roots: RootCertStore) -> Result<Verification, Error> {
        let begun = self.begin_verification().await?;
        let seen = match self.attempt(&begun, roots).await {
            Ok(seen) | Err(seen) => seen,
        };
        let request = ConcludeVerificationRequest {
            verification: begun.verification,
            seen: Some(seen),
        };
        let answer = self.sealkeep().call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .conclude_verification(request)
                .await
        });
        let verdict = answer.await?.verification;
        verdict.ok_or_else(|| Error::broken("ANSWER_MALFORMED", "the answer has no verdict"))
    }

    async fn begin_verification(&self) -> Result<BeginVerificationResponse, Error> {
        let request = BeginVerificationRequest {
            credential: self.credential_name().to_owned(),
            bank: self.name().to_owned(),
        };
        let answer = self.sealkeep().call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .begin_verification(request)
                .await
        });
        answer.await
    }

    /// What was seen, whether it went to the end or not.
    async fn attempt(
        &self,
        begun: &BeginVerificationResponse,
        roots: RootCertStore,
    ) -> Result<Seen, Seen> {
        let wanted = begun.request.clone().unwrap_or_default();
        let bank = self.verifying(&begun.verification);
        let unsigned = |detail: String| Seen {
            stage: Stage::Sign.into(),
            address: wanted.host.clone(),
            detail,
            ..Seen::default()
        };
        let mut parts = head(&wanted).map_err(unsigned)?;
        if !begun.seal_credential.is_empty() {
            let head = RequestHead::from_parts(&parts).map_err(|e| unsigned(chain(&e)))?;
            let seal = bank.credential(&begun.seal_credential);
            let signed = seal.sign_head(&head, BodySource::Bytes(b"")).await;
            signed
                .map_err(|error| unsigned(chain(&error)))?
                .apply(&mut parts);
        }
        let config = match begun.transport_credential.as_str() {
            "" => anonymous(roots, begun.tls12_allowed),
            name => match bank.credential(name).tls_config(roots).await {
                Ok(tls) => tls.client_config(),
                Err(error) => Err(error),
            },
        };
        let config = config.map_err(|error| unsigned(chain(&error)))?;
        let exchange = Exchange::new(config, parts, &wanted.contains);
        let began = clock::monotonic();
        let (mut seen, fault) = exchange.run().await;
        seen.request_signed = !begun.seal_credential.is_empty();
        let duration_ms = began.elapsed().as_millis();
        seen.duration_ms = u32::try_from(duration_ms).unwrap_or(u32::MAX);
        if let Some(Fault { stage, detail }) = fault {
            seen.stage = stage.into();
            seen.detail = detail;
        }
        Ok(seen)
    }
}

/// The head of the harmless request, as it is signed and sent.
fn head(wanted: &HarmlessRequest) -> Result<Parts, String> {
    let date = clock::now().strftime(IMF_FIXDATE).to_string();
    let mut request = Request::builder()
        .method(wanted.method.as_str())
        .uri(format!("https://{}{}", wanted.host, wanted.target))
        .header("host", &wanted.host)
        .header("date", date)
        .header("x-request-id", uuid::Uuid::new_v4().to_string());
    for (name, value) in &wanted.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
        let value = HeaderValue::from_str(value).map_err(|e| e.to_string())?;
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|e| e.to_string())?;
    Ok(request.into_parts().0)
}

/// TLS to a bank that knows us by our seal only.
fn anonymous(roots: RootCertStore, tls12_allowed: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(TlsConfig::versions(tls12_allowed))
        .map_err(|error| Error::broken("TLS_CONFIG_REFUSED", error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_request_is_the_banks_with_a_date_and_an_id_of_its_own() {
        let wanted = HarmlessRequest {
            host: "api.bank.example:8443".to_owned(),
            method: "GET".to_owned(),
            target: "/v1/accounts?x=1".to_owned(),
            headers: [("accept".to_owned(), "application/json".to_owned())].into(),
            ..HarmlessRequest::default()
        };
        let parts = head(&wanted).unwrap();
        assert_eq!(parts.uri.path_and_query().unwrap().as_str(), wanted.target);
        assert_eq!(parts.headers["host"], "api.bank.example:8443");
        assert_eq!(parts.headers["accept"], "application/json");
        let date = parts.headers["date"].to_str().unwrap();
        assert!(jiff::fmt::rfc2822::parse(date).is_ok(), "{date}");
        let again = head(&wanted).unwrap();
        assert_ne!(parts.headers["x-request-id"], again.headers["x-request-id"]);
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        let wanted = HarmlessRequest {
            host: "api.bank.example".to_owned(),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            headers: [("x-a".to_owned(), "a\r\nb".to_owned())].into(),
            ..HarmlessRequest::default()
        };
        assert!(head(&wanted).is_err());
    }
}
