//! The faulty module does what its script says, and nothing else.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use sealkeep_pkcs11_tests::TestToken;
use serde_json::Value;

use super::{Faulty, faulty_case, faulty_case_of, faulty_module};

/// DER of the OID of P-256.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const DIGEST: [u8; 32] = [7; 32];

/// An application of PKCS#11 that is not the backend.
struct App {
    context: Pkcs11,
    slot: Slot,
    session: Session,
}

fn initialised() -> Pkcs11 {
    let context = Pkcs11::new(faulty_module()).unwrap();
    context
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
    context
}

fn slot_of(context: &Pkcs11, hsm: &TestToken) -> Slot {
    let slots = context.get_slots_with_token().unwrap();
    let ours =
        |slot: &Slot| context.get_token_info(*slot).unwrap().label().trim_end() == hsm.label();
    slots.into_iter().find(ours).unwrap()
}

impl App {
    fn start(hsm: &TestToken) -> Self {
        let context = initialised();
        let slot = slot_of(&context, hsm);
        let session = context.open_rw_session_no_drop(slot).unwrap();
        session
            .login(UserType::User, Some(&hsm.pin().into()))
            .unwrap();
        Self {
            context,
            slot,
            session,
        }
    }

    fn key(&self, id: u8) -> ObjectHandle {
        self.try_key(id).unwrap()
    }

    fn try_key(&self, id: u8) -> Result<ObjectHandle, Error> {
        let id = || Attribute::Id(vec![id]);
        let public = [
            Attribute::Token(true),
            Attribute::EcParams(P256.to_vec()),
            id(),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sign(true),
            id(),
        ];
        Ok(self
            .session
            .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?
            .1)
    }

