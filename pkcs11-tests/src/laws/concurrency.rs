//! Laws 35 and 37: one thread does not wait for another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::bench::{Bench, Kind, Pair, with_key};
use super::signing::{point, sign_p256};
use super::{Finding, Subject, Verdict, hold};

/// Signatures of each thread that works beside others.
const SIGNATURES_A_THREAD: u32 = 50;
const THREADS: usize = 4;
/// A key that is made faster than this holds nobody up.
const MAKING_MIN: Duration = Duration::from_millis(50);

pub(super) fn threads_sign_side_by_side(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |one| {
        with_key(&session, Kind::P256, &[], |other| {
            let keys = [with_point(&session, one)?, with_point(&session, other)?];
            let sessions: Vec<_> = (0..THREADS)
                .map(|_| bench.session())
                .collect::<Result<_, _>>()?;
            std::thread::scope(|scope| {
                let work = |(at, session): (usize, Session)| {
                    let (key, point) = keys[at % keys.len()].clone();
                    scope.spawn(move || {
                        (0..SIGNATURES_A_THREAD)
                            .try_for_each(|n| sign_p256(&session, key, &point, n))
                    })
                };
                let threads: Vec<_> = sessions.into_iter().enumerate().map(work).collect();
                let panicked = || Err(Finding::Broken("a thread panicked".to_owned()));
                threads
                    .into_iter()
                    .try_for_each(|thread| thread.join().unwrap_or_else(|_| panicked()))
            })
        })
    })
}

fn with_point(session: &Session, pair: &Pair) -> Result<(ObjectHandle, Vec<u8>), Finding> {
    Ok((pair.private, point(session, pair.public)?))
}

/// If the module does one thing after the other, one signature takes as long as making a key.
pub(super) fn making_a_key_does_not_stop_signatures(subject: &Subject) -> Verdict {
    let bench = Bench::new(subject)?;
    bench.needs(MechanismType::ECDSA)?;
    bench.needs(MechanismType::RSA_PKCS_KEY_PAIR_GEN)?;
    let session = bench.login(subject)?;
    with_key(&session, Kind::P256, &[], |pair| {
        let (key, point) = with_point(&session, pair)?;
        let maker = bench.session()?;
        let done = &AtomicBool::new(false);
        let (making, longest) = std::thread::scope(|scope| {
            let making = scope.spawn(move || {
                let made = make_long_key(&maker);
                done.store(true, Ordering::Release);
                made
            });
            let longest = longest_signature(&session, key, &point, done);
            let panicked = || Err(Finding::Broken("a thread panicked".to_owned()));
            Ok::<_, Finding>((making.join().unwrap_or_else(|_| panicked())?, longest?))
        })?;
        if making < MAKING_MIN {
            let told = format!("a key was made within {making:.1?}, too fast to tell");
            return Err(Finding::NotApplicable(told));
        }
        hold(longest < making / 2, || {
            format!("a key took {making:.1?} to make, and a signature meanwhile {longest:.1?}")
        })
    })
}

#[allow(clippy::disallowed_methods)] // How long things take is what the law is about.
fn make_long_key(session: &Session) -> Result<Duration, Finding> {
    let begun = Instant::now();
    let mut making = Duration::ZERO;
    with_key(session, Kind::LongRsa, &[], |_| {
        making = begun.elapsed();
        Ok(())
    })?;
    Ok(making)
}

/// Signs without a pause until it is done.
#[allow(clippy::disallowed_methods)] // How long things take is what the law is about.
fn longest_signature(
    session: &Session,
    key: ObjectHandle,
    point: &[u8],
    done: &AtomicBool,
) -> Result<Duration, Finding> {
    let mut longest = Duration::ZERO;
    for number in 0.. {
        let begun = Instant::now();
        sign_p256(session, key, point, number)?;
        longest = longest.max(begun.elapsed());
        if done.load(Ordering::Acquire) {
            break;
        }
    }
    Ok(longest)
}
