//! The census: a template evaluated for every row of a manifest, on all cores, before a certificate exists.
//!
//! Memory grows by 16 octets a row: the hash by which thing names that are given twice are found.

use std::collections::{BTreeSet, HashMap};

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use serde::Serialize;

use super::made::Provisioned;
use super::parameter::Facts;
use super::prerequisite::Prerequisite;
use super::provision::Refusal;
use super::template::Template;
use crate::digest::{Repeated, Seen, sha256};
use crate::manifest::{Block, Bookmark, LISTED, Manifest, ManifestError, Row};
use crate::profile::Binding;

/// Rows that are evaluated as one piece of work, and pieces at a time.
const BLOCK_ROWS: usize = 1024;
const BLOCKS_AT_A_TIME: usize = 16;

/// Stands for a certificate serial: as long as one is, in decimal.
const SERIAL: &str = "100000000000000000000000000000000000000";

/// What becomes of a manifest's devices.
#[derive(Debug, Default)]
pub struct Census {
    pub rows: u64,
    /// What keeps devices from coming up, or from coming up as themselves: the first [`LISTED`], in line order.
    pub faults: Vec<DeviceFault>,
    /// How many faults there are in all.
    pub all_faults: usize,
    /// Devices whose endpoint.json names another thing than the template, and the first of them.
    pub renamed: u64,
    pub first_renamed: Option<Renamed>,
    pub must_exist: MustExist,
}

/// The distinct thing types, thing groups, billing groups and policies that devices name: the first [`LISTED`] in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MustExist {
    pub names: BTreeSet<Prerequisite>,
    /// There are others.
    pub is_cut: bool,
}

impl MustExist {
    fn extend(&mut self, names: impl IntoIterator<Item = Prerequisite>) {
        for name in names {
            self.names.insert(name);
            if self.names.len() > LISTED {
                self.names.pop_last();
                self.is_cut = true;
            }
        }
    }
}

/// A device that would not come up as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceFault {
    pub line: u64,
    pub device_id: String,
    pub reason: String,
}

/// A device that would be another thing than its bundle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    pub line: u64,
    pub device_id: String,
    /// What the template makes of it.
    pub thing: String,
    /// What its endpoint.json says.
    pub bundle: String,
}

/// What one block of rows gave.
#[derive(Default)]
struct Counted {
    faults: Vec<DeviceFault>,
    seen: Seen,
    renamed: u64,
    first_renamed: Option<Renamed>,
    must_exist: MustExist,
}

/// Evaluates a template for every row of a manifest that has passed its own check, in which it had this digest.
///
/// # Errors
///
/// When the manifest cannot be read, or is another by now.
pub fn census(
    template: &Template,
    manifest: &Manifest,
    sha256: &[u8; 32],
    binding: &Binding,
) -> Result<Census, ManifestError> {
    let mut census = Census::default();
    let mut seen = Seen::default();
    let mut bookmarks = Vec::new();
    let mut blocks = manifest.blocks(BLOCK_ROWS)?;
    loop {
        let window = blocks.next_blocks(BLOCKS_AT_A_TIME)?;
        if window.is_empty() {
            break;
        }
        let counted: Vec<(Bookmark, Counted)> = window
            .par_iter()
            .map(|block| (block.bookmark(), count(template, manifest, binding, block)))
            .collect();
        for (block, (bookmark, counted)) in window.iter().zip(counted) {
            bookmarks.push(bookmark);
            census.rows += block.rows() as u64;
            census.add(counted.faults);
            census.renamed += counted.renamed;
            census.first_renamed = census.first_renamed.or(counted.first_renamed);
            census.must_exist.is_cut |= counted.must_exist.is_cut;
            census.must_exist.extend(counted.must_exist.names);
            seen.extend(counted.seen);
        }
    }
    manifest.prove(blocks, sha256)?;
    let mut others = Census::default();
    collisions(
        template,
        manifest,
        binding,
        (&bookmarks, &seen.repeated()),
        &mut others,
    )?;
    census.all_faults += others.all_faults;
    census.faults.extend(others.faults);
    census.faults.sort_by_key(|fault| fault.line);
    census.faults.truncate(LISTED);
    Ok(census)
}