    fn private_keys(&self, id: u8) -> Vec<ObjectHandle> {
        self.objects(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Id(vec![id]),
        ])
    }

    fn objects(&self, template: &[Attribute]) -> Vec<ObjectHandle> {
        self.session.find_objects(template).unwrap()
    }

    fn sign(&self, key: ObjectHandle) -> Result<Vec<u8>, Error> {
        self.session.sign(&Mechanism::Ecdsa, key, &DIGEST)
    }

    /// Whether a signature is by the key with this id, as the token itself says.
    fn is_by(&self, id: u8, signature: &[u8]) -> bool {
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::Id(vec![id]),
        ];
        let public = self.objects(&template)[0];
        self.session
            .verify(&Mechanism::Ecdsa, public, &DIGEST, signature)
            .is_ok()
    }

    fn id_of(&self, object: ObjectHandle) -> Vec<u8> {
        match self
            .session
            .get_attributes(object, &[AttributeType::Id])
            .unwrap()
            .remove(0)
        {
            Attribute::Id(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Finalizes, and starts again with a new login.
    fn restart(self, hsm: &TestToken) -> Self {
        self.session.close().unwrap();
        self.context.finalize().unwrap();
        Self::start(hsm)
    }
}

/// What no part of a process may do to another: ends the module, starts it and logs in. The sessions keep the login.
pub(super) fn reset_and_log_in(hsm: &TestToken) -> Vec<Session> {
    Pkcs11::new(faulty_module()).unwrap().finalize().unwrap();
    let app = App::start(hsm);
    // Session numbers begin anew: those that others remember are alive again.
    let others = (0..16).map(|_| app.context.open_ro_session_no_drop(app.slot).unwrap());
    others.chain([app.session]).collect()
}

fn rv<T: std::fmt::Debug>(outcome: Result<T, Error>) -> RvError {
    match outcome {
        Err(Error::Pkcs11(rv, _)) => rv,
        other => panic!("{other:?}"),
    }
}

/// A foreign application in a process of its own. What it does wrong is not ours: it is not traced.
fn tool(hsm: &TestToken, arguments: &[&str]) -> Output {
    let mut command = Command::new("pkcs11-tool");
    command
        .arg("--module")
        .arg(faulty_module())
        .args(arguments)
        .envs([hsm.env()])
        .env_remove("P11FAULT_TRACE");
    command
        .output()
        .expect("pkcs11-tool is not installed (apt-get install opensc)")
}

faulty_case!(without_rules_it_is_the_real_module, hsm, faulty => {
    let app = App::start(hsm);
    let key = app.key(1);
    let signature = app.sign(key).unwrap();
    assert!(app.is_by(1, &signature));
    let real = Pkcs11::new(hsm.module()).unwrap();
    let mechanisms = |context: &Pkcs11| context.get_mechanism_list(slot_of(context, hsm)).unwrap();
    assert_eq!(mechanisms(&app.context), mechanisms(&real));
    assert_eq!(faulty.calls("C_Login"), 1);
});

faulty_case!(answers_a_code_instead_of_the_token_or_after_it, hsm, faulty => {
    let app = App::start(hsm);
    faulty.script("rule = [{ fn = 'C_GenerateKeyPair', nth = 1, rv = 'CKR_DEVICE_MEMORY' }]");
    assert_eq!(rv(app.try_key(1)), RvError::DeviceMemory);
    assert!(app.private_keys(1).is_empty(), "the token was not asked");
    app.key(2);
    faulty.script("rule = [{ fn = 'C_GenerateKeyPair', rv = '0x80000001', when = 'after' }]");
    assert_eq!(rv(app.try_key(3)), RvError::VendorDefined(0x8000_0001));
    assert_eq!(app.private_keys(3).len(), 1, "the token did it");
});

faulty_case!(spoils_a_signature, hsm, faulty => {
    let app = App::start(hsm);
    let key = app.key(1);
    faulty.script("rule = [{ fn = 'C_Sign', nth = 1, output = 'corrupt' }]");
    let corrupt = app.sign(key).unwrap();
    assert!(corrupt.len() == 64 && !app.is_by(1, &corrupt));
    let good = app.sign(key).unwrap();
    assert!(app.is_by(1, &good), "only the first one");
    faulty.script("rule = [{ fn = 'C_Sign', output = 'short' }]");
    assert_eq!(app.sign(key).unwrap().len(), 63);
    faulty.script("rule = [{ fn = 'C_Sign', output = 'zero' }]");
    assert_eq!(app.sign(key).unwrap(), [0; 64]);
});

faulty_case!(delays_a_call, hsm, faulty => {
    let app = App::start(hsm);
    let key = app.key(1);
    faulty.script("rule = [{ fn = 'C_SignInit', delay_ms = [60, 90] }]");
    let started = Instant::now();
    app.sign(key).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(60));
});

faulty_case!(a_hanging_call_goes_on_when_the_script_is_replaced, hsm, faulty => {
    let app = App::start(hsm);
    let key = app.key(1);
    faulty.script("rule = [{ fn = 'C_SignInit', hang = true, count = 1 }]");
    let signature = std::thread::scope(|scope| {
        let App { context, slot, session } = app;
        let signing = scope.spawn(move || session.sign(&Mechanism::Ecdsa, key, &DIGEST));
        faulty.wait_for_hangs(1);
        assert!(!signing.is_finished());
        // Other sessions go on meanwhile.
        context.open_ro_session(slot).unwrap().sign(&Mechanism::Ecdsa, key, &DIGEST).unwrap();
        faulty.script("keep_hanging = true");
        context.get_library_info().unwrap();
        assert!(!signing.is_finished());
        faulty.script("");
        signing.join().unwrap()
    });
    assert_eq!(signature.unwrap().len(), 64);
});

#[test]
fn ends_the_process_of_a_foreign_application() {
    faulty_case_of(module_path!(), "ends_the_process_of_a_foreign_application").run(|hsm| {
        let faulty = Faulty::new(hsm);
        assert!(tool(hsm, &["--list-slots"]).status.success());
        for (death, signal, code) in [
            ("abort", Some(6), None),
            ("segv", Some(11), None),
            ("exit", None, Some(7)),
        ] {
            faulty.script(&format!(
                "rule = [{{ fn = 'C_GetSlotList', die = '{death}' }}]"
            ));
            let status = tool(hsm, &["--list-slots"]).status;
            assert_eq!((status.signal(), status.code()), (signal, code), "{death}");
        }
    });
}

#[test]
fn refuses_to_initialise_with_a_script_it_does_not_understand() {
    faulty_case_of(
        module_path!(),
        "refuses_to_initialise_with_a_script_it_does_not_understand",
    )
    .run(|hsm| {
        let faulty = Faulty::new(hsm);
        faulty.script("rule = [{ fn = 'C_Sign', hnag = true }]");
        let output = tool(hsm, &["--list-slots"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(
            told.contains("p11fault: script") && told.contains("`hnag`") && told.contains("line 1"),
            "{told}"
        );
        // Nor does a running application get an answer.
        faulty.script("");
        let context = initialised();
        faulty.script("[tokens]");
        assert_eq!(
            rv(context.get_slots_with_token()),
            RvError::VendorDefined(0x8000_5ea1)
        );
        faulty.script("");
        assert!(context.get_slots_with_token().is_ok());
    });
}

/// A key's signature through the handle it had before the module was initialised again.
fn sign_with_old_handles(
    hsm: &TestToken,
    app: App,
    keys: &[ObjectHandle],
) -> (App, Vec<Result<Vec<u8>, Error>>) {
    let mut app = app.restart(hsm);
    let mut outcomes = Vec::new();
    for key in keys {
        outcomes.push(app.sign(*key));
        // An error leaves the session in an operation.
        let fresh = app.context.open_rw_session_no_drop(app.slot).unwrap();
        std::mem::replace(&mut app.session, fresh).close().unwrap();
    }
    (app, outcomes)
}

faulty_case!(old_handles_denote_another_key_of_the_type, hsm, faulty => {
    faulty.script("[token]\nhandles = 'permuted'");
    let app = App::start(hsm);
    let keys = [app.key(1), app.key(2), app.key(3)];
    // Once found, they are known by their id.
    for id in 1..=3 {
        assert_eq!(app.private_keys(id), [keys[usize::from(id) - 1]]);
    }
    let (app, outcomes) = sign_with_old_handles(hsm, app, &keys);
    for (at, outcome) in outcomes.into_iter().enumerate() {
        let signature = outcome.unwrap();
        let by: Vec<_> = (1..=3).filter(|id| app.is_by(*id, &signature)).collect();
        assert_eq!(by.len(), 1);
        assert_ne!(usize::from(by[0]), at + 1, "the key's own signature");
    }
    for id in 1..=3 {
        let found = app.private_keys(id)[0];
        assert!(app.is_by(id, &app.sign(found).unwrap()), "new handles are right");
    }
});

faulty_case!(old_handles_denote_nothing, hsm, faulty => {
    faulty.script("[token]\nhandles = 'stale'");
    let app = App::start(hsm);
    let key = app.key(1);
    app.sign(key).unwrap();
    let app = app.restart(hsm);
    assert!(matches!(rv(app.sign(key)), RvError::ObjectHandleInvalid | RvError::KeyHandleInvalid));
});

faulty_case!(handles_change_while_in_use, hsm, faulty => {
    faulty.script("[token]\nhandles = 'permuted'");
    let app = App::start(hsm);
    let keys = [app.key(1), app.key(2)];
    assert_eq!([app.private_keys(1), app.private_keys(2)], keys.map(|key| vec![key]));
    faulty.script(
        "rule = [{ fn = 'C_SignInit', nth = 1, event = 'permute_handles' }]\n[token]\nhandles = 'permuted'",
    );
    let signature = app.sign(keys[0]).unwrap();
    assert!(app.is_by(2, &signature) && !app.is_by(1, &signature));
});

faulty_case!(ids_are_hidden_doubled_and_swapped, hsm, faulty => {
    let app = App::start(hsm);
    let keys: Vec<_> = (1..=4).map(|id| app.key(id)).collect();
    faulty.script("[token]\nhide_ids = ['01']");
    assert!(app.private_keys(1).is_empty());
    assert_eq!(app.private_keys(2), [keys[1]]);
    assert_eq!(app.objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).len(), 3);
    faulty.script("[token]\nduplicate_ids = [['01', '02']]");
    let both: BTreeSet<_> = app.private_keys(1).into_iter().map(|key| key.handle()).collect();
    assert_eq!(both, [keys[0], keys[1]].map(|key| key.handle()).into());
    assert!(app.private_keys(2).is_empty());
    assert_eq!(app.id_of(keys[1]), [1]);
    faulty.script("[token]\nswap_ids = [['03', '04']]");
    assert_eq!((app.private_keys(3), app.private_keys(4)), (vec![keys[3]], vec![keys[2]]));
    assert_eq!(app.id_of(keys[2]), [4]);
});

faulty_case!(the_pin_locks_and_stays_locked, hsm, faulty => {
    faulty.script("[token]\npin_tries_max = 3");
    let context = initialised();
    let slot = slot_of(&context, hsm);
    let session = context.open_ro_session_no_drop(slot).unwrap();
    let flags = || {
        let info = context.get_token_info(slot).unwrap();
        (info.user_pin_count_low(), info.user_pin_final_try(), info.user_pin_locked())
    };
    let login = |pin: &str| session.login(UserType::User, Some(&pin.into()));
    assert_eq!(rv(login("000000")), RvError::PinIncorrect);
    login(hsm.pin()).unwrap();
    assert!(!flags().1 && !flags().2, "the right PIN starts the count again");
    session.logout().unwrap();
    for expected in [(true, false, false), (true, true, false)] {
        assert_eq!(rv(login("000000")), RvError::PinIncorrect);
        assert_eq!(flags(), expected);
    }
    assert_eq!(rv(login("000000")), RvError::PinIncorrect);
    assert!(flags().2);
    assert_eq!(rv(login(hsm.pin())), RvError::PinLocked);
    // A foreign process finds it locked, too.
    let output = tool(hsm, &["--token-label", hsm.label(), "--login", "--pin", hsm.pin(), "--list-objects"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("CKR_PIN_LOCKED"), "{output:?}");
    session.close().unwrap();
});

faulty_case!(the_token_looks_as_the_script_says, hsm, faulty => {
    let context = initialised();
    let before = slot_of(&context, hsm);
    faulty.script(
        "[token]\nserial = 'OTHER'\nflags_set = ['CKF_USER_PIN_FINAL_TRY']\nhide_mechanisms = ['CKM_ECDSA']\n\
         sessions_max = 2\nread_only = true\nslot_shift = 5",
    );
    let slot = slot_of(&context, hsm);
    assert_eq!(slot.id(), before.id() + 5);
    assert_eq!(rv(context.get_token_info(before)), RvError::SlotIdInvalid);
    let info = context.get_token_info(slot).unwrap();
    assert_eq!(info.serial_number().trim_end(), "OTHER");
    assert!(info.user_pin_final_try());
    assert!(!context.get_mechanism_list(slot).unwrap().contains(&MechanismType::ECDSA));
    assert_eq!(rv(context.get_mechanism_info(slot, MechanismType::ECDSA)), RvError::MechanismInvalid);
    assert_eq!(rv(context.open_rw_session(slot)), RvError::TokenWriteProtected);
    let sessions = [(); 2].map(|()| context.open_ro_session_no_drop(slot).unwrap());
    assert_eq!(rv(context.open_ro_session(slot)), RvError::SessionCount);
    for session in sessions {
        session.close().unwrap();
    }
    assert!(context.open_ro_session_no_drop(slot).unwrap().close().is_ok());
});

faulty_case!(a_clone_shows_the_same_token_in_another_slot, hsm, faulty => {
    let context = initialised();
    let ours = || {
        let slots = context.get_slots_with_token().unwrap();
        let info = slots.into_iter().map(|slot| (slot, context.get_token_info(slot).unwrap()));
        info.filter(|(_, info)| info.label().trim_end() == hsm.label()).collect::<Vec<_>>()
    };
    assert_eq!(ours().len(), 1);
    faulty.script("[token]\nclone_serial = 'CLONE'");
    let both = ours();
    assert_eq!(both.len(), 2);
    assert_ne!(both[0].0, both[1].0);
    assert_eq!(both[1].1.serial_number().trim_end(), "CLONE");
    let session = context.open_ro_session_no_drop(both[1].0).unwrap();
    session.login(UserType::User, Some(&hsm.pin().into())).unwrap();
    session.close().unwrap();
});

faulty_case!(things_happen_to_the_token, hsm, faulty => {
    let app = App::start(hsm);
    let key = app.key(1);
    faulty.script("rule = [{ fn = 'C_SignInit', nth = 1, event = 'logout' }]");
    assert!(matches!(rv(app.sign(key)), RvError::UserNotLoggedIn | RvError::ObjectHandleInvalid));
    faulty.script("rule = [{ fn = 'C_SignInit', nth = 1, event = 'close_sessions' }]");
    assert_eq!(rv(app.sign(key)), RvError::SessionHandleInvalid);
    faulty.script("rule = [{ fn = 'C_GetInfo', event = 'down', nth = 1 }]");
    assert_eq!(rv(app.context.get_library_info()), RvError::DeviceError);
    faulty.script("");
    assert_eq!(rv(app.context.open_ro_session(app.slot)), RvError::DeviceError, "until it is initialised again");
    app.context.finalize().unwrap();
    let app = App::start(hsm);
    assert_eq!(app.private_keys(1).len(), 1);
});

#[test]
fn tells_what_the_application_does_wrong() {
    faulty_case_of(module_path!(), "tells_what_the_application_does_wrong").run(|hsm| {
        let faulty = Faulty::new(hsm);
        faulty.script(
            "[watch]\nfunctions_forbidden = ['C_SeedRandom']\nmechanisms_forbidden = ['CKM_ECDSA_SHA1']\n\
             logins_max = 1\ndiscard_after_error = true",
        );
        let seen = |expected: &[&str]| assert_eq!(faulty.violations(), expected);
        let context = Pkcs11::new(faulty_module()).unwrap();
        assert!(context.get_library_info().is_err());
        seen(&["NOT_INITIALIZED C_GetInfo"]);
        drop(context);
        let app = App::start(hsm);
        let key = app.key(1);
        let _ = app.session.seed_random(&[1]);
        let _ = app.session.login(UserType::User, Some(&hsm.pin().into()));
        assert!(app.session.sign(&Mechanism::EcdsaSha1, key, &DIGEST).is_err());
        assert!(app.session.get_session_info().is_ok());
        app.context.clone().finalize().unwrap();
        seen(&[
            "NOT_INITIALIZED C_GetInfo",
            "FUNCTION_FORBIDDEN C_SeedRandom",
            "LOGIN_REPEATED C_Login",
            "MECHANISM_FORBIDDEN C_SignInit",
            "SESSION_USED_AFTER_ERROR C_GetSessionInfo",
            "SESSIONS_LEAKED C_Finalize",
        ]);
    });
}

#[test]
fn tells_of_a_shared_session_and_of_an_end_during_a_call() {
    faulty_case_of(
        module_path!(),
        "tells_of_a_shared_session_and_of_an_end_during_a_call",
    )
    .run(|hsm| {
        let faulty = Faulty::new(hsm);
        let app = App::start(hsm);
        faulty.script("rule = [{ fn = 'C_GetSessionInfo', hang = true }]");
        let handle = app.session.handle();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| raw::session_info(&faulty_module(), handle));
            faulty.wait_for_hangs(1);
            raw::close_session(&faulty_module(), handle);
            app.context.clone().finalize().unwrap();
            faulty.script("");
            asking.join().unwrap();
        });
        assert_eq!(
            faulty.violations(),
            [
                "SESSION_SHARED C_CloseSession",
                "FINALIZED_DURING_A_CALL C_Finalize"
            ]
        );
    });
}

