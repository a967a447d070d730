//! Certificates that are revoked one by one, on MiniStack.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use serde_json::Value;

use crate::documents::page;
use crate::iot::{Account, ended};

const REVOKE: [&str; 5] = ["revoke", "--reason", "stolen", "--rate", "1000"];

fn registered(devices: usize) -> Account {
    let account = Account::new();
    let template = account.place.succeed(&["jitp", "template", "new"]);
    fs::write(account.place.join("t.json"), template).unwrap();
    account.succeed(&["register", "--template", "t.json", "--yes"]);
    account.make("b", 0..devices, &[]);
    account
}

#[test]
fn one_device_is_revoked_whether_aws_knows_it_or_not_and_no_other() {
    let account = registered(3);
    let ids = account.ids("b");
    let planned = account.succeed(&[&REVOKE[..], &["--device", "SN000001", "--dry-run"]].concat());
    assert!(
        planned.contains("to revoke: 1") && planned.contains(&ids[1]),
        "{planned}"
    );
    assert_eq!(account.status(&ids[1]), None, "a plan changes nothing");
    account.fail(&[&REVOKE[..], &["--device", "SN000001"]].concat(), 2);

    let yes = [&REVOKE[..], &["--device", "SN000001", "--yes", "--json"]].concat();
    let text = account.succeed(&yes);
    let document: Value = serde_json::from_str(&text).unwrap();
    page::of("`jitp revoke`").hold(&document);
    assert_eq!(document["certificates"][0]["outcome"], "registered-as-revoked");
    assert_eq!(document["of_these_unknown_before"], 1);
    assert_eq!(account.status(&ids[1]), Some("REVOKED".to_owned()));
    assert_eq!(account.status(&ids[0]), None);
    // Once more, AWS knows it, and so does the ledger.
    let document: Value = serde_json::from_str(&account.succeed(&yes)).unwrap();
    assert_eq!(document["certificates"][0]["outcome"], "revoked");
    assert_eq!(document["certificates"][0]["state"], "revoked");

    // A list, of which the store has nothing any more: what AWS does not know cannot be revoked there, and is noted.
    fs::write(account.place.join("ids.txt"), "SN000000\nSN000002\n").unwrap();
    fs::remove_file(account.place.join("out/b/certificates/000000.pem")).unwrap();
    let list = [&REVOKE[..], &["--from", "ids.txt", "--yes", "--json"]].concat();
    let (text, errors) = ended(&account.jitp(&list).output().unwrap(), 8);
    assert!(
        errors.contains("certificates that are not revoked: 2 at least; device SN000000: AWS does not know"),
        "{errors}"
    );
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&document["failed"], &document["noted"]),
        (&2.into(), &true.into())
    );
    let crl: Value = serde_json::from_str(&account.place.succeed(&["ca", "crl", "--json"])).unwrap();
    assert_eq!(crl["revoked"], 3);
}
