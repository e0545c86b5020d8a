#![allow(clippy::unwrap_used)]

use super::*;

const FULL: &str = r#"
keep_hanging = true
rule = [
    { fn = "C_Sign", every = 10, rv = "CKR_DEVICE_ERROR", when = "after" },
    { fn = "*", p = 0.01, seed = 7, count = 3, delay_ms = [200, 900] },
    { fn = "C_SignInit", mechanism = "CKM_ECDSA", session = 4, after = 2, nth = 1, hang = true },
    { fn = "C_Login", die = "segv" },
    { fn = "C_Sign", output = "corrupt" },
    { fn = "C_Sign", event = "permute_handles" },
]
[token]
handles = "permuted"
hide_ids = ["0a0b"]
duplicate_ids = [["01", "02"]]
swap_ids = [["03", "04"]]
pin_tries_max = 3
flags_set = ["CKF_USER_PIN_FINAL_TRY"]
flags_clear = ["CKF_USER_PIN_COUNT_LOW"]
sessions_max = 8
slot_shift = 7
serial = "OTHER"
clone_serial = "CLONE"
hide_mechanisms = ["0x1041"]
read_only = true
[watch]
functions_forbidden = ["C_WrapKey"]
mechanisms_forbidden = ["CKM_RSA_X_509"]
logins_max = 1
discard_after_error = true
"#;

#[test]
fn everything_at_once_is_understood() {
    let script = Script::parse(FULL).unwrap();
    assert_eq!(script.rules.len(), 6);
    assert_eq!(script.rules[1].function, None);
    assert_eq!(
        script.rules[1].action,
        Action::Delay {
            ms_min: 200,
            ms_max: 900
        }
    );
    assert_eq!(script.rules[2].mechanism, Some(Mechanism(0x1041)));
    assert_eq!(script.token.serial.unwrap().0, *b"OTHER           ");
    assert!(Script::parse("").unwrap().rules.is_empty());
}

#[test]
fn refuses_what_it_does_not_understand() {
    for (text, told) in [
        ("rules = []", "unknown field `rules`"),
        ("[token]\nserials = 'X'", "unknown field `serials`"),
        ("[watch]\nlogin_max = 1", "unknown field `login_max`"),
        (
            "rule = [{ fn = 'C_Sign', rv = 'CKR_OK', nht = 3 }]",
            "unknown field `nht`",
        ),
        (
            "rule = [{ fn = 'C_Sing', hang = true }]",
            "\"C_Sing\" is no function",
        ),
        ("rule = [{ rv = 'CKR_OK' }]", "missing field `fn`"),
        ("rule = [{ fn = 'C_Sign' }]", "exactly one of"),
        (
            "rule = [{ fn = 'C_Sign', hang = true, die = 'exit' }]",
            "exactly one of",
        ),
        (
            "rule = [{ fn = 'C_Sign', rv = 'CKR_NONE' }]",
            "is no return code",
        ),
        (
            "rule = [{ fn = 'C_Sign', hang = true, when = 'after' }]",
            "when goes with rv",
        ),
        (
            "rule = [{ fn = 'C_Sign', hang = true, nth = 0 }]",
            "nonzero",
        ),
        (
            "rule = [{ fn = 'C_Sign', hang = true, nth = 1, every = 2 }]",
            "at most one of",
        ),
        (
            "rule = [{ fn = 'C_Sign', hang = true, p = 0.5 }]",
            "go together",
        ),
        (
            "rule = [{ fn = 'C_Sign', hang = true, p = 1.5, seed = 1 }]",
            "at most 1",
        ),
        (
            "rule = [{ fn = 'C_Sign', hang = true, p = nan, seed = 1 }]",
            "at most 1",
        ),
        (
            "rule = [{ fn = 'C_Sign', delay_ms = [9, 1] }]",
            "[least, most]",
        ),
        (
            "rule = [{ fn = 'C_Sign', delay_ms = 600001 }]",
            "[least, most]",
        ),
        (
            "rule = [{ fn = 'C_Login', output = 'short' }]",
            "gives bytes",
        ),
        ("rule = [{ fn = '*', output = 'short' }]", "gives bytes"),
        (
            "rule = [{ fn = 'C_Sign', event = 'permute_handles' }]",
            "needs handles",
        ),
        ("[token]\nhide_ids = ['0']", "no id in hex"),
        ("[token]\nhide_ids = ['']", "must not be empty"),
        ("[token]\nswap_ids = [['01', '0203']]", "same length"),
        ("[token]\nswap_ids = [['01', '01']]", "must differ"),
        ("[token]\nflags_set = ['CKF_NONE']", "is no token flag"),
        ("[token]\nserial = '12345678901234567'", "1 to 16"),
        ("[token]\nhandles = 'other'", "unknown variant"),
    ] {
        let error = Script::parse(text).unwrap_err();
        assert!(error.contains(told), "{text}\n{error}");
    }
}

#[test]
fn ids_are_shown_as_the_script_wants() {
    let view = Script::parse(FULL).unwrap().token;
    assert_eq!(view.shown_id(&[0x0a, 0x0b]), None);
    assert_eq!(view.shown_id(&[1]), Some(vec![1]));
    assert_eq!(view.shown_id(&[2]), Some(vec![1]));
    assert_eq!(view.shown_id(&[3]), Some(vec![4]));
    assert_eq!(view.shown_id(&[4]), Some(vec![3]));
    assert_eq!(view.shown_id(&[9, 9]), Some(vec![9, 9]));
}
