//! What was measured, and how it compares with an earlier report, as tables for people: at most 100 columns.

use std::collections::BTreeSet;
use std::fmt::Write;

use certforge::bench::{Comparison, Measure, Measurements, Quantity};
use certforge::printable;
use certforge::profile::KeyType;

use crate::cli::text::{self, Lines, count, whole};

/// The tables in their order: what is in each, its title, and what a share in it is of.
const TABLES: [(Quantity, &str, &str); 10] = [
    (Quantity::LibraryKeys, "limit, keys/s", ""),
    (Quantity::LibrarySignatures, "limit, signatures/s", ""),
    (Quantity::Keys, "keys/s", "of the limit"),
    (Quantity::Signatures, "signatures/s", "of the limit"),
    (
        Quantity::Certificates,
        "certificates/s, with their keys",
        "of the limit",
    ),
    (Quantity::Bundles, "bundles/s, with all in them", "of the limit"),
    (Quantity::Sha256, "SHA-256, MB/s", ""),
    (Quantity::LedgerRows, "ledger, rows/s", ""),
    (Quantity::Devices, "end to end, devices/s", "of the limit"),
    (Quantity::PlainOctets, "its octets plainly written, MB/s", ""),
];

/// Octets of a megabyte, as disks are sold.
const MEGA: f64 = 1e6;

/// All that was measured.
pub fn measurements(all: &Measurements) -> String {
    let mut out = head(all).to_string();
    for (quantity, title, share) in TABLES {
        let measures: Vec<&Measure> = of(all, quantity).collect();
        if !measures.is_empty() {
            table(&mut out, title, share, &measures);
        }
    }
    let foot = foot(all).to_string();
    if !foot.is_empty() {
        let _ = write!(out, "\n{foot}");
    }
    out
}

/// What both have, side by side: before, now, ratio.
pub fn comparison(comparison: &Comparison) -> String {
    let Comparison { date, certforge, .. } = comparison;
    let mut out = "\n".to_owned();
    let row = |what: &str, before: &str, now: &str, ratio: &str| {
        let what = printable::line(what);
        format!("{what:<67}{before:>12}{now:>12}{ratio:>7}\n")
    };
    out += &row(
        &format!("before: certforge {certforge}, {date}"),
        "before",
        "now",
        "ratio",
    );
    let mut last = None;
    for line in &comparison.lines {
        let quantity = line.measure.quantity;
        // A title stands at the first of its lines.
        if last.replace(quantity) != Some(quantity) {
            let titles = TABLES.iter().filter(|(other, ..)| *other == quantity);
            titles.for_each(|(_, title, _)| out.extend([*title, "\n"]));
        }
        let threads = text::threads(line.measure.threads);
        out += &row(
            &format!("  {}  {threads}", subject(&line.measure)),
            &number(quantity, line.before_per_second),
            &number(quantity, line.now_per_second),
            &format!("{:.2}", line.ratio),
        );
    }
    for (measures, place) in [
        (comparison.only_before, "in the file"),
        (comparison.only_now, "in this run"),
    ] {
        if measures > 0 {
            let _ = writeln!(out, "measures that are only {place}: {measures}");
        }
    }
    out
}

/// What a rate is of, beside its quantity and the threads.
fn subject(measure: &Measure) -> String {
    let engine = measure.engine.as_deref().unwrap_or_default();
    let key_type = measure.key_type.map_or("", KeyType::as_str);
    let layout = measure.layout.map_or("", |layout| layout.as_str());
    format!("{engine:<14}{key_type:<10}{layout:<8}")
}

/// A rate for people: whole, but for small ones.
fn number(quantity: Quantity, per_second: f64) -> String {
    let rate = match quantity {
        Quantity::Sha256 | Quantity::PlainOctets => per_second / MEGA,
        _ => per_second,
    };
    match rate < 100.0 {
        true => format!("{rate:.1}"),
        false => count(whole(rate)),
    }
}

