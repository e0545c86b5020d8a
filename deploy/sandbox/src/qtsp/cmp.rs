//! The desk of the pretend QTSP where CMP is spoken (RFC 9810): requests, renewals, revocations.
//!
//! In: a message and the time. Out: the message that answers it. A first request is believed under the secret of the
//! account, a renewal under a certificate that was issued here and is not revoked. Everybody with the secret may order
//! everything here, as at the counter. What is revoked is written into the folder of the QTSP, so that its OCSP responder
//! says so too. Never: a socket; [`super::cmp_serve`] has it. What is open and what was issued is in memory, and forgotten
//! when the process ends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rcgen::SigningKey;
use rustls_pki_types::CertificateDer;
use sealkeep_cmp::request::Reason as Asked;
use sealkeep_cmp::server::{Ask, Reply, Request, serial_of, turned_away};
use sealkeep_cmp::signature::{identifier, plain_scheme};
use sealkeep_cmp::{Account, CmpError, Outgoing, Speaker};
use sealkeep_profiles::algorithm::KeyType;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::roles::Role;
use uuid::Uuid;

use super::{Kind, Order, Qtsp, QtspError, Reason, SealUsage, SigningRequest, build};
use crate::files;
use crate::key::{KeyKind, SoftwareKey};

/// Exchanges that may be open at one time.
const OPEN_MAX: usize = 1_000;
/// When the QTSP wants to be asked again, seconds.
const CHECK_AFTER_S: u32 = 1;

/// A QTSP that speaks CMP.
#[derive(Debug)]
pub struct CmpDesk {
    qtsp: Qtsp,
    folder: PathBuf,
    account: Account,
    roles: Vec<Role>,
    /// How often a TPP has to ask before its certificate is ready.
    questions: u32,
    server_key: SoftwareKey,
    server_chain: Vec<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<Vec<u8>, Open>,
    /// Certificates by the content of their serial numbers.
    issued: HashMap<Vec<u8>, CertificateDer<'static>>,
}

#[derive(Debug)]
enum Open {
    /// The QTSP works on it.
    Waiting {
        request: Box<SigningRequest>,
        update: bool,
        questions: u32,
    },
    /// The TPP has it and should say so; the serial number.
    Issued(Vec<u8>),
}

/// What the desk says; chains are owned.
enum Decision {
    Issued { chain: Vec<Vec<u8>>, update: bool },
    Plain(Reply<'static>),
}

impl CmpDesk {
    /// Opens the desk of the QTSP in a folder for one account, whose certificates say these roles. A TPP has to ask so often before its
    /// certificate is ready.
    ///
    /// # Errors
    /// The desk's own certificate cannot be issued.
    pub fn open(
        folder: &Path,
        account: Account,
        roles: &[Role],
        questions: u32,
        now: Timestamp,
    ) -> Result<Self, QtspError> {
        let qtsp = Qtsp::load(folder)?;
        let server_key = SoftwareKey::generate(KeyKind::EcP256)?;
        let mut order = Order::new(Kind::Qsealc, &[Role::PSP_AS]);
        order.country = Some("FR".to_owned());
        order.organization = Some("Sealkeep Sandbox QTSP".to_owned());
        order.organization_identifier = Some("PSDFR-ACPR-1".to_owned());
        order.common_name = Some("Sealkeep Sandbox CMP".to_owned());
        order.seal_usage = SealUsage::Signature;
        let chain = qtsp.issue_for(&order, &server_key, now)?;
        Ok(Self {
            server_chain: chain.to_vec().iter().map(|der| der.to_vec()).collect(),
            qtsp,
            folder: folder.to_owned(),
            account,
            roles: roles.to_vec(),
            questions,
            server_key,
            state: Mutex::default(),
        })
    }

    /// The certificate by which answers to signed messages are signed, PEM; whoever renews pins it.
    pub fn server_certificate_pem(&self) -> String {
        let own = self.server_chain.first().cloned().unwrap_or_default();
        files::certificates_pem([&own.into()])
    }

