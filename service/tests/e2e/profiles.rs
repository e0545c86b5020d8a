//! The operator's own profiles: taken over when their files change, all or none.

use std::time::Duration;

use sealkeep_client::Error;
use sealkeep_client::v1::{KeyAlgorithm, Purpose};

use crate::house::{House, OFFICER, TPP, bank, payment};

/// A Berlin Group bank that wants other lines.
fn own(name: &str, signed: &str) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"Own\"\nsource = \"its portal\"\nconfidence = \"seen\"\n\
         extends = \"berlin-group-1.3.4\"\n[request.cavage]\nsigned = [{signed}]\n"
    )
}

/// A house whose service reads profiles of its own; not started yet.
fn house_with(files: &[(&str, &str)]) -> House {
    let house = House::build();
    std::fs::create_dir(house.dir().join("profiles")).unwrap();
    let config = house.config() + "[profiles]\ndirectory = \"profiles\"\n";
    std::fs::write(house.config_file(), config).unwrap();
    for (file, text) in files {
        put(&house, file, text);
    }
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house
}

/// Replaces a file in one step, as a careful operator does.
fn put(house: &House, file: &str, text: &str) {
    let path = house.dir().join("profiles").join(file);
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn remove(house: &House, file: &str) {
    std::fs::remove_file(house.dir().join("profiles").join(file)).unwrap();
}

/// The list of signed headers in a fresh signature.
async fn signed_list(house: &House, number: u32) -> Result<String, Error> {
    let mut request = payment();
    let id = format!("99391c7e-ad88-49ec-a2ad-{number:012}");
    request
        .headers_mut()
        .insert("x-request-id", id.parse().unwrap());
    let signed = house.connect(TPP).bank("bank").sign(request).await?;
    let signature = signed.headers()["signature"].to_str().unwrap().to_owned();
    let list = signature.split("headers=\"").nth(1).unwrap();
    Ok(list.split('"').next().unwrap().to_owned())
}

/// Waits until the log says it, anew.
async fn log_says(house: &House, from: usize, expected: &str) -> usize {
    for _ in 0..100 {
        let log = house.log();
        if log[from..].contains(expected) {
            return log.len();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{expected:?} is not in the log after byte {from}");
}

#[tokio::test]
async fn profiles_are_taken_over_when_sound_and_the_old_ones_stay_when_not() {
    let mut house = house_with(&[("own.toml", &own("own", "\"digest\", \"x-request-id\""))]);
    house.start();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await;
    let mut applied = bank("bank", &["seal"]);
    applied.profile = "own".to_owned();
    house.apply_bank(applied.clone()).await.unwrap();
    house.grant("bank", &["seal"]).await;
    assert_eq!(signed_list(&house, 1).await.unwrap(), "digest x-request-id");

    // A change is taken over, and recorded.
    put(
        &house,
        "own.toml",
        &own("own", "\"x-request-id\", \"digest\""),
    );
    let read = log_says(&house, 0, "profiles reloaded").await;
    assert_eq!(signed_list(&house, 2).await.unwrap(), "x-request-id digest");
    assert_eq!(house.records("profiles.load").await.len(), 1);

    // One wrong file refuses all.
    put(&house, "wrong.toml", &own("wrong", "\"digest\", \"Date\""));
    let wrong = "wrong.toml, line 7: `Date` is no signed field";
    let read = log_says(&house, read, wrong).await;
    let output = house.sealkeepd(&["check-config"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("PROFILES_INVALID") && text.contains(wrong),
        "{text}"
    );

    // So does a name that is taken; the sound change beside it waits until the other file is gone.
    put(&house, "own.toml", &own("own", "\"digest\""));
    put(&house, "wrong.toml", &own("own", "\"digest\""));
    let read = log_says(&house, read, "has a profile `own` already").await;
    assert_eq!(signed_list(&house, 3).await.unwrap(), "x-request-id digest");
    remove(&house, "wrong.toml");
    let read = log_says(&house, read, "profiles reloaded").await;
    assert_eq!(signed_list(&house, 4).await.unwrap(), "digest");

    // A bank keeps its profile, and one whose settings it has.
    remove(&house, "own.toml");
    let read = log_says(&house, read, "bank bank: there is no profile \"own\"").await;
    assert_eq!(signed_list(&house, 5).await.unwrap(), "digest");
    let demanding =
        own("own", "\"digest\"") + "key_id = { setting = \"kid\" }\n[settings]\nkid = \"an id\"\n";
    put(&house, "own.toml", &demanding);
    let read = log_says(&house, read, "setting kid is missing").await;
    assert_eq!(signed_list(&house, 6).await.unwrap(), "digest");

    // Once no bank names it, it may go.
    applied.profile = "berlin-group-1.3.4".to_owned();
    house.apply_bank(applied.clone()).await.unwrap();
    log_says(&house, read, "profiles reloaded").await;
    remove(&house, "own.toml");
    for _ in 0..100 {
        if house.records("profiles.load").await.len() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    applied.profile = "own".to_owned();
    let error = house.apply_bank(applied).await.unwrap_err().to_string();
    assert!(error.contains("no profile"), "{error}");
    assert_eq!(house.verify_log().await.faults, []);
}

#[test]
fn a_wrong_profile_stops_the_start_with_its_file_and_line() {
    let house = house_with(&[("own.toml", &own("own", "\"digest\", \"digest\""))]);
    let output = house.sealkeepd(&["run"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("PROFILES_INVALID"), "{text}");
    assert!(text.contains("own.toml, line 7"), "{text}");
    assert_eq!(output.status.code(), Some(78));
    remove(&house, "own.toml");
    std::fs::remove_dir(house.dir().join("profiles")).unwrap();
    let output = house.sealkeepd(&["check-config"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("PROFILES_INVALID"), "{text}");
}

/// Kubernetes mounts hidden folders, editors leave copies: only visible `*.toml` count.
#[test]
fn other_files_in_the_directory_are_no_profiles() {
    let house = house_with(&[
        (".hidden.toml", "not TOML"),
        ("readme.md", "not TOML"),
        ("own.toml~", "x"),
    ]);
    let output = house.sealkeepd(&["check-config"]);
    assert!(output.status.success(), "{output:?}");
}