fn of(all: &Measurements, quantity: Quantity) -> impl Iterator<Item = &Measure> {
    let measures = all.measures.iter();
    measures.filter(move |measure| measure.quantity == quantity)
}

fn head(all: &Measurements) -> Lines {
    let machine = &all.machine;
    let mut head = Lines::default();
    let processor = match machine.processor.as_str() {
        "" => &machine.architecture,
        name => name,
    };
    let memory = machine.memory_octets >> 30;
    head.line(
        "machine",
        format!("{processor}, {}, {memory} GiB", text::threads(machine.threads)),
    );
    head.line("system", format!("{}, {}", machine.system, machine.architecture));
    head.line("features", machine.features.join(" "));
    for engine in &all.engines {
        let what = match &engine.left_out {
            None => engine.library.clone(),
            Some(reason) => format!("left out: {reason}"),
        };
        for line in wrapped(&format!("{}: {what}", engine.engine)) {
            head.line("engine", line);
        }
    }
    let build = if all.optimised { "" } else { ", not optimised" };
    head.line("certforge", format!("{}{build}, {}", all.certforge, all.date));
    head.line(
        "rates",
        format!("medians of rounds; {} s a measure", all.settings.seconds),
    );
    head
}

/// Text in lines that fit beside their label; no word is broken.
fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 86;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines
}

/// A rate as a part of what it is held against.
type Share = fn(&Measure) -> Option<f64>;

/// One line for each engine, key type and layout: one thread, all threads, how these compare, and shares.
fn table(out: &mut String, title: &str, share: &str, measures: &[&Measure]) {
    let numbers: BTreeSet<usize> = measures.iter().map(|measure| measure.threads).collect();
    let mut shares: Vec<(&str, usize, Share)> = vec![
        (share, 16, |measure| measure.share_of_limit),
        ("of the disk", 14, |measure| measure.share_of_plain_writes),
    ];
    shares.retain(|(.., share)| measures.iter().any(|measure| share(measure).is_some()));
    let _ = write!(out, "\n{title:<34}");
    for threads in &numbers {
        let _ = write!(out, "{:>12}", text::threads(*threads));
    }
    if numbers.len() > 1 {
        out.push_str("  ratio");
    }
    for (head, width, _) in &shares {
        let _ = write!(out, "{head:>width$}");
    }
    let mut subjects: Vec<String> = measures.iter().map(|measure| subject(measure)).collect();
    subjects.dedup();
    for name in subjects {
        let own = measures.iter().filter(|measure| subject(measure) == name);
        let own: Vec<&Measure> = own.copied().collect();
        let mut line = format!("  {name}");
        for threads in &numbers {
            let measure = own.iter().find(|measure| measure.threads == *threads);
            let rate = measure.map(|measure| number(measure.quantity, measure.rate.per_second));
            let _ = write!(line, "{:>12}", rate.as_deref().unwrap_or("-"));
        }
        match own[..] {
            [first, .., last] => {
                let _ = write!(line, "{:>7.2}", last.rate.per_second / first.rate.per_second);
            }
            _ if numbers.len() > 1 => line.push_str("       "),
            _ => {}
        }
        for (_, width, share) in &shares {
            let own = own.iter().filter_map(|measure| share(measure));
            let percent: Vec<String> = own.map(|share| format!("{:.0}%", 100.0 * share)).collect();
            let _ = write!(line, "{:>width$}", percent.join(", "));
        }
        let _ = write!(out, "\n{}", line.trim_end());
    }
    out.push('\n');
}

