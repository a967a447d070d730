//! The pure stages, each by itself: keys, signatures, certificates, bundles; the bare library that they are held
//! against; and SHA-256, half of what a bundle costs once its key and its certificate are there. What an engine makes
//! is proven before any is timed. Certificates and bundles are [`Workbench`]'s, the very code that a run goes through.

use std::sync::Arc;

use super::bare::{Bare, BareWork};
use super::meter::{Lap, Pace, Task, Turn};
use super::step::{MadeBy, Step};
use super::workbench::Workbench;
use super::{Bench, BenchError, Fixture, Quantity, Timer};
use crate::batch::Layout;
use crate::digest::sha256;
use crate::engine::{AwsLc, Choice, DeviceKey, KeyMaker as _, PrivateKey, SigningKey};
use crate::profile::KeyType;

/// Rows of a chunk of RSA keys, of which a whole one would take many seconds.
const RSA_ROWS: usize = 4;

/// As long as the TBSCertificate of a device with a P-256 key.
static MESSAGE: [u8; 350] = [7; 350];

/// Octets of a digest's input: about a bundle.
const SHA256_INPUT: usize = 4096;

/// Digests of one turn.
const SHA256_AT_A_TIME: usize = 64;

/// Prepares the tasks of a step.
pub(super) fn each(
    bench: Bench<'_>,
    step: &Step,
    made_by: MadeBy,
    quantities: &[Quantity],
    timer: Timer<'_>,
) -> Result<(), BenchError> {
    let MadeBy { engine, key_type } = made_by;
    let scratch = bench.scratch.folder()?;
    let has_rows = quantities.contains(&Quantity::Certificates) || quantities.contains(&Quantity::Bundles);
    let rows = match key_type.is_rsa() {
        true => RSA_ROWS,
        false => key_type.chunk_rows(),
    };
    let fixture = match has_rows {
        true => Some(Fixture::new(
            scratch.path(),
            key_type,
            rows as u64,
            made_by.choice(),
        )?),
        false => None,
    };
    let workbench = match &fixture {
        Some(fixture) => {
            let job = fixture.job(Layout::Packs, step.threads);
            Some(Workbench::new(&job, fixture.first_rows(rows)?)?)
        }
        None => None,
    };
    let mut tasks = Vec::with_capacity(quantities.len());
    for &quantity in quantities {
        let pace = match key_type.is_rsa() && quantity != Quantity::Signatures {
            true => Pace::Chance,
            false => Pace::Steady,
        };
        let bare = match quantity.is_of_library() {
            true => Bare::beneath(engine, key_type)?,
            false => None,
        };
        tasks.push(match (quantity, bare, &workbench) {
            (Quantity::LibraryKeys, Some(bare), _) => library(quantity, bare.keys, key_type),
            (Quantity::LibrarySignatures, Some(bare), _) => library(quantity, bare.signatures, key_type),
            // Nobody can tell what lies beneath it.
            (Quantity::LibraryKeys | Quantity::LibrarySignatures, None, _) => continue,
            (Quantity::Keys, ..) => Task::new(quantity, pace, move || keys(made_by)),
            (Quantity::Signatures, ..) => {
                let key = signing_key(key_type)?;
                Task::new(quantity, pace, move || signatures(made_by, &key))
            }
            (Quantity::Certificates, _, Some(workbench)) => Task::new(quantity, pace, move || {
                // This proves one of them by another library.
                workbench.bundles()()?;
                let mut make = workbench.certificates();
                Ok(Box::new(move || Ok(Lap::of(&mut make)?)))
            }),
            (_, _, Some(workbench)) => Task::new(quantity, pace, move || {
                let mut make = workbench.bundles();
                make()?;
                Ok(Box::new(move || Ok(Lap::of(&mut make)?)))
            }),
            (_, _, None) => unreachable!("rows are made for all others"),
        });
    }
    timer(step, &tasks)
}

/// Keys or signatures of one turn: a whole number of groups for every engine, as the forge has it; RSA keys take too
/// long for more than one.
fn at_a_time(key_type: KeyType) -> usize {
    match key_type {
        KeyType::P256 => 256,
        KeyType::P384 | KeyType::P521 => 64,
        _ => 1,
    }
}

