//! Devices of real batches: their bundles, and what is in them.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Workplace, perhaps_no_endpoint, tool};

/// Makes batch `b` of these devices, with the CA in `ca`.
pub fn make_batch(workplace: &Workplace, ids: &[&str], options: &[&str]) {
    fs::write(
        workplace.join("devices.csv"),
        format!("serial_number\n{}\n", ids.join("\n")),
    )
    .unwrap();
    let run = ["run", "devices.csv", "--ca", "ca", "--batch", "b"];
    let options = perhaps_no_endpoint(options);
    workplace.succeed(&[&run[..], &["--layout", "objects"], &options].concat());
}

/// The bundle of a device, as its batch's index names it.
pub fn bundle(workplace: &Workplace, batch: &str, id: &str) -> PathBuf {
    let batch = workplace.join("out").join(batch);
    let index = fs::read_to_string(batch.join("index/000000.csv")).unwrap();
    let row = index
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .find(|row| row[0] == id)
        .unwrap_or_else(|| panic!("no device {id} in\n{index}"));
    batch.join(row[4])
}

/// Unpacks a bundle into a folder of the device's name.
pub fn unpack(workplace: &Workplace, bundle: &Path, id: &str) -> PathBuf {
    let folder = workplace.join(id);
    fs::create_dir(&folder).unwrap();
    let output = tool("unzip", &["-q", bundle.to_str().unwrap()], &folder);
    assert!(output.status.success(), "{output:?}");
    folder
}