/// What the tables do not say.
fn foot(all: &Measurements) -> Lines {
    let mut foot = Lines::default();
    for measure in of(all, Quantity::Keys) {
        let (rate, Some(key_type)) = (&measure.rate, measure.key_type.filter(|it| it.is_rsa())) else {
            continue;
        };
        foot.line(
            "RSA",
            format!(
                "{key_type}, {}: {} keys made, in rounds of {:.1} to {:.1}/s",
                text::threads(measure.threads),
                count(rate.made),
                rate.lowest_per_second,
                rate.highest_per_second
            ),
        );
    }
    if of(all, Quantity::Sha256).next().is_some() {
        let has = match all.machine.has_sha_instructions {
            true => "has",
            false => "lacks",
        };
        foot.line("SHA-256", format!("the processor {has} instructions for it"));
    }
    if of(all, Quantity::Devices).next().is_some() {
        of_runs(all, &mut foot);
    }
    let has_one_thread = of(all, Quantity::Devices).any(|measure| measure.threads == 1);
    let one_thread = match (has_one_thread, all.has_left_out_runs) {
        (true, _) => "of a run, all of its threads were held to one processor",
        (false, true) => "of a run, left out: no thread can be held to one processor here",
        (false, false) => return foot,
    };
    foot.line("1 thread", one_thread);
    foot
}

fn of_runs(all: &Measurements, foot: &mut Lines) {
    let size = |run: &Measure| {
        format!(
            "{} in {}, {} MB",
            text::devices(run.rate.made / run.rate.rounds.max(1) as u64),
            run.layout.unwrap_or_default(),
            count(run.octets.unwrap_or(0) / 1_000_000)
        )
    };
    let sizes: BTreeSet<String> = of(all, Quantity::Devices).map(size).collect();
    for size in sizes {
        foot.line("run", size);
    }
    let file_system = all.place.file_system.as_deref().unwrap_or("unknown");
    let bundles = match all.settings.discard {
        true => "; bundles were discarded",
        false => "",
    };
    let folder = all.place.folder.display();
    foot.line("folder", format!("{folder}, file system {file_system}{bundles}"));
    if let Some(octets) = all.peak_memory_octets {
        foot.line("memory", format!("{} MB at most", count(octets / 1_000_000)));
    }
}

#[cfg(test)]
mod tests {
    use certforge::bench::{self, Options, Part};
    use certforge::forge::Cancel;

    use super::*;

    fn run(key_type: KeyType, threads: usize, limit: Option<f64>) -> Measure {
        serde_json::from_value(serde_json::json!({
            "quantity": "devices", "engine": "aws-lc", "key_type": key_type, "layout": "packs", "threads": threads,
            "per_second": 100.0, "lowest_per_second": 100.0, "highest_per_second": 100.0, "rounds": 1, "made": 1,
            "share_of_limit": limit, "octets": 4000, "share_of_plain_writes": 0.2,
        }))
        .unwrap()
    }

    #[test]
    fn shares_stand_below_the_titles_of_their_columns() {
        for (rsa, p256) in [(None, None), (None, Some(0.5)), (Some(0.5), Some(0.5))] {
            let runs = [run(KeyType::Rsa2048, 1, rsa), run(KeyType::P256, 1, p256)];
            let mut out = String::new();
            table(&mut out, "end to end", "of the limit", &runs.each_ref());
            let mut widths = out.trim().lines().map(str::len);
            let head = widths.next().unwrap();
            assert!(widths.all(|width| width == head), "{out}");
        }
    }

    #[test]
    fn says_why_there_is_no_run_of_one_thread() {
        let mut options = Options::default();
        options.settings.parts = vec![Part::Sha256];
        options.settings.jobs = 1;
        options.settings.seconds = 0.001;
        let mut without = bench::run(&options, &|_| {}, &Cancel::new()).unwrap();
        let line = |all: &Measurements| {
            let text = measurements(all);
            text.lines()
                .find(|line| line.starts_with("1 thread"))
                .map(str::to_owned)
        };
        assert_eq!(line(&without), None, "none was asked for");
        without.has_left_out_runs = true;
        assert!(line(&without).is_some_and(|line| line.contains("left out: no thread can be held")));
        without.measures.push(run(KeyType::P256, 2, None));
        assert!(line(&without).is_some_and(|line| line.contains("left out: no thread can be held")));
        without.measures.push(run(KeyType::P256, 1, None));
        assert!(line(&without).is_some_and(|line| line.ends_with("were held to one processor")));
    }
}
