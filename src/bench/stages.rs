//! The pure stages, each by itself: keys, signatures, certificates, bundles; and the bare library that they are held
//! against. The stages are [`Workbench`]'s, the very code that a run goes through.

use super::bare::{Bare, BareWork};
use super::engines::{KeyMaker, SignatureMaker, at_a_time, signing_key};
use super::fixture::Fixture;
use super::meter::{Task, Turn, rates};
use super::plan::StagesStep;
use super::workbench::Workbench;
use super::{Bench, BenchError, Measure, Quantity};
use crate::batch::Layout;
use crate::engine::{Choice, SigningKey};
use crate::profile::KeyType;

/// Rows of a chunk of RSA keys, of which a whole one would take many seconds.
const RSA_ROWS: usize = 4;

pub(super) fn measure(bench: Bench<'_>, step: &StagesStep) -> Result<Vec<Measure>, BenchError> {
    let has = |quantity| step.quantities.contains(&quantity);
    let scratch = bench.scratch.folder()?;
    let rows = match step.key_type.is_rsa() {
        true => RSA_ROWS,
        false => step.key_type.chunk_rows(),
    };
    let bare = match has(Quantity::LibraryKeys) || has(Quantity::LibrarySignatures) {
        true => Bare::beneath(step.engine, step.key_type)?,
        false => None,
    };
    let key = match has(Quantity::Signatures) {
        true => Some(signing_key(step.key_type)?),
        false => None,
    };
    let fixture = match has(Quantity::Certificates) || has(Quantity::Bundles) {
        true => {
            let engines = Choice::Named(step.engine.name().to_owned());
            Some(Fixture::new(scratch.path(), step.key_type, rows as u64, engines)?)
        }
        false => None,
    };
    let workbench = match &fixture {
        Some(fixture) => {
            let job = fixture.job(Layout::Packs, step.threads);
            Some(Workbench::new(&job, fixture.first_rows(rows)?)?)
        }
        None => None,
    };
    let supplies = Supplies {
        step,
        bare: bare.as_ref(),
        key: key.as_ref(),
        workbench: workbench.as_ref(),
    };
    let tasks: Vec<Task<'_>> = step
        .quantities
        .iter()
        .filter_map(|quantity| supplies.task(*quantity))
        .collect();
    let rates = rates(bench, step.threads, &tasks)?;
    let measure = |(quantity, rate)| Measure {
        engine: Some(step.engine.name().to_owned()),
        key_type: Some(step.key_type),
        ..Measure::new(quantity, step.threads, rate)
    };
    Ok(rates.into_iter().map(measure).collect())
}

/// What the tasks of a step work with.
#[derive(Clone, Copy)]
struct Supplies<'a> {
    step: &'a StagesStep,
    bare: Option<&'a Bare>,
    key: Option<&'a SigningKey>,
    workbench: Option<&'a Workbench<'a>>,
}

impl<'a> Supplies<'a> {
    /// The task that measures this; `None` when there is nothing to do it with.
    fn task(self, quantity: Quantity) -> Option<Task<'a>> {
        let StagesStep { engine, key_type, .. } = *self.step;
        let mut task = match quantity {
            Quantity::LibraryKeys => library(quantity, &self.bare?.keys, key_type),
            Quantity::LibrarySignatures => library(quantity, &self.bare?.signatures, key_type),
            Quantity::Keys => Task::new(quantity, move || {
                let mut maker = KeyMaker::new(engine, key_type)?;
                Ok(Box::new(move || Ok(maker.make()?)))
            }),
            Quantity::Signatures => {
                let key = self.key?;
                Task::new(quantity, move || {
                    let mut maker = SignatureMaker::new(engine, key)?;
                    Ok(Box::new(move || Ok(maker.make()?)))
                })
            }
            Quantity::Certificates => {
                let workbench = self.workbench?;
                Task::new(quantity, move || certificates(workbench))
            }
            Quantity::Bundles => {
                let workbench = self.workbench?;
                Task::new(quantity, move || bundles(workbench))
            }
            _ => return None,
        };
        task.is_chance = key_type.is_rsa() && quantity != Quantity::Signatures;
        Some(task)
    }
}

fn library(quantity: Quantity, work: &BareWork, key_type: KeyType) -> Task<'_> {
    let count = at_a_time(key_type);
    Task::new(quantity, move || {
        Ok(Box::new(move || {
            work(count)?;
            Ok(count as u64)
        }))
    })
}

/// Keys and certificates of all the rows. To make them into bundles first proves one of them by another library.
fn certificates<'a>(workbench: &'a Workbench<'a>) -> Result<Turn<'a>, BenchError> {
    workbench.bundles()()?;
    let mut make = workbench.certificates();
    Ok(Box::new(move || Ok(make()?)))
}

/// The bundles of a chunk.
fn bundles<'a>(workbench: &'a Workbench<'a>) -> Result<Turn<'a>, BenchError> {
    let mut make = workbench.bundles();
    make()?;
    Ok(Box::new(move || Ok(make()?)))
}
