//! What a CA's signer does: by itself, and in runs; held against a run whose CA has its key in memory.
//!
//! Certificates are thrown away. A run that signs elsewhere cannot be faster than signer and everything else one after the
//! other would let it, if both take the same processor; where the signer waits, it can be.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::discard::Discard;
use super::fixture::make;
use super::{BenchError, Fixture, Settings};
use crate::batch::Layout;
use crate::forge::{Cancel, Job};
use crate::issuer::{Issuer, IssuerError};
use crate::signer::{Manner, SignerError};
use crate::store::Store;

/// What is signed: as long as the TBSCertificate of a device with a P-256 key.
const MESSAGE: [u8; 350] = [7; 350];

/// Requests of a signer by itself at a time: so many that there is always more to sign.
const ASKING: usize = 4;

/// Rounds, in which the measures take turns.
const ROUNDS: usize = 3;

/// How fast a CA signs.
#[derive(Debug, Clone, Serialize)]
pub struct SignerRates {
    /// Where its key is.
    pub key: String,
    pub key_type: String,
    /// Signatures a second, verified, and nothing else.
    pub signatures_per_second: f64,
    /// Devices a second of a run that it signs.
    pub devices_per_second: f64,
    /// Devices a second of a run whose CA has a P-256 key in memory.
    pub in_memory_per_second: f64,
    /// Of what signer and all else would make one after the other on one processor, per cent.
    pub of_one_after_the_other: f64,
    /// Of what the slower of the two makes by itself, per cent.
    pub of_the_slower: f64,
}

/// Measures the signer of a CA.
///
/// # Errors
///
/// When it does not sign, or a run fails.
pub fn signer(
    issuer: &Issuer,
    settings: &Settings,
    place: &std::path::Path,
    cancel: &Cancel,
) -> Result<SignerRates, BenchError> {
    let scratch = super::Scratch::new(place)?;
    let fixture = Fixture::new(
        scratch.path(),
        crate::profile::KeyType::P256,
        settings.rows,
        crate::engine::Choice::Auto,
    )?;
    let own = fixture.job(Layout::Packs, settings.jobs);
    let elsewhere = Job {
        issuer,
        ..fixture.job(Layout::Packs, settings.jobs)
    };
    // The first signatures tell how many sessions a token takes.
    alone(issuer, settings)?;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        if cancel.is_cancelled() {
            return Err(BenchError::Interrupted);
        }
        rates[0].push(alone(issuer, settings)?);
        for (rates, (name, job)) in rates[1..]
            .iter_mut()
            .zip([("elsewhere", &elsewhere), ("own", &own)])
        {
            let ledger = scratch.path().join(format!("{name}-{round}.db"));
            let discard = Discard::default();
            let summary = make(job, &ledger, &|| Store::over(discard.clone()), &|_| {}, cancel)?;
            #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
            rates.push(summary.made as f64 / summary.elapsed.as_secs_f64());
        }
    }
    let [signatures, devices, in_memory] = rates.map(median);
    Ok(SignerRates {
        key: issuer.place().to_owned(),
        key_type: issuer.key_type().to_string(),
        signatures_per_second: signatures,
        devices_per_second: devices,
        in_memory_per_second: in_memory,
        of_one_after_the_other: 100.0 * devices * (1.0 / signatures + 1.0 / in_memory),
        of_the_slower: 100.0 * devices / signatures.min(in_memory),
    })
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Signatures a second, and nothing else.
fn alone(issuer: &Issuer, settings: &Settings) -> Result<f64, BenchError> {
    let (threads, group) = match issuer.manner() {
        Manner::Local => (settings.jobs, 256),
        Manner::Remote(remote) => (ASKING.min(remote.in_flight.get()), remote.group.get()),
    };
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(settings.seconds.max(0.05) * 2.0);
    let work = || {
        let messages = vec![&MESSAGE[..]; group];
        let mut signatures = vec![Vec::new(); group];
        let mut made = 0;
        while Instant::now() < end {
            issuer.sign(&messages, &mut signatures)?;
            made += group;
        }
        Ok(made)
    };
    let made: Result<Vec<usize>, SignerError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    let made = made.map_err(IssuerError::from)?;
    #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
    Ok(made.iter().sum::<usize>() as f64 / started.elapsed().as_secs_f64())
}
