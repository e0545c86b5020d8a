use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::SystemClock;

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn in_ms(milliseconds: i64) -> Timestamp {
    clock().now() + SignedDuration::from_millis(milliseconds)
}

/// A bank that changes over until an instant, as the decision about a request sees it.
fn changes_over(until: Timestamp) -> impl Fn() -> Result<&'static str, SigningError> {
    move || match until.duration_since(clock().now()) {
        left if left.is_positive() => Err(SigningError::Held {
            bank: "bank".to_owned(),
            until,
            retry_after: Duration::try_from(left).unwrap(),
        }),
        _ => Ok("signed"),
    }
}

fn patience(clock: &SharedClock, changed: watch::Receiver<u64>, left_ms: u64) -> Patience<'_> {
    let left = Duration::from_millis(left_ms);
    Patience {
        clock,
        changed,
        left,
    }
}

#[tokio::test]
async fn a_request_with_time_waits_for_the_new_version() {
    let (held, clock, (_said, changed)) = (Held::default(), clock(), watch::channel(0));
    let until = in_ms(60);
    let signed = held.wait_out(patience(&clock, changed, 5_000), changes_over(until));
    assert_eq!(signed.await.unwrap(), "signed");
    assert!(clock.now() >= until);
    assert!(
        held.seats.lock().unwrap().is_empty(),
        "the place is given back"
    );
    assert_eq!(held.waiting.get(), 0);
}

#[tokio::test]
async fn a_request_without_time_is_told_at_once_when_to_come_again() {
    let (held, clock, (_said, changed)) = (Held::default(), clock(), watch::channel(0));
    let until = in_ms(3_600_000);
    let refused = held.wait_out(
        patience(&clock, changed.clone(), 5_000),
        changes_over(until),
    );
    let Err(SigningError::Held { retry_after, .. }) = refused.await else {
        panic!("not held");
    };
    assert!(
        (3_500..=3_600).contains(&retry_after.as_secs()),
        "{retry_after:?}"
    );
    // The time for the signature itself is not spent waiting.
    let until = in_ms(1_000);
    let refused = held.wait_out(patience(&clock, changed, 1_100), changes_over(until));
    assert!(matches!(refused.await, Err(SigningError::Held { .. })));
}

#[tokio::test]
async fn no_more_wait_for_a_bank_than_there_are_places() {
    let (held, clock, (said, changed)) = (Held::default(), clock(), watch::channel(0));
    let ends = Arc::new(AtomicUsize::new(0));
    let until = in_ms(60_000);
    let decide = {
        let ends = ends.clone();
        move || match ends.load(Ordering::SeqCst) {
            0 => changes_over(until)(),
            _ => Ok("signed"),
        }
    };
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..HELD_PER_BANK_MAX {
        let (held, clock, changed, decide) =
            (held.clone(), clock.clone(), changed.clone(), decide.clone());
        waiting.spawn(async move {
            let waits = held.wait_out(patience(&clock, changed, 120_000), decide);
            waits.await.is_ok()
        });
    }
    while held.waiting.get() < i64::try_from(HELD_PER_BANK_MAX).unwrap() {
        tokio::task::yield_now().await;
    }
    let refused = held.wait_out(patience(&clock, changed, 120_000), &decide);
    assert!(matches!(refused.await, Err(SigningError::Held { .. })));
    // Another bank has places of its own.
    assert!(held.seat("other").is_some());
    // Word of a change ends the wait before its time.
    ends.store(1, Ordering::SeqCst);
    said.send_replace(1);
    assert_eq!(waiting.join_all().await, vec![true; HELD_PER_BANK_MAX]);
    assert!(held.seats.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back() {
    let (held, clock, (_said, changed)) = (Held::default(), clock(), watch::channel(0));
    let decide = changes_over(in_ms(60_000));
    let waits = held.wait_out(patience(&clock, changed, 120_000), decide);
    {
        let mut waits = std::pin::pin!(waits);
        let once = std::future::poll_fn(|cx| {
            let pending = waits.as_mut().poll(cx).is_pending();
            std::task::Poll::Ready(pending)
        });
        assert!(once.await);
        assert_eq!(held.waiting.get(), 1);
    }
    assert_eq!(held.waiting.get(), 0);
}

#[tokio::test]
async fn a_moment_that_moves_out_of_reach_ends_the_wait() {
    let (held, clock, (said, changed)) = (Held::default(), clock(), watch::channel(0));
    let moved = Arc::new(AtomicUsize::new(0));
    let (near, far) = (in_ms(60_000), in_ms(600_000));
    let decide = || match moved.load(Ordering::SeqCst) {
        0 => changes_over(near)(),
        _ => changes_over(far)(),
    };
    let waits = held.wait_out(patience(&clock, changed, 120_000), decide);
    let moves = async {
        while held.waiting.get() == 0 {
            tokio::task::yield_now().await;
        }
        moved.store(1, Ordering::SeqCst);
        said.send_replace(1);
    };
    let (refused, ()) = tokio::join!(waits, moves);
    assert!(matches!(refused, Err(SigningError::Held { until, .. }) if until == far));
}
