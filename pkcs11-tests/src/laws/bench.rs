//! What the laws share: a loaded module, sessions, and test keys that are gone afterwards.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

use super::{Finding, Subject, Verdict};

/// DER of the OIDs of the curves.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
/// Length of the RSA keys (bits): the shortest that a certificate may have.
const RSA_BITS: u64 = 2048;
/// Length of one that takes long to make.
const LONG_RSA_BITS: u64 = 3072;

/// A module that is loaded and initialised, and its token.
pub(super) struct Bench {
    pub(super) context: Pkcs11,
    pub(super) slot: Slot,
}

/// The kinds of keys that the laws use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    P256,
    P384,
    Rsa,
    LongRsa,
}

/// A test key pair in the token.
pub(super) struct Pair {
    pub(super) public: ObjectHandle,
    pub(super) private: ObjectHandle,
    pub(super) id: Vec<u8>,
}

/// Loads the module without initialising it.
pub(super) fn load(subject: &Subject) -> Result<Pkcs11, Finding> {
    Ok(Pkcs11::new(&subject.module)?)
}

#[allow(unsafe_code)] // The wrapper has no safe way to give a module its string.
pub(super) fn initialise(context: &Pkcs11, subject: &Subject) -> Result<(), Error> {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let text = subject
        .init_string
        .as_deref()
        .and_then(|text| CString::new(text).ok());
    let arguments = match text
        .as_ref()
        .and_then(|text| NonNull::new(text.as_ptr().cast_mut()))
    {
        // SAFETY: the text ends in a zero and lives until after the call; modules that want one copy it.
        Some(text) => unsafe { CInitializeArgs::new_with_reserved(flags, text.cast::<c_void>()) },
        None => CInitializeArgs::new(flags),
    };
    context.initialize(arguments)
}

impl Bench {
    pub(super) fn new(subject: &Subject) -> Result<Self, Finding> {
        let context = load(subject)?;
        initialise(&context, subject)?;
        let slot = slot_of(&context, subject)?;
        Ok(Self { context, slot })
    }

    pub(super) fn session(&self) -> Result<Session, Finding> {
        Ok(self.context.open_rw_session(self.slot)?)
    }

    /// A session that is logged in.
    pub(super) fn login(&self, subject: &Subject) -> Result<Session, Finding> {
        let session = self.session()?;
        session.login(UserType::User, Some(&subject.pin))?;
        Ok(session)
    }

    /// Whether the token claims to have a mechanism.
    pub(super) fn offers(&self, mechanism: MechanismType) -> Result<bool, Finding> {
        Ok(self
            .context
            .get_mechanism_list(self.slot)?
            .contains(&mechanism))
    }

    /// Ends a law that is about a mechanism which the token does not have.
    pub(super) fn needs(&self, mechanism: MechanismType) -> Verdict {
        if self.offers(mechanism)? {
            Ok(())
        } else {
            Err(Finding::NotApplicable(format!(
                "the token does not list {mechanism}"
            )))
        }
    }
}

/// The one slot whose token has the label.
pub(super) fn slot_of(context: &Pkcs11, subject: &Subject) -> Result<Slot, Finding> {
    let mut slots = slots_with_label(context, subject)?;
    match (slots.pop(), slots.len()) {
        (Some(slot), 0) => Ok(slot),
        (last, more) => {
            let count = more + usize::from(last.is_some());
            Err(Finding::Broken(format!(
                "{count} tokens have the label {:?}",
                subject.token_label
            )))
        }
    }
}

pub(super) fn slots_with_label(context: &Pkcs11, subject: &Subject) -> Result<Vec<Slot>, Finding> {
    let mut slots = Vec::new();
    for slot in context.get_slots_with_token()? {
        let info = context.get_token_info(slot)?;
        if info.token_initialized() && info.label().trim_end() == subject.token_label {
            slots.push(slot);
        }
    }
    Ok(slots)
}