faulty_case!(the_trace_tells_calls_and_no_secrets, hsm, faulty => {
    let app = App::start(hsm);
    let key = app.key(1);
    let signature = app.sign(key).unwrap();
    let text = std::fs::read_to_string(super::trace(hsm)).unwrap();
    for secret in [hsm.pin().to_owned(), hex::encode(&signature[..8]), hex::encode(&DIGEST[..8])] {
        assert!(!text.contains(&secret), "{secret}");
    }
    let lines = faulty.trace();
    let init = lines.iter().find(|line| line["fn"] == "C_SignInit").unwrap();
    assert_eq!((&init["mechanism"], &init["rv"]), (&Value::from("CKM_ECDSA"), &Value::from("CKR_OK")));
    assert!(init["session"].is_u64() && init["us"].is_u64() && init["t"].is_u64() && init["tid"].is_u64());
});

/// Calls that a safe wrapper does not let through: one session on two threads.
#[allow(unsafe_code)]
mod raw {
    use super::Path;

    fn call(module: &Path, name: &[u8], session: u64, second: *mut u64) -> u64 {
        type GetFunctionList =
            unsafe extern "C" fn(*mut *const cryptoki_sys::CK_FUNCTION_LIST) -> u64;
        // SAFETY: the module is loaded already; this finds it again.
        let library = unsafe { libloading::Library::new(module) }.unwrap();
        // SAFETY: PKCS#11 gives the symbol this type.
        let get = unsafe { library.get::<GetFunctionList>(b"C_GetFunctionList\0") }.unwrap();
        let mut list = std::ptr::null();
        // SAFETY: a place for a pointer; the list stays valid while the module is loaded.
        let list = unsafe {
            assert_eq!(get(&mut list), 0);
            &*list
        };
        match name {
            // SAFETY: takes a number.
            b"C_CloseSession" => unsafe { list.C_CloseSession.unwrap()(session) },
            // SAFETY: the buffer is as large as a CK_SESSION_INFO.
            _ => unsafe { list.C_GetSessionInfo.unwrap()(session, second.cast()) },
        }
    }

    pub(super) fn close_session(module: &Path, session: u64) {
        assert_eq!(
            call(module, b"C_CloseSession", session, std::ptr::null_mut()),
            0
        );
    }

    pub(super) fn session_info(module: &Path, session: u64) {
        let mut info = [0u64; 8];
        call(module, b"C_GetSessionInfo", session, info.as_mut_ptr());
    }
}
