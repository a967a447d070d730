//! Two measurements side by side: what was measured in both, and whether it is fair to compare them.

use std::fmt;

use serde::Serialize;

use super::{Measure, Measurements};

/// Of an earlier report and a later one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// When the earlier one began, and its version of certforge.
    pub date: String,
    pub certforge: String,
    /// What makes ratios say less, or nothing.
    pub warnings: Vec<Difference>,
    /// By quantity, and within it in the order of the later report.
    pub lines: Vec<Line>,
    /// Measures that only one of the two has.
    pub only_before: usize,
    pub only_now: usize,
}

/// A measure that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The later one.
    #[serde(flatten)]
    pub measure: Measure,
    pub before_per_second: f64,
    pub now_per_second: f64,
    /// Now by before.
    pub ratio: f64,
}

/// Something that differs between two reports, and that rates depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub what: &'static str,
    pub before: String,
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, before, now } = self;
        write!(f, "{what}: {before} before, {now} now")
    }
}

impl Comparison {
    #[must_use]
    pub fn new(before: &Measurements, now: &Measurements) -> Self {
        let line = |measure: &Measure| {
            let earlier = before.measures.iter().find(|other| other.is_same(measure))?;
            let (before, now) = (earlier.rate.per_second, measure.rate.per_second);
            Some(Line {
                measure: measure.clone(),
                before_per_second: before,
                now_per_second: now,
                ratio: now / before,
            })
        };
        let mut lines: Vec<Line> = now.measures.iter().filter_map(line).collect();
        lines.sort_by_key(|line| line.measure.quantity);
        let facts = facts(before).into_iter().zip(facts(now));
        let differ = facts.filter(|((_, before), (_, now))| before != now);
        Self {
            date: before.date.clone(),
            certforge: before.certforge.clone(),
            warnings: differ
                .map(|((what, before), (_, now))| Difference { what, before, now })
                .chain(libraries(before, now))
                .collect(),
            only_before: only_in(before, now),
            only_now: only_in(now, before),
            lines,
        }
    }
}

/// How many measures the first has that the second lacks.
fn only_in(first: &Measurements, second: &Measurements) -> usize {
    let is_in_second = |measure: &Measure| second.measures.iter().any(|other| other.is_same(measure));
    let only = first.measures.iter().filter(|measure| !is_in_second(measure));
    only.count()
}

/// What rates depend on, as people read it.
fn facts(all: &Measurements) -> [(&'static str, String); 12] {
    let Measurements {
        machine,
        settings,
        place,
        ..
    } = all;
    let yes_or_no = |is_so| if is_so { "yes" } else { "no" }.to_owned();
    let layouts: Vec<_> = settings.layouts.iter().map(|layout| layout.as_str()).collect();
    let file_system = place.file_system.as_deref().unwrap_or("unknown");
    [
        ("machine", machine.processor.clone()),
        ("threads of the machine", machine.threads.to_string()),
        ("CPU features", machine.features.join(" ")),
        ("system", machine.system.clone()),
        ("optimised", yes_or_no(all.optimised)),
        ("--jobs", settings.jobs.to_string()),
        ("--seconds", settings.seconds.to_string()),
        ("--rows", settings.rows.to_string()),
        ("--rows of RSA keys", settings.rsa_rows.to_string()),
        ("--layout", layouts.join(", ")),
        ("--discard", yes_or_no(settings.discard)),
        ("file system", file_system.to_owned()),
    ]
}

/// The libraries that changed beneath engines which both have measured.
fn libraries(before: &Measurements, now: &Measurements) -> impl Iterator<Item = Difference> {
    let measured = |all: &Measurements| {
        let engines = all.engines.clone().into_iter();
        engines.filter(|engine| engine.left_out.is_none())
    };
    measured(before).filter_map(move |before| {
        let now = measured(now).find(|now| now.engine == before.engine)?;
        (now.library != before.library).then_some(Difference {
            what: "library",
            before: before.library,
            now: now.library,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::measurements::tests::{measure, none_yet};
    use super::super::{EngineHere, Quantity};
    use super::*;

    #[test]
    fn measures_of_the_same_are_held_against_each_other() {
        let (mut before, mut now) = (none_yet(), none_yet());
        before.add([
            measure(Quantity::Keys, 1, 100.0),
            measure(Quantity::Keys, 2, 300.0),
            measure(Quantity::Bundles, 1, 1.0),
        ]);
        now.add([
            measure(Quantity::Keys, 2, 150.0),
            measure(Quantity::Keys, 1, 200.0),
            measure(Quantity::Signatures, 1, 7.0),
        ]);
        let comparison = Comparison::new(&before, &now);
        let ratios: Vec<_> = comparison
            .lines
            .iter()
            .map(|line| (line.measure.threads, line.before_per_second, line.ratio))
            .collect();
        assert_eq!(ratios, [(2, 300.0, 0.5), (1, 100.0, 2.0)]);
        assert_eq!((comparison.only_before, comparison.only_now), (1, 1));
        assert!(comparison.warnings.is_empty());
    }

    #[test]
    fn a_measure_that_a_report_has_twice_is_in_both() {
        let (mut before, mut now) = (none_yet(), none_yet());
        before.add([measure(Quantity::Keys, 1, 100.0)]);
        now.add([
            measure(Quantity::Keys, 1, 150.0),
            measure(Quantity::Keys, 1, 200.0),
        ]);
        for (before, now) in [(&before, &now), (&now, &before)] {
            let comparison = Comparison::new(before, now);
            assert_eq!((comparison.only_before, comparison.only_now), (0, 0));
        }
    }

    #[test]
    fn warns_of_all_that_differs_beside_the_rates() {
        let mut before = none_yet();
        let mut now = before.clone();
        now.machine.processor = "another".to_owned();
        now.machine.features.push("zzz".to_owned());
        now.settings.rows += 1;
        now.settings.discard = true;
        now.place.file_system = None;
        // One has a new library; one is not in the other report, and one is not measured any more.
        let engine = |(engine, library, left_out): (&str, &str, Option<&str>)| EngineHere {
            engine: engine.to_owned(),
            library: library.to_owned(),
            left_out: left_out.map(str::to_owned),
        };
        let engines = [("a", "one 1", None), ("b", "two 1", None), ("c", "three 1", None)];
        before.engines = engines.map(engine).to_vec();
        let engines = [("a", "one 2", None), ("c", "three 2", Some("it is gone"))];
        now.engines = engines.map(engine).to_vec();
        let warnings = Comparison::new(&before, &now).warnings;
        let what: Vec<_> = warnings.iter().map(|warning| warning.what).collect();
        let all = "machine, CPU features, --rows, --discard, file system, library";
        assert_eq!(what.join(", "), all);
        assert_eq!(warnings[2].to_string(), "--rows: 20000 before, 20001 now");
        assert_eq!(warnings[5].to_string(), "library: one 1 before, one 2 now");
    }
}