/// Makes a test key, lets a law work with it, and destroys it whatever the law found.
pub(super) fn with_key(
    session: &Session,
    kind: Kind,
    more: &[Attribute],
    work: impl FnOnce(&Pair) -> Verdict,
) -> Verdict {
    let pair = generate(session, kind, more)?;
    let verdict = work(&pair);
    // A law may have destroyed it already.
    let _ = session.destroy_object(pair.private);
    let _ = session.destroy_object(pair.public);
    verdict
}

fn rsa(bits: u64) -> (Mechanism<'static>, Vec<Attribute>) {
    let template = vec![
        Attribute::ModulusBits(bits.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    (Mechanism::RsaPkcsKeyPairGen, template)
}

fn generate(session: &Session, kind: Kind, more: &[Attribute]) -> Result<Pair, Finding> {
    let id = fresh_id();
    let common = [
        Attribute::Token(true),
        Attribute::Id(id.clone()),
        Attribute::Label(b"sealkeep law".to_vec()),
    ];
    let mut public = [common.to_vec(), vec![Attribute::Verify(true)]].concat();
    let (mechanism, parameters) = match kind {
        Kind::P256 => (
            Mechanism::EccKeyPairGen,
            vec![Attribute::EcParams(P256.to_vec())],
        ),
        Kind::P384 => (
            Mechanism::EccKeyPairGen,
            vec![Attribute::EcParams(P384.to_vec())],
        ),
        Kind::Rsa => rsa(RSA_BITS),
        Kind::LongRsa => rsa(LONG_RSA_BITS),
    };
    public.extend(parameters);
    let protected = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let private = [&common[..], &protected, more].concat();
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    Ok(Pair {
        public,
        private,
        id,
    })
}

/// Not the id of any other object: the process and a counter are in it.
pub(super) fn fresh_id() -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    [
        &b"law-"[..],
        &std::process::id().to_be_bytes(),
        &count.to_be_bytes(),
        b"test",
    ]
    .concat()
}

/// The private keys with an id.
pub(super) fn find(
    session: &Session,
    class: ObjectClass,
    id: &[u8],
) -> Result<Vec<ObjectHandle>, Finding> {
    let template = [
        Attribute::Token(true),
        Attribute::Class(class),
        Attribute::Id(id.to_vec()),
    ];
    Ok(session.find_objects(&template)?)
}

/// The bytes of one attribute, if the object has it.
pub(super) fn bytes(
    session: &Session,
    object: ObjectHandle,
    wanted: AttributeType,
) -> Result<Vec<u8>, Finding> {
    match session.get_attributes(object, &[wanted])?.pop() {
        Some(
            Attribute::EcPoint(bytes)
            | Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::Value(bytes)
            | Attribute::Id(bytes),
        ) => Ok(bytes),
        _ => Err(Finding::Broken(format!("{wanted} is not given"))),
    }
}

/// What a call must answer, in words if it did not.
pub(super) fn answers<T>(what: &str, outcome: Result<T, Error>, expected: &[RvError]) -> Verdict {
    let seen = match outcome {
        Ok(_) => "CKR_OK".to_owned(),
        Err(Error::Pkcs11(rv, _)) if expected.contains(&rv) => return Ok(()),
        Err(Error::Pkcs11(rv, _)) => name(&rv),
        Err(other) => other.to_string(),
    };
    let expected: Vec<_> = expected.iter().map(name).collect();
    let expected = expected.join(" or ");
    Err(Finding::Broken(format!(
        "{what} answered {seen}, not {expected}"
    )))
}

/// A return code as the standard calls it: `CKR_PIN_INCORRECT`.
pub(super) fn name(rv: &RvError) -> String {
    if let RvError::VendorDefined(code) = rv {
        return format!("CKR_VENDOR_DEFINED(0x{code:08x})");
    }
    let mut name = "CKR".to_owned();
    for letter in format!("{rv:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
