use super::*;

const SAMPLE: &str = include_str!("../../../deploy/sealkeep.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("c.toml"), text).map_err(|error| error.to_string())
}

/// What stands in the sample as comments, by the word at the end of the line.
const OPTIONAL: [&str; 5] = ["# webhook", "# publication", "# manual", "# cmp", "# acme"];

/// The sample with what stands in it as comments; but for PostgreSQL, which takes the place of something.
fn with_options() -> String {
    uncommented(&OPTIONAL, |table| table != "[store.postgres]")
}

/// The sample with PostgreSQL beside the file.
fn with_both_stores() -> String {
    uncommented(&["# postgres"], |table| table == "[store.postgres]")
}

fn uncommented(words: &[&str], is_wanted: impl Fn(&str) -> bool) -> String {
    let lines = SAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') && is_wanted(rest) => rest,
        Some(rest) if rest.contains(" = ") && words.iter().any(|word| rest.contains(word)) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn one_store_or_the_other() {
    let both = with_both_stores();
    let error = parse(&both).unwrap_err();
    assert!(error.contains("store.sqlite_file"), "{error}");
    let none = SAMPLE.replace("sqlite_file =", "# sqlite_file =");
    assert!(parse(&none).unwrap_err().contains("store.sqlite_file"));
    let config = parse(&both.replace("sqlite_file =", "# sqlite_file =")).unwrap();
    let marker = config.pin_marker(&config.tokens[0]);
    assert!(marker.starts_with(config.store.postgres.unwrap().local_directory));
}

#[test]
fn the_sample_parses() {
    parse(SAMPLE).unwrap();
    let config = parse(&with_options()).unwrap();
    assert_eq!(config.watch.webhook.len(), 1);
    let names: Vec<_> = config.enroller.iter().map(|e| e.name().as_str()).collect();
    assert_eq!(names, ["by-hand", "my-qtsp", "my-acme-ca"]);
    assert_eq!(config.publication.unwrap().urls.len(), 1);
}

#[test]
fn refuses_unknown_keys_by_name() {
    let error = parse(&SAMPLE.replace("session_count", "sesion_count")).unwrap_err();
    assert!(
        error.contains("sesion_count") && error.contains("line"),
        "{error}"
    );
}

#[test]
fn refuses_values_out_of_range_by_name() {
    for (from, to, field) in [
        (
            "session_count = 4",
            "session_count = 0",
            "token.session_count",
        ),
        (
            "destroy_delay_s = 86400",
            "destroy_delay_s = 0",
            "approval.destroy_delay_s",
        ),
        ("module = \"/", "module = \"", "token.module"),
        (
            "drain_timeout_s = 10",
            "drain_timeout_s = 0",
            "runtime.drain_timeout_s",
        ),
        (
            "interval_s = 86400",
            "interval_s = 0",
            "revocation.interval_s",
        ),
        (
            "age_s_max = 259200",
            "age_s_max = 0",
            "revocation.age_s_max",
        ),
        (
            "interval_s = 86400",
            "interval_s = 86400\nproxy = \"https://proxy.example:3128\"",
            "revocation.proxy",
        ),
        ("name = \"oncall\"", "name = \"log\"", "watch.webhook.name"),
        ("name = \"by-hand\"", "name = \"my-qtsp\"", "enroller.name"),
        (
            "overdue_after_h = 336",
            "overdue_after_h = 0",
            "enroller.overdue_after_h",
        ),
        (
            "overdue_after_h = 24",
            "overdue_after_hours = 24",
            "overdue_after_hours",
        ),
        ("kind = \"manual\"", "kind = \"by-hand\"", "by-hand"),
        ("url = \"http://cmp", "url = \"https://cmp", "enroller.url"),
        (
            "reference = \"acme-123\"",
            "reference = \"\"",
            "enroller.reference",
        ),
        (
            "pin_file = ",
            "pin_credential = \"p\"\npin_file = ",
            "token.pin_file",
        ),
    ] {
        let sample = with_options();
        assert!(sample.contains(from), "{from}");
        let error = parse(&sample.replace(from, to)).unwrap_err();
        assert!(error.contains(field), "{error}");
    }
}

/// The sample with two tokens, the second one changed.
fn with_two_tokens(change: impl Fn(String) -> String) -> Result<Config, String> {
    let begin = SAMPLE.find("[token]").unwrap();
    let end = begin + SAMPLE[begin..].find("[store]").unwrap();
    let first = SAMPLE[begin..end].replacen("[token]", "[[token]]\nset = \"hsm\"", 1);
    let second = first.replace("name = \"main\"", "name = \"spare\"");
    let second = change(second.replace("label = \"sealkeep\"", "label = \"sealkeep-spare\""));
    parse(&format!(
        "{}{first}{second}{}",
        &SAMPLE[..begin],
        &SAMPLE[end..]
    ))
}

#[test]
fn one_token_or_several_in_sets() {
    let config = parse(SAMPLE).unwrap();
    let only = &config.tokens[0];
    assert_eq!((config.tokens.len(), only.set_name()), (1, "main"));
    assert!(config.pin_marker(only).ends_with("sealkeep.db.pin/refused"));

    let config = with_two_tokens(|text| text).unwrap();
    let sets: Vec<_> = config.tokens.iter().map(TokenConfig::set_name).collect();
    assert_eq!(sets, ["hsm", "hsm"]);
    let spare = config.token(Some("spare")).unwrap();
    let marker = config.pin_marker(spare);
    assert!(marker.ends_with("sealkeep.db.pin-spare/refused"));
    assert_eq!(config.token(None).unwrap_err().reason(), "CONFIG_INVALID");
}

#[test]
fn refuses_tokens_that_cannot_stand_beside_each_other() {
    for (from, to, field) in [
        ("name = \"spare\"", "name = \"main\"", "token.name"),
        ("name = \"spare\"", "name = \"Spare 2\"", "token.name"),
        ("sealkeep-spare", "sealkeep", "token.label"),
        ("set = \"hsm\"", "set = \"main\"", "token.set"),
        (
            "queue_length_max = 1024",
            "queue_length = 1",
            "queue_length",
        ),
    ] {
        let changed = with_two_tokens(|text| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let error = changed.unwrap_err();
        assert!(error.contains(field), "{error}");
    }
    let thread = SAMPLE.replace("isolation = \"process\"", "isolation = \"thread\"");
    assert!(parse(&thread).is_ok());
}
