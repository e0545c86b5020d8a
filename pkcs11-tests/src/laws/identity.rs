//! Laws 1 to 9: which token this is, and what it can do.

use cryptoki::error::RvError;
use cryptoki::mechanism::{Mechanism, MechanismType};

use super::bench::{self, Bench, Kind, answers, with_key};
use super::{Finding, Subject, Verdict, hold};

pub(super) fn one_token_has_the_label(subject: &Subject) -> Verdict {
    Bench::new(subject).map(drop)
}

pub(super) fn token_says_who_it_is(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    let info = bench.context.get_token_info(bench.slot)?;
    hold(!info.serial_number().trim().is_empty(), || {
        "the serial number is empty".to_owned()
    })?;
    hold(!info.manufacturer_id().trim().is_empty(), || {
        "the manufacturer is empty".to_owned()
    })?;
    hold(info.login_required(), || {
        "CKF_LOGIN_REQUIRED is not set".to_owned()
    })?;
    hold(info.user_pin_initialized(), || {
        "CKF_USER_PIN_INITIALIZED is not set".to_owned()
    })
}

pub(super) fn mechanisms_are_told_honestly(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    for mechanism in bench.context.get_mechanism_list(bench.slot)? {
        if let Err(error) = bench.context.get_mechanism_info(bench.slot, mechanism) {
            let found = Finding::from(error);
            return Err(Finding::Broken(format!(
                "{mechanism} is listed, but: {found:?}"
            )));
        }
    }
    Ok(())
}

pub(super) fn what_is_not_listed_is_refused(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    let unlisted = [
        (MechanismType::ECDSA_SHA1, Mechanism::EcdsaSha1),
        (MechanismType::ECDSA_SHA256, Mechanism::EcdsaSha256),
        (MechanismType::ECDSA_SHA512, Mechanism::EcdsaSha512),
    ];
    let listed = bench.context.get_mechanism_list(bench.slot)?;
    let Some((_, absent)) = unlisted.into_iter().find(|(it, _)| !listed.contains(it)) else {
        return Err(Finding::NotApplicable(
            "every mechanism of the test is listed".to_owned(),
        ));
    };
    let session = bench.login(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let other = bench.session()?;
        answers(
            "C_SignInit",
            other.sign_init(&absent, pair.private),
            &[RvError::MechanismInvalid],
        )?;
        // The token and its other sessions are as before.
        session.sign(&Mechanism::Ecdsa, pair.private, &[7; 32])?;
        bench::find(
            &session,
            cryptoki::object::ObjectClass::PRIVATE_KEY,
            &pair.id,
        )
        .map(drop)
    })
}
