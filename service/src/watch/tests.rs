//! The watch with a real store and a clock that is set by hand.

use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::profile::Catalog;

use super::alert::tests::expiry;
use super::sink::{AlertSink, Delivery, Undelivered};
use super::*;
use crate::clock::Clock;
use crate::store::OpenMode;

#[derive(Debug)]
struct ManualClock(Mutex<Timestamp>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A sink that remembers, and fails as often as it is told.
#[derive(Debug, Default)]
struct Recorder {
    name: &'static str,
    taken: Mutex<Vec<String>>,
    tried: Mutex<Vec<Timestamp>>,
    failures_left: Mutex<usize>,
}

impl AlertSink for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> Delivery<'a> {
        self.tried.lock().unwrap().push(now);
        let mut left = self.failures_left.lock().unwrap();
        let outcome = if *left > 0 {
            *left -= 1;
            Err(Undelivered {
                reason: "REFUSED",
                detail: "HTTP 503".to_owned(),
                retry_after: None,
            })
        } else {
            self.taken.lock().unwrap().push(alert.id.clone());
            Ok(())
        };
        Box::pin(std::future::ready(outcome))
    }
}

fn recorder(name: &'static str) -> Arc<Recorder> {
    Arc::new(Recorder {
        name,
        ..Recorder::default()
    })
}

fn start() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A watch over one server certificate of a year.
struct Scene {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    certificate: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        use sealkeep_sandbox::pki::{Pki, Subject};
        let subject = Subject {
            name: "sealkeepd".to_owned(),
            dns_names: vec!["localhost".to_owned()],
            server: true,
            days: 365,
            ..Subject::default()
        };
        let issued = Pki::create(start()).unwrap().issue(&subject, start());
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock(Mutex::new(start()))),
            certificate: issued.unwrap().certificate.to_vec(),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        Path::join(self.dir.path(), "s.db")
    }

    /// Opens the store as a start of the service does.
    async fn open(&self, sinks: &[&Arc<Recorder>]) -> Watch {
        let store = Store::open(&self.file().into(), OpenMode::Create)
            .await
            .unwrap();
        let catalog = Arc::new(Catalog::beside_shipped(Vec::new()).unwrap());
        let world = World::open(store, catalog).await.unwrap();
        let der = self.certificate.clone();
        let own: OwnCertificates = Arc::new(move || {
            vec![OwnCertificate {
                kind: Kind::ServerCertificate,
                der: der.clone(),
            }]
        });
        let sinks = sinks
            .iter()
            .map(|sink| (*sink).clone() as Arc<dyn AlertSink>);
        let sources = Sources {
            certificates: own,
            secrets: SecretFiles::default(),
            revocation: RevocationRules::default(),
        };
        Watch::open(
            self.clock.clone(),
            Arc::new(world),
            sources,
            sinks.collect(),
        )
        .await
        .unwrap()
    }

    fn set(&self, now: Timestamp) {
        *self.clock.0.lock().unwrap() = now;
    }
}

/// A year and a bit, every six hours, with a restart every month: each step once, in order, to each sink.
#[tokio::test]
async fn each_alert_fires_once_across_restarts() {
    let scene = Scene::new();
    let (one, two) = (recorder("one"), recorder("two"));
    let mut watch = scene.open(&[&one, &two]).await;
    for tick in 0..4 * 400 {
        scene.set(start() + hours(6 * tick));
        if tick % 120 == 119 {
            watch.0.store.close().await;
            drop(watch);
            watch = scene.open(&[&one, &two]).await;
        }
        watch.evaluate().await.unwrap();
        watch.deliver().await.unwrap();
    }
    let taken = one.taken.lock().unwrap().clone();
    let ends: Vec<_> = taken
        .iter()
        .map(|id| id.rsplit_once('-').unwrap().1)
        .collect();
    let wanted = [
        "3", "6", "12", "14d", "7d", "6d", "5d", "4d", "3d", "2d", "1d", "0d", "1d", "2d", "3d",
        "4d", "5d", "6d", "7d",
    ];
    assert_eq!(ends[..wanted.len()], wanted, "{taken:?}");
    let distinct: std::collections::HashSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (wanted.len(), wanted.len()));
    assert_eq!(*two.taken.lock().unwrap(), taken);
}

