//! What a user can get wrong with a token, and what is said then.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{run, succeed, told, workplace};
use crate::softhsm::{MODULE, SoftHsm, uri};
use crate::support::Workplace;

/// What certforge says, which must end with exit code 5.
fn refusal(place: &Workplace, hsm: &SoftHsm, arguments: &[&str]) -> String {
    let output = run(place, hsm, arguments);
    assert_eq!(output.status.code(), Some(5), "{arguments:?}\n{}", told(&output));
    String::from_utf8(output.stderr).unwrap()
}

const RUN: [&str; 3] = ["run", "devices.csv", "--no-endpoint"];

#[test]
fn a_module_that_is_not_there_or_none_is_said() {
    let (place, hsm) = workplace(1, "P-256");
    fs::write(
        place.join("ca/key.uri"),
        "pkcs11:token=forge;object=line-7?module-path=/nowhere/x.so\n",
    )
    .unwrap();
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: PKCS#11 module /nowhere/x.so cannot be loaded: No such file or directory (os error 2)\n\
         certforge: hint: check that it is there, for this processor, and that what it needs is installed: ldd /nowhere/x.so\n"
    );
    let libm = "/lib/x86_64-linux-gnu/libm.so.6";
    fs::write(
        place.join("ca/key.uri"),
        format!("pkcs11:token=forge;object=line-7?module-path={libm}\n"),
    )
    .unwrap();
    let said = refusal(&place, &hsm, &RUN);
    assert!(
        said.contains("cannot be loaded: Missing PKCS#11 symbol: C_GetFunctionList\n"),
        "{said}"
    );
    fs::write(place.join("ca/key.uri"), "pkcs11:token=forge;object=line-7\n").unwrap();
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: pkcs11:token=forge;object=line-7 does not say by which PKCS#11 module\n\
         certforge: hint: add ?module-path=/path/to/module.so to the URI, or set CERTFORGE_PKCS11_MODULE\n"
    );
    let mut command = place.command(&RUN);
    let output = hsm
        .with(&mut command)
        .env("CERTFORGE_PKCS11_MODULE", MODULE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_token_or_key_that_is_not_there_is_said_and_what_is() {
    let (place, hsm) = workplace(1, "P-256");
    hsm.add_token("other");
    let named = |text: &str| {
        let text = format!("pkcs11:{text}?module-path={MODULE}\n");
        fs::write(place.join("ca/key.uri"), text).unwrap();
    };
    named("token=forgery;object=line-7");
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: there is no token forgery\n\
         certforge: hint: there is forge, other; `pkcs11-tool --module MODULE --list-token-slots` lists them\n"
    );
    named("object=line-7");
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: 2 tokens are of any name\n\
         certforge: hint: say which with serial= in the URI\n"
    );
    named("token=forge;object=line-8");
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: there is no private key line-8 in token forge\n\
         certforge: hint: there is line-7; `certforge ca new --key URI` makes one\n"
    );
    hsm.tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "line-7",
        "--id",
        "07",
    ]);
    named("token=forge;object=line-7");
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: 2 private keys in token forge are line-7\n\
         certforge: hint: say which with id= in the URI\n"
    );
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let (place, hsm) = workplace(1, "P-256");
    hsm.tool(&[
        "--keypairgen",
        "--key-type",
        "rsa:2048",
        "--label",
        "rsa",
        "--id",
        "02",
    ]);
    hsm.tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "twin",
        "--id",
        "03",
    ]);
    hsm.tool(&[
        "--keypairgen",
        "--key-type",
        "EC:secp521r1",
        "--label",
        "large",
        "--id",
        "04",
    ]);
    let adopt = |object: &str| {
        let uri = uri(object);
        refusal(
            &place,
            &hsm,
            &[
                "ca",
                "adopt",
                "--certificate",
                "ca/certificate.pem",
                "--key",
                &uri,
                "--to",
                "new",
            ],
        )
    };
    assert_eq!(
        adopt("rsa"),
        "certforge: error: pkcs11:token=forge;object=rsa is RSA-2048, and the certificate has P-256\n\
         certforge: hint: name the key that belongs to the certificate\n"
    );
    let said = adopt("twin");
    assert!(
        said.starts_with(
            "certforge: error: pkcs11:token=forge;object=twin is not the key of ca/certificate.pem\n"
        ),
        "{said}"
    );
    assert_eq!(
        adopt("large"),
        "certforge: error: pkcs11:token=forge;object=large is a key that cannot be used: it is on another curve\n\
         certforge: hint: P-256, P-384 and RSA of 2048, 3072 or 4096 bits are signed with, by keys that may sign\n"
    );
    assert!(!place.join("new").exists());
    let again = uri("line-7");
    assert_eq!(
        refusal(&place, &hsm, &["ca", "new", "--key", &again, "--to", "new"]),
        "certforge: error: token forge has a key line-7 already\n\
         certforge: hint: name another, or make a CA with the key that is there: `certforge ca new --use-key`, or `ca adopt` when it has a certificate\n"
    );
}

#[test]
fn a_pin_comes_from_a_file_of_ones_own_or_is_missed() {
    let (place, hsm) = workplace(1, "P-256");
    let without = |place: &Workplace, arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("SOFTHSM2_CONF", hsm.conf()).output().unwrap()
    };
    let output = without(&place, &RUN);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "certforge: error: there is no PIN for token forge: there is no terminal to ask at\n\
         certforge: hint: put it into a file of mode 0600 and name that (?pin-source=/path), or into CERTFORGE_PIN, or type it when asked\n"
    );
    let pin = place.join("pin");
    fs::write(&pin, "1234\n").unwrap();
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o644)).unwrap();
    let named = fs::read_to_string(place.join("ca/key.uri")).unwrap();
    fs::write(
        place.join("ca/key.uri"),
        format!("{}&pin-source={}\n", named.trim(), pin.display()),
    )
    .unwrap();
    let output = without(&place, &RUN);
    assert_eq!(output.status.code(), Some(5));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("can be read by others (mode 0644); chmod 600"),
        "{said}"
    );
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).unwrap();
    let output = without(&place, &RUN);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_folder_with_two_keys_or_one_that_others_wrote_is_refused() {
    let (place, hsm) = workplace(1, "P-256");
    let named = place.join("ca/key.uri");
    fs::set_permissions(&named, fs::Permissions::from_mode(0o666)).unwrap();
    let said = refusal(&place, &hsm, &RUN);
    assert!(
        said.starts_with("certforge: error: ca/key.uri can be written by others (mode 0666)\n"),
        "{said}"
    );
    fs::set_permissions(&named, fs::Permissions::from_mode(0o600)).unwrap();
    succeed(&place, &hsm, &["ca", "new", "--to", "other", "--no-passphrase"]);
    fs::copy(place.join("other/key.pem"), place.join("ca/key.pem")).unwrap();
    assert_eq!(
        refusal(&place, &hsm, &RUN),
        "certforge: error: ca has a key, and a URI of another\n\
         certforge: hint: remove the one that is not the certificate's: key.pem or key.uri\n"
    );
}