impl Census {
    /// Adds faults of lines behind all those before.
    fn add(&mut self, faults: Vec<DeviceFault>) {
        self.all_faults += faults.len();
        let room = LISTED - self.faults.len();
        self.faults.extend(faults.into_iter().take(room));
    }
}

fn count(template: &Template, manifest: &Manifest, binding: &Binding, block: &Block) -> Counted {
    let mut counted = Counted::default();
    for row in manifest.parse(block).0 {
        let device_id = row.device_id.to_string();
        let made = match provisioned(template, binding, &row) {
            Ok(made) => made,
            Err(refusal) => {
                counted.faults.push(DeviceFault {
                    line: row.line,
                    device_id,
                    reason: refusal.to_string(),
                });
                continue;
            }
        };
        counted.must_exist.extend(made.prerequisites());
        for (attribute, value, sign) in binding.unfillable(&row) {
            if let Some(variable) = template.subject_variable(attribute) {
                counted.faults.push(DeviceFault {
                    line: row.line,
                    device_id: device_id.clone(),
                    reason: format!(
                        "a policy reads {variable}, which is {value:?} of this device: AWS IoT fills in no value that has * $ + ? or #, and this has {sign:?}"
                    ),
                });
            }
        }
        let Some(thing) = made.thing.map(|thing| thing.thing_name) else {
            continue;
        };
        counted.seen.add(block.number, &thing);
        let client_id = binding.client_id(&row);
        if template.needs_thing_name_as_client_id() && client_id != thing {
            counted.faults.push(DeviceFault {
                line: row.line,
                device_id: device_id.clone(),
                reason: format!(
                    "it connects as client {client_id}, and a policy goes by its thing, {thing}: it would be refused"
                ),
            });
        }
        let bundle = binding.thing_name(&row);
        if bundle != thing {
            counted.renamed += 1;
            counted.first_renamed.get_or_insert_with(|| Renamed {
                line: row.line,
                device_id,
                bundle: bundle.clone().into_owned(),
                thing,
            });
        }
    }
    counted
}

/// What AWS IoT would make of a row's device.
fn provisioned(template: &Template, binding: &Binding, row: &Row) -> Result<Provisioned, Refusal> {
    // Certificate id and serial are not known before the certificate is made; others of their form stand for them.
    let id = HEXLOWER.encode(&sha256(row.device_id.as_str().as_bytes()));
    template.provision(&Facts::of_row(binding, row, &id, SERIAL))
}

/// Every row whose thing has the name of another row's, looked up in the blocks that have such.
fn collisions(
    template: &Template,
    manifest: &Manifest,
    binding: &Binding,
    (bookmarks, repeated): (&[Bookmark], &Repeated),
    census: &mut Census,
) -> Result<(), ManifestError> {
    if repeated.blocks.is_empty() {
        return Ok(());
    }
    let mut first: HashMap<String, u64> = HashMap::new();
    let mut file = manifest.reread()?;
    for block in &repeated.blocks {
        let block = file.block(&bookmarks[*block as usize])?;
        for row in manifest.parse_again(&block)?.0 {
            let made = provisioned(template, binding, &row);
            let Some(thing) = made.ok().and_then(|made| made.thing) else {
                continue;
            };
            let thing = thing.thing_name;
            if !repeated.has(&thing) {
                continue;
            }
            let first_line = *first.entry(thing.clone()).or_insert(row.line);
            if first_line != row.line {
                census.add(vec![DeviceFault {
                    line: row.line,
                    device_id: row.device_id.to_string(),
                    reason: format!("the device of line {first_line} becomes thing {thing} already"),
                }]);
            }
        }
    }
    Ok(())
}