/// A receiver that is away is asked again later and later, under the same id; another one has it at once.
#[tokio::test]
async fn a_failed_delivery_is_tried_again_across_a_restart() {
    let scene = Scene::new();
    let (away, there) = (recorder("away"), recorder("there"));
    *away.failures_left.lock().unwrap() = 3;
    let begun = start() + hours(24 * 350);
    scene.set(begun);
    let watch = scene.open(&[&away, &there]).await;
    let raised = watch.evaluate().await.unwrap();
    assert_eq!(raised.len(), 1);
    let next = watch.deliver().await.unwrap().unwrap();
    assert_eq!(next, begun + SignedDuration::from_secs(PAUSE_FIRST_S));
    assert_eq!(
        watch.deliver().await.unwrap(),
        Some(next),
        "not before its time"
    );

    watch.0.store.close().await;
    drop(watch);
    let watch = scene.open(&[&away, &there]).await;
    assert!(watch.evaluate().await.unwrap().is_empty(), "told already");
    let mut next = Some(next);
    while let Some(at) = next {
        scene.set(at);
        next = watch.deliver().await.unwrap();
    }
    let tried: Vec<_> = away.tried.lock().unwrap().clone();
    let pauses: Vec<_> = tried
        .windows(2)
        .map(|pair| pair[1].as_second() - pair[0].as_second())
        .collect();
    assert_eq!(pauses, [5, 20, 80]);
    let id = vec![raised[0].id.clone()];
    assert_eq!(*away.taken.lock().unwrap(), id);
    assert_eq!(*there.taken.lock().unwrap(), id);
    assert_eq!(there.tried.lock().unwrap().len(), 1);
}

/// What cannot be remembered is not told, and is due still.
#[tokio::test]
async fn nothing_is_told_that_cannot_be_remembered() {
    let scene = Scene::new();
    let sink = recorder("sink");
    scene.set(start() + hours(24 * 350));
    let watch = scene.open(&[&sink]).await;
    let mut raised = watch.subscribe();
    let store = &watch.0.store;
    store
        .execute_for_test(
            "CREATE TRIGGER full BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .await;
    assert!(watch.evaluate().await.is_err());
    watch.deliver().await.unwrap();
    assert!(raised.try_recv().is_err() && sink.tried.lock().unwrap().is_empty());
    store.execute_for_test("DROP TRIGGER full").await;
    assert_eq!(watch.evaluate().await.unwrap().len(), 1);
    watch.deliver().await.unwrap();
    assert_eq!(sink.taken.lock().unwrap().len(), 1);
    assert!(raised.try_recv().is_ok());
}

#[tokio::test]
async fn alerts_of_the_past_can_be_asked_for_and_are_forgotten_in_the_end() {
    let scene = Scene::new();
    let sink = recorder("sink");
    scene.set(start() + hours(24 * 350));
    let watch = scene.open(&[&sink]).await;
    let raised = watch.evaluate().await.unwrap();
    assert_eq!(watch.alerts_since(start()).await.unwrap(), raised);
    let later = scene.clock.now() + hours(1);
    assert!(watch.alerts_since(later).await.unwrap().is_empty());

    scene.set(later + hours(24 * ALERTS_KEPT_DAYS));
    watch.0.store.close().await;
    drop(watch);
    let watch = scene.open(&[&sink]).await;
    assert!(watch.alerts_since(start()).await.unwrap().is_empty());
    assert_eq!(watch.0.store.deliveries_pending("sink").await.unwrap(), 0);
}

/// 10,000 versions are looked through in a moment.
#[test]
fn ten_thousand_things_are_looked_through_quickly() {
    let names: Vec<_> = (0..10_000).map(|n| format!("c{n}@1")).collect();
    let all: Vec<_> = names
        .iter()
        .map(|name| expiry(Kind::Version, name, start(), 365))
        .collect();
    let begun = crate::clock::monotonic();
    let alerts = due(&all, &HashSet::new(), start() + hours(24 * 360));
    assert_eq!(alerts.len(), 10_000);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}
