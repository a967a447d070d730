//! The steps of a measurement: which engines, and what of each.

use std::fmt;

use super::{BenchError, Options, Part, Quantity};
use crate::batch::Layout;
use crate::engine::{ENGINES, Engine, EngineError, KeyMaker, Rsa};
use crate::profile::KeyType;

/// Measures that belong together, and take turns.
pub struct Step {
    pub(super) work: Work,
    pub threads: usize,
}

#[derive(Clone)]
pub(super) enum Work {
    /// Stages by themselves.
    Stages(MadeBy, Vec<Quantity>),
    Sha256,
    Ledger,
    /// End-to-end runs.
    Run(MadeBy, Layout),
}

/// What keys are made by, and of which type.
#[derive(Clone, Copy)]
pub(super) struct MadeBy {
    pub engine: &'static dyn Engine,
    pub key_type: KeyType,
}

/// The engines to measure, and those that do not work here with the reason, when nobody named any.
pub(super) type Engines = (Vec<&'static dyn Engine>, Vec<(&'static dyn Engine, EngineError)>);

pub(super) fn engines(options: &Options) -> Result<Engines, EngineError> {
    let (mut engines, mut left_out) = (Vec::<&dyn Engine>::new(), Vec::new());
    for choice in &options.engines {
        // `auto` takes the fastest for the keys that most have; one that is named may make others alone.
        let engine = match choice.for_keys(KeyType::P256) {
            Err(EngineError::NoKeys { .. }) => choice.for_keys(KeyType::Rsa2048),
            found => found,
        }?;
        if engines.iter().all(|other| other.name() != engine.name()) {
            engines.push(engine);
        }
    }
    if options.engines.is_empty() {
        for engine in ENGINES {
            match engine.ready() {
                Ok(()) => engines.push(engine),
                Err(error) => left_out.push((engine, error)),
            }
        }
    }
    Ok((engines, left_out))
}

/// All that is measured, in order.
pub(super) fn steps(options: &Options) -> Result<Vec<Step>, BenchError> {
    let (engines, _) = engines(options)?;
    let settings = &options.settings;
    let mut works = Vec::new();
    let mut runs = Vec::new();
    for (key_type, parts) in subjects(options) {
        let parts: Vec<Part> = parts.iter().copied().filter(|part| settings.has(*part)).collect();
        for engine in &engines {
            let made_by = MadeBy {
                engine: *engine,
                key_type,
            };
            let quantities = made_by.quantities(&parts);
            if !quantities.is_empty() {
                works.push(Work::Stages(made_by, quantities));
            }
            if parts.contains(&Part::Run) && made_by.issues() {
                runs.extend(settings.layouts.iter().map(|layout| Work::Run(made_by, *layout)));
            }
        }
    }
    if settings.has(Part::Sha256) {
        works.push(Work::Sha256);
    }
    if settings.has(Part::Ledger) {
        works.push(Work::Ledger);
    }
    let mut steps = Vec::new();
    for work in works.into_iter().chain(runs) {
        let threads = match work {
            // It has one writer.
            Work::Ledger => vec![1],
            _ => settings.threads(),
        };
        steps.extend(threads.into_iter().map(|threads| Step {
            work: work.clone(),
            threads,
        }));
    }
    match steps.is_empty() {
        true => Err(BenchError::Nothing),
        false => Ok(steps),
    }
}

/// The key types to measure, and what of each.
fn subjects(options: &Options) -> Vec<(KeyType, &'static [Part])> {
    use Part::{Bundles, Certificates, Keys, Run, Signatures};
    const ALL: &[Part] = &[Keys, Signatures, Certificates, Bundles, Run];
    let mut key_types = options.key_types.clone();
    if key_types.is_empty() {
        return vec![
            (KeyType::P256, ALL),
            (KeyType::P384, &[Keys, Signatures]),
            (KeyType::Rsa2048, &[Keys]),
            (KeyType::Rsa3072, &[Keys]),
        ];
    }
    key_types.sort_unstable();
    key_types.dedup();
    key_types.into_iter().map(|key_type| (key_type, ALL)).collect()
}

impl MadeBy {
    fn issues(self) -> bool {
        // One that makes keys alone leaves signatures to another.
        self.engine.makes(self.key_type) && self.choice().for_signatures(self.key_type).is_ok()
    }

