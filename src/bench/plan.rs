//! The plan of a measurement: which engines, and which steps.

use std::fmt;

use super::engines::{LeftOut, ready};
use super::{BenchError, Options, Part, Quantity};
use crate::batch::Layout;
use crate::engine::{Choice, Engine, EngineError};
use crate::profile::KeyType;

/// What is measured, in order.
pub(super) struct Plan {
    pub engines: Vec<&'static dyn Engine>,
    /// Engines that do not work here, when nobody named any.
    pub left_out: Vec<LeftOut>,
    pub steps: Vec<Step>,
}

/// Measures that belong together.
pub(super) enum Step {
    Stages(StagesStep),
    Sha256 { threads: usize },
    Ledger,
    Run(RunStep),
}

/// Stages of one engine, in turns.
pub(super) struct StagesStep {
    pub engine: &'static dyn Engine,
    pub key_type: KeyType,
    pub threads: usize,
    pub quantities: Vec<Quantity>,
}

/// End-to-end runs with one engine.
pub(super) struct RunStep {
    pub engine: &'static dyn Engine,
    pub key_type: KeyType,
    pub layout: Layout,
    pub threads: usize,
}

/// What is measured of a key type.
#[derive(Clone, Copy)]
struct Subject {
    key_type: KeyType,
    has_signatures: bool,
    has_certificates: bool,
}

impl Plan {
    pub(super) fn new(options: &Options) -> Result<Self, BenchError> {
        let (mut engines, mut left_out) = ready();
        if !options.engines.is_empty() {
            engines = named(&options.engines)?;
            left_out.clear();
        }
        let subjects = subjects(options);
        let mut steps = Vec::new();
        for subject in &subjects {
            for engine in &engines {
                steps.extend(stages(options, *engine, *subject));
            }
        }
        if options.has(Part::Sha256) {
            let threads = options.threads().into_iter();
            steps.extend(threads.map(|threads| Step::Sha256 { threads }));
        }
        if options.has(Part::Ledger) {
            steps.push(Step::Ledger);
        }
        if options.has(Part::Run) {
            for subject in subjects.iter().filter(|subject| subject.has_certificates) {
                for engine in &engines {
                    steps.extend(runs(options, *engine, subject.key_type));
                }
            }
        }
        if steps.is_empty() {
            return Err(BenchError::Nothing);
        }
        Ok(Self {
            engines,
            left_out,
            steps,
        })
    }
}

/// The engines of these choices, each once.
fn named(choices: &[Choice]) -> Result<Vec<&'static dyn Engine>, EngineError> {
    let mut engines: Vec<&'static dyn Engine> = Vec::new();
    for choice in choices {
        // Every engine makes these keys; `auto` takes the fastest by them.
        let engine = choice.for_keys(KeyType::P256)?;
        if engines.iter().all(|other| other.name() != engine.name()) {
            engines.push(engine);
        }
    }
    Ok(engines)
}

fn subjects(options: &Options) -> Vec<Subject> {
    let all = |key_type: &KeyType| Subject {
        key_type: *key_type,
        has_signatures: true,
        has_certificates: true,
    };
    if !options.key_types.is_empty() {
        let mut key_types = options.key_types.clone();
        key_types.sort_unstable();
        key_types.dedup();
        return key_types.iter().map(all).collect();
    }
    let keys = |key_type| Subject {
        key_type,
        has_signatures: false,
        has_certificates: false,
    };
    vec![
        all(&KeyType::P256),
        Subject {
            has_signatures: true,
            ..keys(KeyType::P384)
        },
        keys(KeyType::Rsa2048),
        keys(KeyType::Rsa3072),
    ]
}

