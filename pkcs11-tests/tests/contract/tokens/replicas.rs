//! A key is used where it was proven, and nowhere else.

use std::time::Duration;

use sealkeep_service::backend::pkcs11::Pkcs11Config;
use sealkeep_service::backend::tokens::Replica;
use sealkeep_service::backend::{BackendError, KeyId, KeySpec, KeyUsage};

use super::pair::{LABELS, OutsideKey, Pair, SET, pair_case, until};
use crate::faulty::{Faulty, faulty_module};
use crate::support::later;

const PATIENCE: Duration = Duration::from_secs(5);

pair_case!(a_key_that_one_token_lacks_is_used_at_the_other_and_proven_once_it_is_copied, hsm => {
    let pair = Pair::open(hsm);
    let key = OutsideKey::p256(hsm);
    key.import(hsm, LABELS[0]);
    assert_eq!(pair.adopt(&[key.key]), [Ok(())]);
    pair.signs(&key, 20);
    assert_eq!((pair.made_by(0), pair.made_by(1)), (20, 0));
    let missing = |place: usize| pair.tokens.statuses()[place].missing_key_count;
    assert_eq!((missing(0), missing(1)), (0, 1));

    key.import(hsm, LABELS[1]);
    assert!(pair.prove(&key.key)[1].is_proven());
    assert_eq!(missing(1), 0);
    pair.signs(&key, 20);
    assert!(pair.made_by(1) > 0);
});

pair_case!(another_key_under_the_same_id_is_never_used, hsm => {
    let pair = Pair::open(hsm);
    let [right, wrong] = [(); 2].map(|()| OutsideKey::p256(hsm));
    right.import(hsm, LABELS[0]);
    wrong.import_as(hsm, LABELS[1], right.key.id);
    assert_eq!(pair.adopt(&[right.key]), [Ok(())]);
    let mismatch = BackendError::KeyMismatch(right.key.id);
    assert_eq!(pair.prove(&right.key)[1], Replica::Refused(mismatch.clone()));
    pair.signs(&right, 50);
    assert_eq!(pair.made_by(1), 0);
    assert_eq!(pair.tokens.statuses()[1].missing_key_count, 1);
    // Without the right one there is no key, and the reason is the one that a person must act on.
    let gone = hsm.pkcs11_tool(&["--delete-object", "--type", "privkey", "--id", &right.key.id.to_string()]);
    assert!(gone.status.success(), "{gone:?}");
    pair.signal("-KILL", 0);
    let refused = [Replica::Missing, Replica::Refused(mismatch.clone())];
    until("the next worker has looked", || pair.prove(&right.key) == refused);
    assert_eq!(pair.signed(&right, PATIENCE), Err(mismatch));
});

pair_case!(a_key_made_in_a_set_is_at_one_token_until_it_is_copied, hsm => {
    let pair = Pair::open(hsm);
    let id = KeyId::random();
    let made = pair.tokens.generate(SET, id, "new", KeySpec::EcP256, KeyUsage::Sign, later());
    let made = pair.runtime.block_on(made).unwrap();
    let replicas = pair.tokens.replicas(&made.key);
    let proven = replicas.iter().filter(|report| report.replica.is_proven()).count();
    assert_eq!((proven, replicas.len()), (1, 2), "{replicas:?}");
    assert!(replicas.iter().any(|report| report.replica == Replica::Missing));
    assert!(pair.sign(&made.key, b"m", later()).is_ok());
    pair.runtime.block_on(pair.tokens.destroy(&made.key, later())).unwrap();
    assert_eq!(pair.sign(&made.key, b"m", later()).unwrap_err(), BackendError::KeyUnknown(id));
});

pair_case!(a_key_is_destroyed_at_every_token, hsm => {
    let pair = Pair::open(hsm);
    let key = OutsideKey::p256(hsm);
    LABELS.iter().for_each(|label| key.import(hsm, label));
    assert_eq!(pair.adopt(&[key.key]), [Ok(())]);
    pair.runtime.block_on(pair.tokens.destroy(&key.key, later())).unwrap();
    assert_eq!(pair.adopt(&[key.key]), [Err(BackendError::KeyUnknown(key.key.id))]);
    let again = pair.runtime.block_on(pair.tokens.destroy(&key.key, later()));
    assert_eq!(again, Err(BackendError::KeyUnknown(key.key.id)), "and all tokens are well");
});

pair_case!(three_bad_signatures_stop_a_token_for_that_key_until_an_operator_has_it_proven, hsm => {
    let faulty = Faulty::new(hsm);
    let pair = Pair::open_with(hsm, |place, config| match place {
        0 => Pkcs11Config { module: faulty_module(), ..config },
        _ => config,
    });
    let [key, other] = [(); 2].map(|()| OutsideKey::p256(hsm));
    for key in [&key, &other] {
        LABELS.iter().for_each(|label| key.import(hsm, label));
    }
    assert_eq!(pair.adopt(&[key.key, other.key]), [Ok(()), Ok(())]);
    faulty.script("rule = [{ fn = 'C_Sign', output = 'corrupt' }]");
    let (mut bad, mut stopped) = (0, None);
    while stopped.is_none() {
        let raw = pair.sign(&key.key, b"m", later()).unwrap();
        if key.public.verify(super::pair::SCHEME, b"m", &raw.bytes).is_err() {
            bad += 1;
            stopped = pair.tokens.doubt(&raw);
        }
        assert!(bad <= 3);
    }
    assert_eq!((bad, stopped.as_deref()), (3, Some("token-0")));
    // From now on every signature by that key is one of the other token's; other keys go on.
    pair.signs(&key, 50);
    assert_eq!(pair.tokens.statuses()[0].suspect_key_count, 1);
    assert!(pair.tokens.replicas(&other.key).iter().all(|report| report.replica.is_proven()));
    // A proof that fails ends no suspicion, nor does the token's own good word.
    assert_eq!(pair.prove(&key.key)[0], Replica::Suspect);
    faulty.script("");
    assert_eq!(pair.adopt(&[key.key]), [Ok(())]);
    assert_eq!(pair.tokens.replicas(&key.key)[0].replica, Replica::Suspect);
    assert!(pair.prove(&key.key)[0].is_proven());
    assert_eq!(pair.tokens.statuses()[0].suspect_key_count, 0);
});
