//! Imports that must not pass, each with its reason.
#![allow(clippy::unwrap_used)]

use sealkeep_sandbox::key::KeyKind;

use super::super::tests::{NOW, Scene};
use super::*;

const SANDBOX: Environment = Environment::Sandbox;

fn batch(scene: &Scene) -> Batch {
    let signers = vec![(SANDBOX, scene.commission())];
    Batch::new(signers, BTreeMap::new(), NOW)
}

fn reasons(mut batch: Batch, files: &[&str]) -> Vec<&'static str> {
    for (at, file) in files.iter().enumerate() {
        batch.take(&format!("{at}.xml"), file.as_bytes());
    }
    let problems = batch.finish().map_or_else(|p| p, |_| Vec::new());
    problems.iter().map(|problem| problem.reason).collect()
}

#[test]
fn takes_the_list_of_the_lists_with_a_national_one() {
    let scene = Scene::new(KeyKind::EcP256);
    let mut batch = batch(&scene);
    let list = scene.list();
    batch.take("lotl.xml", scene.lotl().as_bytes());
    batch.take("list.xml", list.as_bytes());
    let taken = batch.finish().unwrap();
    let ids: Vec<_> = taken.iter().map(|i| i.id.to_string()).collect();
    assert_eq!(ids, ["sandbox/EU", "sandbox/FR"]);
    let digest: [u8; 32] = Sha256::digest(list.as_bytes()).into();
    assert_eq!(taken[1].file_sha256, digest);
}

#[test]
fn refuses_each_with_its_reason() {
    let (scene, stranger) = (Scene::new(KeyKind::EcP256), Scene::new(KeyKind::EcP256));
    let (lotl, list) = (scene.lotl(), scene.list());
    let stale = |days| {
        let mut entry = scene.entry();
        entry.next_update_days = days;
        scene.supervisor.list(&scene.qtsp, &entry, NOW).unwrap()
    };
    let later = NOW + SignedDuration::from_hours(1);
    let future = scene
        .supervisor
        .list(&scene.qtsp, &scene.entry(), later)
        .unwrap();
    for (files, expected) in [
        (vec![list.as_str()], vec!["SIGNER_UNKNOWN"]),
        (
            vec![&stranger.lotl(), &list],
            vec!["SIGNER_UNKNOWN", "LIST_OF_LISTS_REFUSED"],
        ),
        (vec![&lotl, &stranger.list()], vec!["SIGNER_UNKNOWN"]),
        (vec![&lotl, &lotl], vec!["SIGNER_UNKNOWN"]),
        (vec![&lotl, &list, &list], vec!["LIST_TWICE"]),
        (vec![&lotl, &stale(-1)], vec!["LIST_STALE"]),
        (vec![&lotl, &future], vec!["LIST_FUTURE"]),
        (
            vec![&lotl, &list, "", &stale(-1)],
            vec!["LIST_UNREADABLE", "LIST_STALE"],
        ),
    ] {
        assert_eq!(reasons(batch(&scene), &files), expected);
    }
    let many: Vec<&str> = std::iter::once(lotl.as_str())
        .chain(std::iter::repeat_n("", FILES_MAX))
        .collect();
    assert_eq!(
        reasons(batch(&scene), &many).last(),
        Some(&"TOO_MANY_FILES")
    );
}

/// The state's key may sign its own list and no other, though the list of the lists names it.
#[test]
fn a_signer_is_one_for_its_territory_only() {
    let scene = Scene::new(KeyKind::EcP256);
    let mut batch = batch(&scene);
    batch.take("lotl.xml", scene.lotl().as_bytes());
    let directory = batch.directory.as_mut().unwrap();
    directory.pointers[0].territory = "DE".try_into().unwrap();
    batch.take("list.xml", scene.list().as_bytes());
    assert_eq!(batch.finish().unwrap_err()[0].reason, "SIGNER_UNKNOWN");
}

#[test]
fn refuses_an_older_issue_of_a_list_that_is_known() {
    let scene = Scene::new(KeyKind::EcP256);
    let mut first = batch(&scene);
    first.take("lotl.xml", scene.lotl().as_bytes());
    first.take("list.xml", scene.list().as_bytes());
    let known: BTreeMap<_, _> = first
        .finish()
        .unwrap()
        .into_iter()
        .map(|imported| (imported.id.clone(), Arc::new(imported)))
        .collect();
    let signers = || vec![(SANDBOX, scene.commission())];
    let again = Batch::new(signers(), known.clone(), NOW);
    let files = [scene.lotl(), scene.list()];
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    assert!(
        reasons(again, &files).is_empty(),
        "the same issue is no older one"
    );
    let before = NOW - SignedDuration::from_hours(1);
    let older = scene
        .supervisor
        .list(&scene.qtsp, &scene.entry(), before)
        .unwrap();
    let again = Batch::new(signers(), known, NOW);
    assert_eq!(reasons(again, &[files[0], &older]), ["LIST_OLDER"]);
}