    /// What is measured of stages, when these parts are wanted.
    fn quantities(self, parts: &[Part]) -> Vec<Quantity> {
        let has = |part| parts.contains(&part);
        let makes = self.engine.makes(self.key_type);
        let keys = makes && has(Part::Keys);
        let signatures = self.engine.signs(self.key_type) && has(Part::Signatures);
        let certificates = self.issues() && has(Part::Certificates);
        let bundles = self.issues() && has(Part::Bundles);
        // A run is held against the library as well.
        let issued = certificates || bundles || (self.issues() && has(Part::Run));
        // An RSA key takes as long as chance has it: a share of what a library made meanwhile would say nothing. The
        // limit of rsa is what its multiplications take on average.
        let has_limit = makes && (!self.key_type.is_rsa() || self.engine.name() == Rsa::Lanes.name());
        let wanted = [
            (Quantity::LibraryKeys, has_limit && (keys || issued)),
            (
                Quantity::LibrarySignatures,
                has_limit && self.engine.signs(self.key_type) && (signatures || issued),
            ),
            (Quantity::Keys, keys),
            (Quantity::Signatures, signatures),
            (Quantity::Certificates, certificates),
            (Quantity::Bundles, bundles),
        ];
        wanted
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(quantity, _)| quantity)
            .collect()
    }
}

impl Step {
    /// What the measures of this step are of.
    pub(super) fn subject(&self) -> (Option<MadeBy>, Option<Layout>) {
        match self.work {
            Work::Stages(made_by, _) => (Some(made_by), None),
            Work::Run(made_by, layout) => (Some(made_by), Some(layout)),
            Work::Sha256 | Work::Ledger => (None, None),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.work {
            Work::Stages(made_by, _) => write!(f, "{made_by}")?,
            Work::Sha256 => f.write_str("SHA-256")?,
            Work::Ledger => return f.write_str("ledger"),
            Work::Run(made_by, layout) => write!(f, "run, {made_by}, {layout}")?,
        }
        match self.threads {
            1 => f.write_str(", 1 thread"),
            n => write!(f, ", {n} threads"),
        }
    }
}

impl fmt::Display for MadeBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.engine.name(), self.key_type)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::engine::Choice;

    fn with(engine: &str, parts: &[Part]) -> Options {
        let mut options = Options {
            engines: vec![Choice::parse(engine)],
            ..Options::default()
        };
        options.settings = Settings {
            parts: parts.to_vec(),
            jobs: 2,
            ..options.settings
        };
        options
    }

    fn named(options: &Options) -> Vec<String> {
        steps(options).unwrap().iter().map(Step::to_string).collect()
    }

    #[test]
    fn only_what_was_asked_for_is_measured() {
        assert_eq!(
            named(&with("ring", &[Part::Keys, Part::Ledger])),
            [
                "ring, P-256, 1 thread",
                "ring, P-256, 2 threads",
                "ring, P-384, 1 thread",
                "ring, P-384, 2 threads",
                "ledger"
            ]
        );
        let mut runs = with("ring", &[Part::Run]);
        runs.settings.layouts = vec![Layout::Objects];
        runs.settings.jobs = 1;
        assert_eq!(
            named(&runs),
            ["ring, P-256, 1 thread", "run, ring, P-256, objects, 1 thread"]
        );
    }

    #[test]
    fn a_run_is_held_against_the_library_of_its_engine() {
        let steps = steps(&with("ring", &[Part::Run])).unwrap();
        let Work::Stages(_, quantities) = &steps[0].work else {
            panic!("the library comes first")
        };
        assert_eq!(quantities, &[Quantity::LibraryKeys, Quantity::LibrarySignatures]);
    }

    #[test]
    fn every_engine_works_or_is_named() {
        let (ready, left_out) = engines(&Options::default()).unwrap();
        assert_eq!(ready.len() + left_out.len(), ENGINES.len());
        assert!(ready.iter().any(|engine| engine.name() == "aws-lc"));
    }

    #[test]
    fn refuses_engines_that_cannot_and_measurements_without_a_step() {
        let refused = |engine, key_type| {
            let mut options = with(engine, &[Part::Keys]);
            options.key_types = vec![key_type];
            steps(&options).err().unwrap()
        };
        assert!(matches!(
            refused("rang", KeyType::P256),
            BenchError::Engine(EngineError::Unknown { .. })
        ));
        assert!(matches!(refused("ring", KeyType::Rsa2048), BenchError::Nothing));
        assert!(matches!(
            refused("rsa-portable", KeyType::P256),
            BenchError::Nothing
        ));
    }

    /// One that makes no P-256 keys is measured by those that it makes.
    #[test]
    fn an_engine_for_rsa_alone_is_measured() {
        let mut options = with("rsa-portable", &[Part::Keys]);
        options.key_types = vec![KeyType::Rsa2048];
        assert_eq!(engines(&options).unwrap().0[0].name(), "rsa-portable");
        assert!(!steps(&options).unwrap().is_empty());
    }
}
