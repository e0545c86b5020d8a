//! Laws 20 to 29: keys that stay where they are.

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use super::bench::{Bench, Kind, find, fresh_id, with_key};
use super::{Finding, Subject, Verdict, hold};

pub(super) fn generated_key_is_protected(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        for expected in [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::AlwaysSensitive(true),
            Attribute::Extractable(false),
            Attribute::NeverExtractable(true),
            Attribute::Local(true),
        ] {
            let seen = session.get_attributes(pair.private, &[expected.attribute_type()])?;
            hold(seen == [expected.clone()], || {
                format!("{expected:?} reads back as {seen:?}")
            })?;
        }
        Ok(())
    })
}

pub(super) fn value_never_leaves(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let seen = session.get_attributes(pair.private, &[AttributeType::Value]);
        hold(
            seen.is_err() || seen.is_ok_and(|values| values.is_empty()),
            || "CKA_VALUE was given".to_owned(),
        )
    })
}

pub(super) fn protection_cannot_be_taken_back(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        for weaker in [Attribute::Extractable(true), Attribute::Sensitive(false)] {
            let what = format!("{weaker:?}");
            let changed = session.update_attributes(pair.private, std::slice::from_ref(&weaker));
            hold(changed.is_err(), || format!("{what} was accepted"))?;
            // A copy is another way to the same end; a token that copies must refuse this one.
            let copied = session.copy_object(pair.private, &[weaker]);
            if let Ok(copy) = copied {
                session.destroy_object(copy)?;
                return Err(Finding::Broken(format!("a copy with {what} was made")));
            }
        }
        Ok(())
    })
}

pub(super) fn allowed_mechanisms_are_kept(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::RSA_PKCS)?;
    bench.needs(MechanismType::RSA_PKCS_PSS)?;
    let session = bench.login(subject)?;
    let allowed = [Attribute::AllowedMechanisms(vec![
        MechanismType::RSA_PKCS_PSS,
    ])];
    with_key(&session, Kind::Rsa, &allowed, |pair| {
        let signed = session.sign(&Mechanism::RsaPkcs, pair.private, b"not allowed");
        hold(signed.is_err(), || {
            "a key signed by a mechanism that is not allowed for it".to_owned()
        })
    })
}

pub(super) fn id_finds_exactly_one_pair(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECC_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        with_key(&session, Kind::P256, &[], |_| {
            for (class, expected) in [
                (ObjectClass::PRIVATE_KEY, pair.private),
                (ObjectClass::PUBLIC_KEY, pair.public),
            ] {
                let found = find(&session, class, &pair.id)?;
                hold(found == [expected], || {
                    format!("{} objects of {class} have one id", found.len())
                })?;
                let absent = find(&session, class, &fresh_id())?;
                hold(absent.is_empty(), || {
                    "an id that no object has found one".to_owned()
                })?;
            }
            Ok(())
        })
    })
}

pub(super) fn destroyed_key_is_gone(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        session.destroy_object(pair.private)?;
        let other = bench.session()?;
        let found = find(&other, ObjectClass::PRIVATE_KEY, &pair.id)?;
        hold(found.is_empty(), || "it is still found".to_owned())?;
        let signed = other.sign(&Mechanism::Ecdsa, pair.private, &[7; 32]);
        hold(signed.is_err(), || "its handle still signs".to_owned())
    })
}
