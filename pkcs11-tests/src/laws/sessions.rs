//! Laws 10 to 19: logins and sessions.

use cryptoki::error::RvError;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectClass;
use cryptoki::session::{Session, SessionState, UserType};

use super::bench::{Bench, Kind, answers, find, with_key};
use super::{Finding, Subject, Verdict, hold};

const DIGEST: [u8; 32] = [7; 32];

fn is_logged_in(session: &Session) -> Result<bool, Finding> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

pub(super) fn login_is_shared(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    let before = bench.context.open_ro_session(bench.slot)?;
    let _session = bench.login(subject)?;
    let after = bench.context.open_ro_session(bench.slot)?;
    for (session, when) in [(before, "before"), (after, "after")] {
        hold(is_logged_in(&session)?, || {
            format!("a session opened {when} the login is not logged in")
        })?;
    }
    Ok(())
}

pub(super) fn second_login_is_told(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    let first = bench.login(subject)?;
    let second = bench.session()?;
    let again = second.login(UserType::User, Some(&subject.pin));
    answers("the second C_Login", again, &[RvError::UserAlreadyLoggedIn])?;
    hold(is_logged_in(&first)? && is_logged_in(&second)?, || {
        "the login is gone".to_owned()
    })
}

pub(super) fn closing_one_session_keeps_the_login(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    let first = bench.login(subject)?;
    let second = bench.session()?;
    first.close()?;
    hold(is_logged_in(&second)?, || {
        "the login ended with the session that had made it".to_owned()
    })
}

pub(super) fn closing_the_last_session_ends_the_login(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.login(subject)?.close()?;
    let later = bench.session()?;
    hold(!is_logged_in(&later)?, || {
        "a session is logged in although all others were closed".to_owned()
    })
}

pub(super) fn private_keys_hide_without_login(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        session.logout()?;
        let stranger = bench.session()?;
        let seen = find(&stranger, ObjectClass::PRIVATE_KEY, &pair.id);
        session.login(UserType::User, Some(&subject.pin))?;
        let seen = match seen {
            // Some tokens refuse the search altogether, which hides the key as well.
            Err(Finding::Broken(told)) if told.contains("UserNotLoggedIn") => Vec::new(),
            other => other?,
        };
        hold(seen.is_empty(), || {
            "a private key was found without a login".to_owned()
        })?;
        // A logout may have changed the handles: the clean-up needs those of now.
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            for object in find(&session, class, &pair.id)? {
                session.destroy_object(object)?;
            }
        }
        Ok(())
    })
}

pub(super) fn an_open_operation_stays_in_its_session(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let stuck = bench.session()?;
        stuck.sign_init(&Mechanism::Ecdsa, pair.private)?;
        session.sign(&Mechanism::Ecdsa, pair.private, &DIGEST)?;
        // The stuck session can be thrown away in the middle of its operation.
        stuck.close()?;
        let broken = bench.session()?;
        let refused = broken.sign(&Mechanism::Ecdsa, pair.public, &DIGEST);
        hold(refused.is_err(), || "a public key signed".to_owned())?;
        session.sign(&Mechanism::Ecdsa, pair.private, &DIGEST)?;
        Ok(())
    })
}

pub(super) fn wrong_pin_is_told_as_such(subject: &Subject) -> Verdict {
    if !subject.may_try_wrong_pin {
        return Err(Finding::NotApplicable(
            "a wrong PIN may not be tried (--try-wrong-pin)".to_owned(),
        ));
    }
    let bench = Bench::new(subject)?;
    let session = bench.session()?;
    let wrong = session.login(UserType::User, Some(&"0000000000".into()));
    answers("C_Login with a wrong PIN", wrong, &[RvError::PinIncorrect])?;
    session.login(UserType::User, Some(&subject.pin))?;
    hold(is_logged_in(&session)?, || {
        "the right PIN does not log in".to_owned()
    })
}
