//! Files that are no identity of a station, or may not be used as one: what each is, and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::Workplace;

/// What `station identity show` says of a file with that text, for its owner alone.
fn refusal(place: &Workplace, text: impl AsRef<[u8]>) -> String {
    fs::write(place.join("st1.key"), text).expect("the file is written");
    set_mode(place, 0o600);
    place.fail(&["station", "identity", "show", "st1.key"], 2)
}

fn set_mode(place: &Workplace, mode: u32) {
    fs::set_permissions(place.join("st1.key"), fs::Permissions::from_mode(mode)).expect("the mode is set");
}

const NAME_ANOTHER: &str = "name the file that `certforge station identity new` or age-keygen wrote";

fn of_ssh(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/ssh")
        .join(name);
    fs::read_to_string(path).expect("it lies with the tests")
}

/// An identity, whose secret no message may show.
fn made(place: &Workplace) -> String {
    place.succeed(&["station", "identity", "new", "--to", "made.key"]);
    let text = fs::read_to_string(place.join("made.key")).expect("it was made");
    text.lines().last().expect("it has lines").to_owned()
}

#[test]
fn each_file_that_is_no_identity_is_told_what_it_is() {
    let place = Workplace::new();
    let good = made(&place);
    let mistyped = match good.strip_suffix('Q') {
        Some(start) => format!("{start}P"),
        None => format!("{}Q", &good[..good.len() - 1]),
    };
    let recipient = "age1pq8nqe0rkhxevclpda6vchs0wfdsk92qm306pyhq3m6euung24asudpru7";
    for (text, what, hint) in [
        (String::new(), "holds no identity", NAME_ANOTHER),
        ("# nobody's\n\n".to_owned(), "holds no identity", NAME_ANOTHER),
        (
            format!("# of station 1\n{mistyped}\n"),
            "line 2 is no identity: it is damaged, or a part of it is missing",
            NAME_ANOTHER,
        ),
        (
            format!("{good}\n{}\n", &good[..40]),
            "line 2 is no identity: it is damaged, or a part of it is missing",
            NAME_ANOTHER,
        ),
        (
            format!("{recipient}\n"),
            "line 1 is a recipient, the public half; an identity is the secret one",
            NAME_ANOTHER,
        ),
        (
            "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n".to_owned(),
            "line 1 is encrypted with a passphrase",
            "a station works by itself, so nobody is there to type: `age -d` gives the identity, for a file with mode 0600",
        ),
        (
            "AGE-SECRET-KEY-PQ-1QQQQQQQQQQ\n".to_owned(),
            "line 1 is an identity of age's post-quantum kind, which is not read here",
            "`certforge station identity new` makes one that is, and age-keygen without -pq",
        ),
        (
            of_ssh("id_rsa.pub"),
            "line 1 is the public half of an SSH key; an identity is the secret one",
            "name the file without .pub",
        ),
        (
            "AGE-PLUGIN-NONE-1QURSWPC8QURSWEQSG4X\n".to_owned(),
            "line 1 is an identity of age plugin none, and there is no program age-plugin-none on the PATH",
            "install age-plugin-none, where whoever runs certforge finds it: `command -v age-plugin-none`",
        ),
    ] {
        let said = refusal(&place, &text);
        assert_eq!(
            said,
            format!("certforge: error: identity st1.key: {what}\ncertforge: hint: {hint}\n"),
            "{text}"
        );
        assert!(!said.contains("SECRET-KEY"), "{said}");
    }
    let said = refusal(&place, [0xff, 0xfe, 0x00]);
    assert!(
        said.starts_with("certforge: error: identity st1.key: holds no identity\n"),
        "{said}"
    );
}

#[test]
fn a_key_of_ssh_that_cannot_be_read_is_told_why() {
    let place = Workplace::new();
    if cfg!(not(feature = "age")) {
        assert_eq!(
            refusal(&place, of_ssh("id_ed25519")),
            "certforge: error: identity st1.key: is an SSH key, which this certforge was built without\n\
             certforge: hint: the Debian package reads them, and `cargo build --release --features age`; \
             or `age -d -i FILE` opens a bundle by hand\n"
        );
        return;
    }
    let kinds = "age reads keys of kind ssh-ed25519 and ssh-rsa as OpenSSH writes them: `ssh-keygen -t ed25519` makes one";
    let said = refusal(&place, of_ssh("id_ecdsa"));
    assert_eq!(
        said,
        format!(
            "certforge: error: identity st1.key: is an SSH key of kind ecdsa-sha2-nistp256\ncertforge: hint: {kinds}\n"
        )
    );
    let damaged: String = of_ssh("id_ed25519")
        .lines()
        .take(2)
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(
        refusal(&place, damaged),
        format!(
            "certforge: error: identity st1.key: is no identity: it is damaged, or a part of it is missing\n\
             certforge: hint: {NAME_ANOTHER}\n"
        )
    );
    let said = refusal(&place, of_ssh("id_ed25519_locked"));
    assert!(
        said.starts_with(
            "certforge: error: identity st1.key: is an SSH key with a passphrase, and that was not told: "
        ),
        "{said}"
    );
    assert!(
        said.ends_with(
            "certforge: hint: put it into a file of mode 0600 and name that with --identity-passphrase-file, \
             or into CERTFORGE_IDENTITY_PASSPHRASE, or type it when asked\n"
        ),
        "{said}"
    );
    fs::write(place.join("passphrase"), "another\n").expect("a passphrase");
    fs::set_permissions(place.join("passphrase"), fs::Permissions::from_mode(0o600))
        .expect("the mode is set");
    let show = [
        "station",
        "identity",
        "show",
        "st1.key",
        "--identity-passphrase-file",
        "passphrase",
    ];
    assert_eq!(
        place.fail(&show, 2),
        "certforge: error: identity st1.key: is an SSH key with another passphrase than that\n\
         certforge: hint: `ssh-keygen -y -f FILE` tells whether a passphrase is the right one\n"
    );
}

#[test]
fn an_identity_that_others_can_read_is_refused() {
    let place = Workplace::new();
    fs::write(place.join("st1.key"), made(&place)).expect("the file is written");
    for mode in [0o640, 0o604, 0o666] {
        set_mode(&place, mode);
        assert_eq!(
            place.fail(&["station", "identity", "show", "st1.key"], 2),
            format!(
                "certforge: error: identity st1.key can be read by others (mode {mode:04o})\n\
                 certforge: hint: chmod 600 st1.key; who has read it meanwhile can read this station's bundles: \
                 if somebody may have, make another, encrypt the batches that there are for it with `certforge bundle rewrap`, \
                 and those to come with `certforge run --recipient`\n"
            )
        );
    }
    set_mode(&place, 0o400);
    place.succeed(&["station", "identity", "show", "st1.key"]);
}

#[test]
fn an_identity_is_not_written_over_and_not_into_nowhere() {
    let place = Workplace::new();
    made(&place);
    let new = |to: &str| place.fail(&["station", "identity", "new", "--to", to], 2);
    assert_eq!(
        new("made.key"),
        "certforge: error: made.key is there already\n\
         certforge: hint: bundles for it can be read with nothing else: name another file, or move it away first\n"
    );
    fs::write(place.join("file"), "").expect("a file");
    let said = new("file/st1.key");
    assert!(
        said.starts_with("certforge: error: identity file/st1.key cannot be written: "),
        "{said}"
    );
    assert!(
        said.ends_with("certforge: hint: name a file in a folder that you may write to\n"),
        "{said}"
    );
}