    /// Answers a message.
    ///
    /// # Errors
    /// It is none.
    pub fn answer(&self, message: &[u8], now: Timestamp) -> Result<Vec<u8>, CmpError> {
        let mut random = || *Uuid::new_v4().as_bytes();
        let read = Request::read(&self.account, |signer| self.trusts(signer), message);
        let request = match read {
            Ok(request) => request,
            Err(CmpError::Unprotected) => {
                return self.ready(turned_away(&self.account, message, &mut random)?);
            }
            Err(error) => return Err(error),
        };
        let algorithm = plain_scheme(KeyType::EcP256).and_then(identifier);
        let speaker = match request.is_signed {
            false => Speaker::Secret,
            true => Speaker::Certificate {
                chain: &self.server_chain,
                algorithm: algorithm.unwrap_or_default(),
            },
        };
        let decision = self.decide(&request, now);
        let reply = match &decision {
            Decision::Issued { chain, update } => Reply::Issued {
                chain,
                update: *update,
            },
            Decision::Plain(reply) => reply.clone(),
        };
        self.ready(request.reply(&self.account, speaker, &reply, &mut random)?)
    }

    fn ready(&self, outgoing: Outgoing) -> Result<Vec<u8>, CmpError> {
        match outgoing {
            Outgoing::Ready(message) => Ok(message),
            Outgoing::Unsigned(message) => {
                let signature = self.server_key.pair().sign(&message.input());
                let signature = signature.map_err(|_| CmpError::Malformed("own key"))?;
                Ok(message.signed(&signature))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issued here, and not revoked since.
    fn trusts(&self, signer: &Certificate) -> bool {
        let issuing = Certificate::from_der(self.qtsp.issuing());
        let ours = issuing.is_ok_and(|issuing| signer.verify_issued_by(&issuing).is_ok());
        ours && matches!(self.is_revoked(signer), Ok(false))
    }

    /// Another process may have revoked it.
    fn is_revoked(&self, certificate: &Certificate) -> Result<bool, QtspError> {
        let serial = certificate.serial_hex();
        let revoked = Qtsp::load(&self.folder)?.revoked();
        Ok(revoked.iter().any(|one| one.serial == serial))
    }

    fn revoke(&self, serial: &[u8], reason: Reason, now: Timestamp) -> Decision {
        let Some(der) = self.state().issued.get(serial).cloned() else {
            return refuse("it was not issued here", "badCertId");
        };
        let revoked = || -> Result<bool, QtspError> {
            let qtsp = Qtsp::load(&self.folder)?;
            let certificate = Certificate::from_der(&der).map_err(build)?;
            if self.is_revoked(&certificate)? {
                return Ok(false);
            }
            qtsp.revoke(&der, reason, now)?;
            qtsp.save(&self.folder)?;
            Ok(true)
        };
        match revoked() {
            Ok(true) => Decision::Plain(Reply::Revoked),
            Ok(false) => refuse("it is revoked already", "certRevoked"),
            Err(_) => refuse("it cannot be written down", "systemFailure"),
        }
    }

    fn decide(&self, request: &Request, now: Timestamp) -> Decision {
        let transaction = &request.transaction;
        match &request.ask {
            Ask::Certificate(csr) => match SigningRequest::from_der(csr) {
                Ok(wanted) => self.take(transaction, wanted, false, now),
                Err(_) => refuse("the PKCS#10 request is not signed by its own key", "badPOP"),
            },
            Ask::Update { .. } if !request.is_signed => refuse(
                "a renewal is signed by the certificate that it replaces",
                "signerNotTrusted",
            ),
            Ask::Update {
                subject,
                public_key,
                extensions,
            } => {
                let wanted =
                    SigningRequest::from_template(subject, public_key, extensions.as_deref());
                match wanted {
                    Ok(wanted) => self.take(transaction, wanted, true, now),
                    Err(_) => refuse("the template cannot be read", "badCertTemplate"),
                }
            }
            Ask::Poll { id } => self.look(transaction, *id, now),
            Ask::Confirmation { accepted } => self.conclude(transaction, *accepted, now),
            Ask::Revocation { serial, reason } => self.revoke(serial, reason_of(*reason), now),
        }
    }

    fn take(
        &self,
        transaction: &[u8],
        wanted: SigningRequest,
        update: bool,
        now: Timestamp,
    ) -> Decision {
        if self.questions == 0 {
            return self.issue(transaction, &wanted, update, now);
        }
        let mut state = self.state();
        if state.open.len() >= OPEN_MAX {
            return refuse("too many exchanges are open", "systemUnavail");
        }
        let waiting = Open::Waiting {
            request: Box::new(wanted),
            update,
            questions: self.questions,
        };
        state.open.insert(transaction.to_vec(), waiting);
        Decision::Plain(Reply::Waiting { update })
    }

    fn look(&self, transaction: &[u8], id: i64, now: Timestamp) -> Decision {
        let Some(open) = self.state().open.remove(transaction) else {
            return refuse("no such exchange is open", "badRequest");
        };
        match open {
            Open::Waiting {
                request,
                update,
                questions: 0 | 1,
            } => self.issue(transaction, &request, update, now),
            Open::Waiting {
                request,
                update,
                questions,
            } => {
                let open = Open::Waiting {
                    request,
                    update,
                    questions: questions - 1,
                };
                self.state().open.insert(transaction.to_vec(), open);
                let check_after_s = CHECK_AFTER_S;
                Decision::Plain(Reply::AskAgain { id, check_after_s })
            }
            issued @ Open::Issued(_) => {
                self.state().open.insert(transaction.to_vec(), issued);
                refuse("the certificate was sent already", "badRequest")
            }
        }
    }

    fn issue(
        &self,
        transaction: &[u8],
        wanted: &SigningRequest,
        update: bool,
        now: Timestamp,
    ) -> Decision {
        let kind = match wanted.names_hosts() {
            true => Kind::Qwac,
            false => Kind::Qsealc,
        };
        let mut order = Order::new(kind, &self.roles);
        // A certificate that is to sign its own renewal has digitalSignature (RFC 9483 section 1.5).
        order.seal_usage = SealUsage::Signature;
        let Ok(chain) = self.qtsp.issue(&order, wanted, now) else {
            return refuse(
                "the request does not say whom to certify",
                "badCertTemplate",
            );
        };
        let serial = serial_of(&chain.leaf).unwrap_or_default();
        let mut state = self.state();
        state.issued.insert(serial.clone(), chain.leaf.clone());
        state
            .open
            .insert(transaction.to_vec(), Open::Issued(serial));
        let chain = chain.to_vec().iter().map(|der| der.to_vec()).collect();
        Decision::Issued { chain, update }
    }

    /// What the TPP does not like is revoked (RFC 9810 section 5.3.18).
    fn conclude(&self, transaction: &[u8], accepted: bool, now: Timestamp) -> Decision {
        let open = self.state().open.remove(transaction);
        let Some(Open::Issued(serial)) = open else {
            return refuse("nothing is to be confirmed", "certConfirmed");
        };
        if !accepted {
            let _ = self.revoke(&serial, Reason::Unspecified, now);
        }
        Decision::Plain(Reply::Confirmed)
    }
}

fn reason_of(asked: Asked) -> Reason {
    match asked {
        Asked::Unspecified => Reason::Unspecified,
        Asked::KeyCompromise => Reason::KeyCompromise,
        Asked::AffiliationChanged => Reason::AffiliationChanged,
        Asked::Superseded => Reason::Superseded,
        Asked::CessationOfOperation => Reason::CessationOfOperation,
    }
}

fn refuse(words: &'static str, failure: &'static str) -> Decision {
    Decision::Plain(Reply::Refused { words, failure })
}
