//! Sealkeep: the house where the seals of a PSD2 third-party provider are kept.
//!
//! A bank knows a third-party provider (TPP) by two qualified certificates: the **QWAC** opens mutual TLS, the **QSealC**
//! signs each request. Their private keys are the firm's identity. Here they live behind PKCS#11 and never leave the
//! token; callers describe what they want to send and get back what to add to it.
//!
//! # The rooms
//!
//! A request walks through them in this order, and a stranger finds a behaviour by walking the folders the same way:
//!
//! | room | what it answers | what it never does |
//! |---|---|---|
//! | [`grpc`] | wire in, one call, wire out | decide |
//! | [`authn`] | who calls: one SPIFFE URI or DNS name of the certificate | look at the common name |
//! | [`authz`] | may this caller do this with that credential | tell unknown from forbidden |
//! | [`policy`] | is THIS request fit to be signed now | know who asks |
//! | [`signing`] | the way of one signature | SQL, a PKCS#11 search, a login |
//! | [`audit`] | the bracket around the key | let a signature out that has no record |
//! | [`backend`] | what holds keys: one token, or several that act as one | see a message, only digests of what was prepared |
//! | [`credential`], [`bank`], [`access`] | what officers change, through [`registry`] | change by halves |
//! | [`credential::revocation`] | whether issuers have revoked what is ours | stop anything because nobody answers |
//! | [`credential::enrolment`] | what QTSPs are asked for, and what comes of it | hand a key to a protocol |
//! | [`trust`] | who may issue qualified certificates, by the EU's trusted lists | fetch a list |
//! | [`watch`] | what ends when, and who is told | decide about a signature |
//! | [`metrics`] | what monitoring sees | let a label grow with traffic |
//! | [`publication`] | our seal certificates, where banks fetch them | list them |
//! | [`approval`] | what a second person must confirm | let one person be both |
//! | [`store`] | the only SQL | hold a transaction across anything else |
//! | [`replica`] | what other replicas change; who of them leads | sign without hearing the others |
//! | [`world`] | what is known, in memory, swapped whole | half of a change |
//!
//! What exactly is signed for a bank is not in this crate: formats and profiles are `sealkeep_profiles`, pure, so that a
//! bank could verify by it alone. Imports run one way: `main → run → grpc → signing, credential, bank, access, watch →
//! registry → authz, policy, audit → backend, store → domain`.
//!
//! # The way of one signature
//!
//! ```text
//! caller   = authn(peer certificate)                    no handler runs without one
//! grant    = authz::grant(caller, operation, credential, bank)?
//! version  = the version this bank accepts now          memory, no SQL
//! permit   = policy::decide(grant, version, facts, now)?
//! prepared = profile.prepare(request, certificate, now)?   exactly the bytes to be signed; pure
//! (intent, raw) = join(audit.intend(permit), backend.sign(version.key, prepared.digest))
//! signed   = prepared.assemble(raw)?                    verified under the certificate the bank will see
//! intent.released()                                     lazily, with the next commit
//! ```
//!
//! Every step hands on a value that only it can make and that the next consumes: [`authz::Grant`], [`policy::Permit`],
//! `Prepared`, [`audit::Intent`], `Signed`. One permit cannot serve two signatures; the compiler says so (see the
//! `compile_fail` examples there).
//!
//! **No signature leaves without a durable record of it.** The intent is committed while the token works, so the commit
//! hides behind the key operation. If it cannot be made durable, the signature is dropped and the caller gets
//! `UNAVAILABLE`. After a crash, an intent without an end says what is true: it may have been released.
//!
//! **No door signs a digest that it did not compute or fully understand.** Requests are structured. TLS keys sign what
//! parses as a client CertificateVerify and nothing else; seal keys sign what a profile lays out and nothing else. A test
//! over the API's descriptor set keeps it so. Beside that a key signs its own request for a certificate, and what CMP lays
//! out for a QTSP ([`credential::enrolment`]); no caller has a hand in either.
//!
//! **Every signature is verified before it leaves**, under the certificate's public key: against a token that mixes up
//! handles after a reconnect, and against faults in the middle of an RSA operation.
//!
//! # What it does not do
//!
//! It does not detect that the newest records of its log were cut off (that takes checkpoints kept elsewhere), does not
//! prove where a TLS 1.3 handshake goes (the hash does not tell; TLS is therefore a grant of its own), and is not
//! certified. Whoever runs code as its user can use the keys, though never take them away.

pub mod access;
pub mod approval;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod backend;
pub mod bank;
pub mod bench_token;
pub mod bench_worker;
pub mod clock;
pub mod config;
pub mod credential;
pub mod doctor;
pub mod domain;
mod door;
pub mod grpc;
pub mod import;
pub mod metrics;
pub mod outgoing;
pub mod pin;
pub mod policy;
pub mod process;
pub mod profiles;
pub mod publication;
pub mod registry;
pub mod replica;
pub mod run;
pub mod signing;
pub mod store;
pub mod trust;
pub mod watch;
pub mod world;
