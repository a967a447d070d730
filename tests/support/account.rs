//! The account: holds what is on disk against the ledger, whatever stopped the run that put it there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::path::Path;

use certforge::batch::parse_index;
use certforge::certificate::SerialPrefix;
use certforge::ledger;
use certforge::manifest::DeviceId;
use certforge::pem;
use certforge::store::Store;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Holds a batch's folder against the ledger. Returns how many devices are released.
pub fn account(batch_folder: &Path, ledger: &Path) -> usize {
    let ledger = ledger::open_read_only(ledger).expect("no batch without a ledger");
    let prefixes: BTreeSet<[u8; 8]> = ledger
        .prefixes()
        .unwrap()
        .into_iter()
        .map(SerialPrefix::octets)
        .collect();
    let serials = serials(batch_folder);
    for serial in &serials {
        let prefix: [u8; 8] = serial[..8].try_into().unwrap();
        assert!(
            prefixes.contains(&prefix),
            "serial {serial:02x?} was never reserved"
        );
    }
    let name = batch_folder.file_name().unwrap().to_str().unwrap();
    let Some(batch) = ledger.find_batch(name).unwrap() else {
        // Stopped after batch.json was in place and before the ledger had the batch.
        assert!(
            serials.is_empty(),
            "a certificate of a batch that the ledger does not know"
        );
        return 0;
    };
    let mut in_ledger = BTreeMap::new();
    for (chunk, _) in ledger.committed(&batch).unwrap() {
        for entry in ledger.entries(&batch, chunk).unwrap() {
            let earlier = in_ledger.insert(entry.device_id.clone(), entry);
            assert!(earlier.is_none(), "the ledger has a device twice");
        }
    }
    let store = Store::in_folder(batch_folder.to_owned());
    let released = released(batch_folder);
    for (device_id, row) in &released {
        assert_eq!(
            Some(&row.entry),
            in_ledger.get(device_id),
            "released, so in the ledger"
        );
        let range = row.entry.offset..row.entry.offset + row.entry.length;
        let bundle = store.read(&row.object, Some(range)).unwrap();
        assert_eq!(
            certforge::digest::sha256(&bundle),
            row.entry.sha256,
            "released, so whole"
        );
    }
    released.len()
}

/// The released devices of a batch, by id.
fn released(batch: &Path) -> BTreeMap<DeviceId, certforge::batch::IndexRow> {
    let store = Store::in_folder(batch.to_owned());
    let mut names = Vec::new();
    store
        .list("index/", &mut |listed| names.push(listed.name))
        .unwrap();
    let mut released = BTreeMap::new();
    for name in names.iter().filter(|name| name.ends_with(".csv")) {
        for row in parse_index(&store.read(name, None).unwrap()).expect("an index is whole") {
            let earlier = released.insert(row.entry.device_id.clone(), row);
            assert!(earlier.is_none(), "a device was released twice");
        }
    }
    released
}

/// The serials of every certificate that can be found under a batch, released or not.
fn serials(batch: &Path) -> Vec<Vec<u8>> {
    let store = Store::in_folder(batch.to_owned());
    let mut names = Vec::new();
    store.list("", &mut |listed| names.push(listed.name)).unwrap();
    let mut texts = Vec::new();
    for name in names {
        let octets = store.read(&name, None).unwrap();
        if name.ends_with(".zip") {
            chains(&octets, &mut texts);
        } else if name.ends_with(".pem") {
            texts.push(octets.to_vec());
        }
    }
    let mut serials = Vec::new();
    for text in texts {
        // A file that the kill cut short still holds whole certificates before the cut.
        let text = String::from_utf8_lossy(&text);
        for block in text.split_inclusive("-----END CERTIFICATE-----") {
            for block in pem::blocks(block).unwrap_or_default() {
                let (_, certificate) = X509Certificate::from_der(&block.der).expect("a certificate");
                if !certificate.is_ca() {
                    serials.push(certificate.raw_serial().to_vec());
                }
            }
        }
    }
    serials
}

/// The chains in a bundle, or in the bundles of a pack; a zip that was cut short has none.
fn chains(octets: &[u8], texts: &mut Vec<Vec<u8>>) {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(octets)) else {
        return;
    };
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).expect("the directory is right");
        let name = member.name().expect("names are ASCII").into_owned();
        let mut content = Vec::new();
        member.read_to_end(&mut content).expect("a member reads");
        if name.ends_with(".zip") {
            chains(&content, texts);
        } else if name == "chain.pem.crt" {
            texts.push(content);
        }
    }
}
