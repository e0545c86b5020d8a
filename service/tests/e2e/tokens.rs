//! Several tokens: sets that hold the same keys, and tokens with keys of their own.
//!
//! The second token of a set is a clone of the first, as HSM vendors make them: it shares no file with it, and has a new
//! key only after somebody copied it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::status_service_client::StatusServiceClient;
use sealkeep_client::v1::{
    GetStatusRequest, KeyAlgorithm, KeyReplica, ProveKeyRequest, Purpose, ReplicaState, TokenStatus,
};
use sealkeep_client::{BodySource, Error};

use crate::house::{House, OFFICER, TPP, bank, payment};
use crate::worker::{Load, has_worker, signal};

/// Losses of one of the two tokens.
const LOSSES: u32 = 8;
/// Signatures between two losses.
const SIGNATURES_PER_LOSS: u64 = 40;
/// Until a token that was lost is back.
const BACK_MAX: Duration = Duration::from_secs(10);

/// A house whose one token is two: `hsm-a`, and its clone `hsm-b` in a folder of its own.
fn house_with_clone() -> House {
    let mut house = House::build();
    let home = house.dir().join("clone");
    copy(&house.hsm.token_dir(), &home.join("tokens"));
    let conf = std::fs::read_to_string(house.hsm.conf()).unwrap();
    let tokens = |dir: &Path| dir.join("tokens").display().to_string();
    let conf = conf.replace(&tokens(house.dir()), &tokens(&home));
    // SoftHSM looks here when no variable leads elsewhere.
    std::fs::create_dir_all(home.join(".config/softhsm2")).unwrap();
    std::fs::write(home.join(".config/softhsm2/softhsm2.conf"), conf).unwrap();
    house.environment = vec![("HOME", home)];
    let first = table(&house).replace(
        "[token]\nname = \"main\"",
        "[[token]]\nname = \"hsm-a\"\nset = \"hsm\"",
    );
    let second = first.replace("hsm-a", "hsm-b");
    let second = format!(
        "{second}serial = \"{}\"\nworker_environment = [\"HOME\"]\nworker_write_paths = [\"clone\"]\n",
        serial(&house)
    );
    write_tokens(&house, &format!("{first}{second}"));
    start(&mut house);
    house
}

fn start(house: &mut House) {
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house.start();
}

/// The table of the one token.
fn table(house: &House) -> String {
    let config = house.config();
    let begin = config.find("[token]").unwrap();
    config[begin..config.find("[store]").unwrap()].to_owned()
}

fn write_tokens(house: &House, tables: &str) {
    let config = house.config().replace(&table(house), tables);
    std::fs::write(house.config_file(), config).unwrap();
}

