//! Reading: chunk after chunk, a few of them at a time, so that all cores are busy and memory does not grow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc;

use super::bundle::Standard;
use super::chunk;
use super::inputs::Inputs;
use super::task::{Task, Verified};
use super::{Fault, Job, VerifyError};
use crate::batch::index_object;
use crate::causes::in_one_line;
use crate::seal::Seal;
use crate::store::Store;

/// Chunks whose rows are in memory at a time.
const CHUNKS_AT_A_TIME: usize = 16;

/// How the released chunks are read: what manifest and ledger have of them by the thread that asks, in their order; the
/// rest by all others.
pub(super) struct Reading<'a> {
    pub job: &'a Job<'a>,
    /// As the newest generation has it.
    pub store: &'a Store,
    /// Whether that is not the batch's own.
    pub is_remade: bool,
    pub inputs: &'a Inputs,
    pub released: &'a BTreeSet<u64>,
    pub seal: Option<&'a Seal>,
    pub standard: &'a Standard<'a>,
    /// Gets how many more devices were read.
    pub verified: &'a (dyn Fn(u64) + Sync),
}

impl Reading<'_> {
    /// Verifies every released chunk, and hands on what was found, in their order.
    pub(super) fn chunks(&self, mut found: impl FnMut(Verified)) -> Result<(), VerifyError> {
        let mut rows = self.inputs.rows()?;
        let shape = self.inputs.record.shape();
        let mut numbers = 0..shape.chunks();
        let (send, receive) = mpsc::channel();
        let store = self.store;
        let (standard, verified) = (self.standard, self.verified);
        rayon::in_place_scope_fifo(|scope| {
            // Those that are verified, by number, until all before them are.
            let mut waiting = BTreeMap::new();
            let mut begun: VecDeque<u64> = VecDeque::new();
            loop {
                while begun.len() < CHUNKS_AT_A_TIME
                    && let Some(chunk) = numbers.next()
                {
                    let manifest = rows.next_chunk()?;
                    if !self.released.contains(&chunk) {
                        continue;
                    }
                    let task = Task {
                        chunk,
                        manifest,
                        ledger: self.inputs.entries(self.job.ledger, chunk)?,
                        record: &self.inputs.record,
                        seal: self.seal,
                        identities: self.job.identities,
                        strict: self.job.strict,
                        is_remade: self.is_remade,
                    };
                    begun.push_back(chunk);
                    let mut sent = Sent {
                        send: send.clone(),
                        chunk,
                        result: None,
                    };
                    scope.spawn_fifo(move |_| {
                        sent.take(chunk::verify(&task, store, standard));
                        verified(shape.rows_of(chunk));
                    });
                }
                let Some(next) = begun.front() else {
                    return Ok::<_, VerifyError>(());
                };
                let Some(result) = waiting.remove(next) else {
                    let (chunk, result) = receive.recv().expect("this thread holds a sender too");
                    waiting.insert(chunk, result);
                    continue;
                };
                let Some(result) = result else {
                    // The thread that verified it panicked, and this one does at the end of the scope.
                    return Ok(());
                };
                found(of_one_object(*next, result)?);
                begun.pop_front();
            }
        })?;
        rows.prove()
    }
}

/// Sends what was found of a chunk once it is dropped, even if there is nothing.
struct Sent {
    send: mpsc::Sender<(u64, Option<Result<Verified, VerifyError>>)>,
    chunk: u64,
    result: Option<Result<Verified, VerifyError>>,
}

impl Sent {
    /// Keeps what was found until it is dropped.
    fn take(&mut self, result: Result<Verified, VerifyError>) {
        self.result = Some(result);
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // Nobody listens once another chunk has failed.
        let _ = self.send.send((self.chunk, self.result.take()));
    }
}

/// What was found of a chunk. Something odd in the place of one of its objects is a fault like others.
fn of_one_object(chunk: u64, result: Result<Verified, VerifyError>) -> Result<Verified, VerifyError> {
    match result {
        Err(VerifyError::Store(error)) if error.is_of_one_object() => Ok(Verified {
            faults: vec![Fault::of(&index_object(chunk), in_one_line(&error))],
            ..Verified::default()
        }),
        other => other,
    }
}