fn library<'a>(quantity: Quantity, work: BareWork, key_type: KeyType) -> Task<'a> {
    let (work, count) = (Arc::new(work), at_a_time(key_type));
    Task::new(quantity, Pace::Steady, move || {
        let work = Arc::clone(&work);
        Ok(Box::new(move || {
            Lap::of(|| {
                work(count)?;
                Ok(count as u64)
            })
        }))
    })
}

/// Makes keys, again and again, in the same slots.
fn keys<'a>(made_by: MadeBy) -> Result<Turn<'a>, BenchError> {
    let MadeBy { engine, key_type } = made_by;
    let count = at_a_time(key_type).max(engine.at_a_time(key_type));
    let mut keys = vec![DeviceKey::default(); count];
    engine.make_keys(key_type, &mut keys)?;
    made_by.sound("keys", keys.iter().try_for_each(|key| prove(key).map(drop)))?;
    Ok(Box::new(move || {
        Lap::of(|| {
            engine.make_keys(key_type, &mut keys)?;
            Ok(keys.len() as u64)
        })
    }))
}

/// Signs with one key, again and again, into the same slots.
fn signatures<'a>(made_by: MadeBy, key: &SigningKey) -> Result<Turn<'a>, BenchError> {
    let signer = made_by.engine.signer(key)?;
    let mut signatures = vec![Vec::new(); at_a_time(made_by.key_type)];
    let messages = vec![&MESSAGE[..]; signatures.len()];
    signer.sign(&messages, &mut signatures)?;
    let is_sound = signatures
        .iter()
        .all(|signature| key.verifies(&MESSAGE, signature));
    made_by.sound("signatures", is_sound.then_some(()))?;
    Ok(Box::new(move || {
        Lap::of(|| {
            signer.sign(&messages, &mut signatures)?;
            Ok(signatures.len() as u64)
        })
    }))
}

/// A new key to sign with, of any type.
fn signing_key(key_type: KeyType) -> Result<SigningKey, BenchError> {
    let mut keys = [DeviceKey::default()];
    AwsLc.make_keys(key_type, &mut keys)?;
    let made_by = MadeBy {
        engine: &AwsLc,
        key_type,
    };
    made_by.sound("keys", prove(&keys[0]))
}

fn prove(key: &DeviceKey) -> Option<SigningKey> {
    PrivateKey::from_pkcs8(key.pkcs8()).ok()?.prove(key.public_key())
}

impl MadeBy {
    pub(super) fn choice(self) -> Choice {
        Choice::Named(self.engine.name().to_owned())
    }

    /// What was made, when another library accepts it.
    fn sound<T>(self, what: &'static str, made: Option<T>) -> Result<T, BenchError> {
        made.ok_or(BenchError::Unsound {
            engine: self.engine.name(),
            key_type: self.key_type,
            what,
        })
    }
}

pub(super) fn sha256_task<'a>() -> Task<'a> {
    Task::new(Quantity::Sha256, Pace::Steady, || {
        let mut input = vec![7; SHA256_INPUT];
        Ok(Box::new(move || {
            Lap::of(|| {
                for _ in 0..SHA256_AT_A_TIME {
                    // Each goes on from the one before, so none can be left out.
                    let digest = sha256(&input);
                    input[..digest.len()].copy_from_slice(&digest);
                }
                Ok((SHA256_INPUT * SHA256_AT_A_TIME) as u64)
            })
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ENGINES;

    #[test]
    fn engines_that_work_here_make_what_they_say() {
        for engine in ENGINES.into_iter().filter(|engine| engine.ready().is_ok()) {
            for key_type in [KeyType::P256, KeyType::P384] {
                if !engine.makes(key_type) {
                    continue;
                }
                let made_by = MadeBy { engine, key_type };
                let key = signing_key(key_type).unwrap();
                for mut turn in [keys(made_by).unwrap(), signatures(made_by, &key).unwrap()] {
                    assert_eq!(turn().unwrap().made, at_a_time(key_type) as u64);
                }
            }
        }
    }
}