fn stages(options: &Options, engine: &'static dyn Engine, subject: Subject) -> Vec<Step> {
    let key_type = subject.key_type;
    let (makes, signs) = (engine.makes(key_type), engine.signs(key_type));
    let issues = makes && signs && subject.has_certificates;
    let has = |part| options.has(part);
    let has_keys = makes && has(Part::Keys);
    let has_signatures = signs && subject.has_signatures && has(Part::Signatures);
    // A run is held against the library as well.
    let has_issued = issues && (has(Part::Certificates) || has(Part::Bundles) || has(Part::Run));
    // An RSA key takes as long as chance has it: a share of that would say nothing.
    let has_limit = makes && !key_type.is_rsa();
    let wanted = [
        (Quantity::LibraryKeys, has_limit && (has_keys || has_issued)),
        (
            Quantity::LibrarySignatures,
            has_limit && (has_signatures || has_issued),
        ),
        (Quantity::Keys, has_keys),
        (Quantity::Signatures, has_signatures),
        (Quantity::Certificates, issues && has(Part::Certificates)),
        (Quantity::Bundles, issues && has(Part::Bundles)),
    ];
    let quantities: Vec<Quantity> = wanted
        .into_iter()
        .filter_map(|(quantity, is_wanted)| is_wanted.then_some(quantity))
        .collect();
    if quantities.is_empty() {
        return Vec::new();
    }
    let step = |threads| {
        Step::Stages(StagesStep {
            engine,
            key_type,
            threads,
            quantities: quantities.clone(),
        })
    };
    options.threads().into_iter().map(step).collect()
}

fn runs(options: &Options, engine: &'static dyn Engine, key_type: KeyType) -> Vec<Step> {
    if !(engine.makes(key_type) && engine.signs(key_type)) {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for layout in options.layouts() {
        for threads in options.threads() {
            steps.push(Step::Run(RunStep {
                engine,
                key_type,
                layout,
                threads,
            }));
        }
    }
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stages(step) => write!(
                f,
                "{}, {}, {}",
                step.engine.name(),
                step.key_type,
                on(step.threads)
            ),
            Self::Sha256 { threads } => write!(f, "SHA-256, {}", on(*threads)),
            Self::Ledger => f.write_str("ledger"),
            Self::Run(step) => write!(
                f,
                "run, {}, {}, {}, {}",
                step.engine.name(),
                step.key_type,
                step.layout,
                on(step.threads)
            ),
        }
    }
}

fn on(threads: usize) -> String {
    match threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(options: &Options) -> Vec<String> {
        let plan = Plan::new(options).unwrap();
        plan.steps.iter().map(ToString::to_string).collect()
    }

    fn ring(parts: &[Part]) -> Options {
        Options {
            engines: vec![Choice::parse("ring")],
            parts: parts.to_vec(),
            jobs: 2,
            ..Options::default()
        }
    }

    #[test]
    fn only_what_was_asked_for_is_measured() {
        assert_eq!(
            steps(&ring(&[Part::Keys, Part::Ledger])),
            [
                "ring, P-256, 1 thread",
                "ring, P-256, 2 threads",
                "ring, P-384, 1 thread",
                "ring, P-384, 2 threads",
                "ledger"
            ]
        );
        let runs = Options {
            layouts: vec![Layout::Objects],
            jobs: 1,
            ..ring(&[Part::Run])
        };
        assert_eq!(
            steps(&runs),
            ["ring, P-256, 1 thread", "run, ring, P-256, objects, 1 thread"]
        );
    }

    #[test]
    fn a_run_is_held_against_the_library_of_its_engine() {
        let plan = Plan::new(&ring(&[Part::Run])).unwrap();
        let Step::Stages(step) = &plan.steps[0] else {
            panic!("the library comes first")
        };
        assert_eq!(
            step.quantities,
            [Quantity::LibraryKeys, Quantity::LibrarySignatures]
        );
    }

    #[test]
    fn refuses_engines_that_cannot_and_plans_without_a_step() {
        let with = |engine: &str, key_type| Options {
            engines: vec![Choice::parse(engine)],
            key_types: vec![key_type],
            parts: vec![Part::Keys],
            ..Options::default()
        };
        assert!(matches!(
            Plan::new(&with("rang", KeyType::P256)),
            Err(BenchError::Engine(EngineError::Unknown { .. }))
        ));
        assert!(matches!(
            Plan::new(&with("ring", KeyType::Rsa2048)),
            Err(BenchError::Nothing)
        ));
    }
}
