//! Laws 40 to 49: the beginning and the end of a module's life.

use cryptoki::error::RvError;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{AttributeType, ObjectClass};
use cryptoki::session::SessionState;

use super::bench::{Bench, Kind, answers, bytes, find, initialise, load, slot_of, with_key};
use super::{Finding, Subject, Verdict, hold};

pub(super) fn end_is_an_end(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    // The library stays in memory: only its life ends.
    let library = bench.context.clone();
    let slot = bench.slot;
    bench.context.finalize()?;
    let over = &[RvError::CryptokiNotInitialized];
    answers("C_GetInfo", library.get_library_info(), over)?;
    answers("C_GetTokenInfo", library.get_token_info(slot), over)?;
    answers("C_OpenSession", library.open_ro_session(slot), over)?;
    answers("a second C_Finalize", library.finalize(), over)
}

pub(super) fn module_starts_again(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let library = bench.context.clone();
    let before = bench.login(subject)?;
    let mut kept = None;
    with_key(&before, Kind::P256, &[], |pair| {
        let point = bytes(&before, pair.public, AttributeType::EcPoint)?;
        let slot = bench.slot;
        library.clone().finalize()?;
        initialise(&library, subject)?;
        let bench = Bench {
            slot: slot_of(&library, subject)?,
            context: library.clone(),
        };
        let state = bench.session()?.get_session_info()?.session_state();
        hold(state == SessionState::RwPublic, || {
            format!("a new session is {state:?}, slot {slot}")
        })?;
        let session = bench.login(subject)?;
        let private = one(find(&session, ObjectClass::PRIVATE_KEY, &pair.id)?)?;
        let public = one(find(&session, ObjectClass::PUBLIC_KEY, &pair.id)?)?;
        hold(
            bytes(&session, public, AttributeType::EcPoint)? == point,
            || "another key has the id".to_owned(),
        )?;
        session.sign(&Mechanism::Ecdsa, private, &[7; 32])?;
        session.destroy_object(private)?;
        session.destroy_object(public)?;
        kept = Some(session);
        Ok(())
    })
}

fn one<T: Copy>(found: Vec<T>) -> Result<T, Finding> {
    match found.as_slice() {
        [one] => Ok(*one),
        several => Err(Finding::Broken(format!(
            "{} keys are found again instead of one",
            several.len()
        ))),
    }
}

pub(super) fn second_initialise_is_told(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    let again = initialise(&load(subject)?, subject);
    answers(
        "the second C_Initialize",
        again,
        &[RvError::CryptokiAlreadyInitialized],
    )?;
    bench.login(subject).map(drop)
}
