//! Encrypted bundles under one ledger for many hosts: a host that dies leaves nothing that its stations cannot read.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;

use serde_json::Value;

use super::hosts::leases;
use super::{Factory, Said, until};
use crate::identity::{age, identity};
use crate::postgres::Postgres;

const ROWS: usize = 1500;

#[test]
fn what_a_dead_host_had_begun_to_encrypt_is_made_by_another() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let place = &factory.place;
    let recipients = ["st1", "st2"].map(|name| identity(place, name));
    let host = || {
        let mut command = factory.run();
        command.args(["--recipient", &recipients[0], "--recipient", &recipients[1]]);
        command.spawn().unwrap()
    };
    let mut dead = host();
    // Until something is released, others may begin it anew. And it may be so fast that nothing is left to die over.
    let is_released = || {
        let batch = place.find_batch()?;
        fs::read_dir(batch.join("index")).ok()?.next()
    };
    let is_sealed = || {
        place
            .find_batch()
            .is_some_and(|batch| batch.join("seal.json").exists())
    };
    until("it has released a chunk, and has others in hand", || {
        is_sealed() || is_released().is_some() && leases(&server, &factory) > 0
    });
    dead.kill().unwrap();
    dead.wait().unwrap();
    // Whoever joins with other recipients is told, and makes nothing of it.
    let mut other = factory.run();
    other.args(["--recipient", &recipients[0]]);
    let other = Said::of(other.spawn().unwrap());
    assert_eq!(other.code, Some(2), "{}", other.aside);
    let hosts: Vec<_> = (0..2).map(|_| host()).collect();
    for said in hosts.into_iter().map(Said::of) {
        assert_eq!(said.code, Some(0), "{}", said.aside);
    }
    let batch = place.only_batch();
    for name in ["st1.key", "st2.key"] {
        let verify = [
            "verify",
            batch.to_str().unwrap(),
            "--json",
            "--identity",
            name,
            "--ledger",
            &factory.ledger,
        ];
        let verified: Value = serde_json::from_str(&place.succeed(&verify)).unwrap();
        assert_eq!(
            (&verified["good"], &verified["unread"], &verified["sealed"]),
            (&ROWS.into(), &0.into(), &true.into()),
            "{verified:#}"
        );
    }
    // age reads members of packs, each for itself.
    let mut certificates = BTreeSet::new();
    let mut packs: Vec<_> = fs::read_dir(batch.join("packs"))
        .unwrap()
        .map(|pack| pack.unwrap().path())
        .collect();
    packs.sort();
    for (i, pack) in packs.iter().enumerate() {
        let mut pack = zip::ZipArchive::new(Cursor::new(fs::read(pack).unwrap())).unwrap();
        let mut member = pack.by_index(i % pack.len()).unwrap();
        assert!(member.name().unwrap().ends_with(".zip.age"));
        let mut octets = Vec::new();
        std::io::copy(&mut member, &mut octets).unwrap();
        let name = ["st1.key", "st2.key"][i % 2];
        let zip = age(place.path(), &["-d", "-i", name], &octets).unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        let certificate = zip.by_name("certificate.pem.crt").unwrap();
        certificates.insert(std::io::read_to_string(certificate).unwrap());
    }
    assert_eq!(certificates.len(), packs.len());
}