fn serial(house: &House) -> String {
    let listed = house.hsm.run("softhsm2-util", ["--show-slots"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let ours = text
        .split("Slot ")
        .find(|slot| slot.contains(house.hsm.label()));
    let serial = ours
        .unwrap()
        .lines()
        .find_map(|line| line.trim().strip_prefix("Serial number:"));
    serial.unwrap().trim().to_owned()
}

/// What the vendor's tool does.
fn replicate(house: &House) {
    copy(&house.hsm.token_dir(), &house.dir().join("clone/tokens"));
}

fn copy(from: &Path, to: &PathBuf) {
    std::fs::create_dir_all(to).unwrap();
    let contents = format!("{}/.", from.display());
    let copied = std::process::Command::new("cp")
        .args(["-r", &contents])
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

async fn prove(house: &House, name: &str) -> Result<Vec<KeyReplica>, Error> {
    let request = ProveKeyRequest {
        name: format!("credentials/{name}"),
    };
    let officer = house.connect(OFFICER);
    let answer = officer.call(request, async |channel, request| {
        CredentialServiceClient::new(channel)
            .prove_key(request)
            .await
    });
    Ok(answer.await?.replicas)
}

fn states(replicas: &[KeyReplica]) -> Vec<(&str, ReplicaState)> {
    replicas
        .iter()
        .map(|it| (it.token.as_str(), it.state()))
        .collect()
}

async fn tokens(house: &House) -> Vec<TokenStatus> {
    let officer = house.connect(OFFICER);
    let answer = officer.call(GetStatusRequest {}, async |channel, request| {
        StatusServiceClient::new(channel).get_status(request).await
    });
    answer.await.unwrap().tokens
}

async fn seal(house: &House, name: &str) {
    let key = KeyAlgorithm::EcP256;
    let enrolled = house.enrol(name, Purpose::Seal, key).await.unwrap();
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    house.install(name, chain).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_waits_until_every_token_of_its_set_has_the_key() {
    if !has_worker() {
        return;
    }
    let house = house_with_clone();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    assert_eq!(enrolled.version.unwrap().token, "hsm");
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    let installed = house.install("seal", chain).await.unwrap();
    let finding = installed
        .findings
        .iter()
        .find(|it| it.code == "key.replicas")
        .unwrap();
    assert!(
        !finding.blocking && finding.way_out.contains("credential prove"),
        "{finding:?}"
    );

    let refused = house.activate("seal", false).await.unwrap_err();
    assert_eq!(refused.reason(), "KEY_NOT_REPLICATED", "{refused}");
    let before = prove(&house, "seal").await.unwrap();
    let missing = before
        .iter()
        .find(|it| it.state() == ReplicaState::Missing)
        .unwrap();
    let status = tokens(&house).await;
    let lacks = |name: &str| {
        status
            .iter()
            .find(|it| it.name == name)
            .unwrap()
            .missing_key_count
    };
    assert_eq!(lacks(&missing.token), 1, "{status:?}");
    assert!(
        refused
            .to_string()
            .contains(&format!("{}: missing", missing.token)),
        "{refused}"
    );

    if missing.token == "hsm-a" {
        // The key was made in the clone: the other way round.
        copy(&house.dir().join("clone/tokens"), &house.hsm.token_dir());
    } else {
        replicate(&house);
    }
    // Activation asks by itself; the proof tells who has it.
    house.activate("seal", false).await.unwrap();
    let after = prove(&house, "seal").await.unwrap();
    assert_eq!(
        states(&after),
        [
            ("hsm-a", ReplicaState::Proven),
            ("hsm-b", ReplicaState::Proven)
        ]
    );
    assert!(
        tokens(&house)
            .await
            .iter()
            .all(|it| it.missing_key_count == 0 && it.set == "hsm")
    );
    assert_eq!(house.verify_log().await.faults, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_token_of_a_set_costs_no_caller_an_error() {
    if !has_worker() {
        return;
    }
    let house = house_with_clone();
    seal(&house, "seal").await;
    replicate(&house);
    if house.activate("seal", false).await.is_err() {
        copy(&house.dir().join("clone/tokens"), &house.hsm.token_dir());
        house.activate("seal", false).await.unwrap();
    }
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let load = Load::start(&house);
    for loss in 0..LOSSES {
        load.signs(SIGNATURES_PER_LOSS).await;
        let workers = house.worker_pids();
        let name = if loss % 4 == 3 { "-STOP" } else { "-KILL" };
        signal(name, workers[loss as usize % workers.len()]);
        load.signs(SIGNATURES_PER_LOSS).await;
        let begun = std::time::Instant::now();
        while !(house.worker_pids().len() == 2 && tokens(&house).await.iter().all(|it| it.ready)) {
            assert!(begun.elapsed() < BACK_MAX, "loss {loss}");
        }
    }
    let (records, failed) = load.end().await;
    println!(
        "{LOSSES} losses, {} signatures, {} errors",
        records.len(),
        failed.len()
    );
    assert_eq!(
        failed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    assert_eq!(house.verify_log().await.faults, []);
}

/// A house whose module breaks what its script says.
fn house_with_faults() -> House {
    let mut house = House::build();
    // Cargo builds the module beside the tests that depend on it.
    let test = std::env::current_exe().unwrap();
    let faulty = test.with_file_name("libsealkeep_pkcs11_faulty.so");
    let real = house.hsm.module().to_owned();
    house.environment = vec![
        ("P11FAULT_MODULE", real.clone()),
        ("P11FAULT_SCRIPT", house.dir().join("faults.toml")),
        ("P11FAULT_TRACE", house.dir().join("trace.jsonl")),
    ];
    script(&house, "");
    let tables = table(&house).replace(&real.display().to_string(), &faulty.display().to_string());
    // Its script and its trace lie beside the configuration.
    let tables = format!("{tables}worker_write_paths = [\".\"]\n");
    write_tokens(&house, &tables);
    start(&mut house);
    house
}

fn script(house: &House, text: &str) {
    let (new, file) = (
        house.dir().join("faults.new"),
        house.dir().join("faults.toml"),
    );
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn sign(house: &House) -> Result<(), Error> {
    let (parts, body) = payment().into_parts();
    let tpp = house.connect(TPP);
    let signed = tpp
        .bank("bank")
        .sign_parts(&parts, BodySource::Bytes(body.as_bytes()))
        .await;
    signed.map(drop)
}

async fn refusal(house: &House) -> String {
    sign(house).await.unwrap_err().reason().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_signatures_do_not_verify_is_stopped_until_an_officer_has_the_key_proven() {
    let mut house = house_with_faults();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    sign(&house).await.unwrap();

    script(&house, "rule = [{ fn = 'C_Sign', output = 'corrupt' }]");
    let reasons = [
        refusal(&house).await,
        refusal(&house).await,
        refusal(&house).await,
    ];
    assert_eq!(reasons, ["SELF_VERIFICATION_FAILED"; 3]);
    assert_eq!(refusal(&house).await, "KEY_SUSPECT");
    let records = house.records("key.suspect").await;
    assert_eq!(records.len(), 1);
    assert!(
        records[0].line.contains("\"version\":\"seal@1\""),
        "{}",
        records[0].line
    );
    assert_eq!(tokens(&house).await[0].suspect_key_count, 1);
    // A proof that fails changes nothing, nor does a token that is well again, nor another start.
    assert_eq!(
        prove(&house, "seal").await.unwrap()[0].state(),
        ReplicaState::Suspect
    );
    script(&house, "");
    assert_eq!(refusal(&house).await, "KEY_SUSPECT");
    house.stop().await;
    house.start();
    assert_eq!(refusal(&house).await, "KEY_SUSPECT");

    assert_eq!(
        prove(&house, "seal").await.unwrap()[0].state(),
        ReplicaState::Proven
    );
    sign(&house).await.unwrap();
    house.stop().await;
    house.start();
    sign(&house).await.unwrap();
    assert_eq!(house.records("key.prove").await.len(), 2);
    assert_eq!(house.verify_log().await.faults, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_with_keys_of_their_own_do_not_need_each_other() {
    if !has_worker() {
        return;
    }
    let mut house = House::build();
    house.hsm.add_token("second");
    let first = table(&house).replace("[token]", "[[token]]");
    let second = first.replace("name = \"main\"", "name = \"second\"");
    let second = second.replace(house.hsm.label(), "second");
    write_tokens(&house, &format!("{first}{second}"));
    start(&mut house);

    let elsewhere = |token| house.enrol_at(token, "elsewhere", Purpose::Seal, KeyAlgorithm::EcP256);
    let unknown = elsewhere("third").await.unwrap_err();
    assert_eq!(unknown.reason(), "TOKEN_NOT_CONFIGURED", "{unknown}");
    let enrolled = elsewhere("second").await.unwrap();
    assert_eq!(enrolled.version.unwrap().token, "second");
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let keys: Vec<_> = tokens(&house)
        .await
        .iter()
        .map(|it| (it.name.clone(), it.key_count))
        .collect();
    assert_eq!(keys, [("main".to_owned(), 1), ("second".to_owned(), 1)]);

    // The second token is gone at the next start; the first one serves.
    house.stop().await;
    let gone = second.replace("label = \"second\"", "label = \"gone\"");
    write_tokens(&house, &format!("{first}{gone}"));
    house.start();
    let status = tokens(&house).await;
    assert_eq!(
        status.iter().map(|it| it.ready).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(status[1].problem.contains("gone"), "{status:?}");
    let (parts, body) = payment().into_parts();
    let tpp = house.connect(TPP);
    tpp.bank("bank")
        .sign_parts(&parts, BodySource::Bytes(body.as_bytes()))
        .await
        .unwrap();
}
