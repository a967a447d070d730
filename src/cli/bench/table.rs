//! A report as tables for people: at most 100 columns.

use std::fmt::Write;

use certforge::bench::{Measure, Quantity, Report};
use certforge::profile::KeyType;

use crate::cli::text::{self, count, whole};

/// The tables in their order: what is in each, its title, and what a share in it is of.
const TABLES: [(Quantity, &str, &str); 10] = [
    (Quantity::LibraryKeys, "bare library, keys/s", ""),
    (Quantity::LibrarySignatures, "bare library, signatures/s", ""),
    (Quantity::Keys, "keys/s", "of the library"),
    (Quantity::Signatures, "signatures/s", "of the library"),
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
pub fn report(report: &Report) -> String {
    let mut out = head(report).to_string();
    for (quantity, title, share) in TABLES {
        let measures: Vec<&Measure> = of(report, quantity).collect();
        if !measures.is_empty() {
            table(&mut out, title, share, &measures);
        }
    }
    let foot = foot(report).to_string();
    if !foot.is_empty() {
        let _ = write!(out, "\n{foot}");
    }
    out
}

/// The title of a quantity's table.
pub fn title(quantity: Quantity) -> &'static str {
    let table = TABLES.iter().find(|(other, ..)| *other == quantity);
    table.map_or("", |(_, title, _)| title)
}

/// What a rate is of, beside its quantity and the threads.
pub fn subject(measure: &Measure) -> String {
    let engine = measure.engine.as_deref().unwrap_or_default();
    let key_type = measure.key_type.map_or("", |key_type| key_type.as_str());
    let layout = measure.layout.map_or("", |layout| layout.as_str());
    format!("{engine:<14}{key_type:<10}{layout:<8}")
}

/// A rate for people: whole, but for small ones.
pub fn number(quantity: Quantity, per_second: f64) -> String {
    let rate = match quantity {
        Quantity::Sha256 | Quantity::PlainOctets => per_second / MEGA,
        _ => per_second,
    };
    match rate < 100.0 {
        true => format!("{rate:.1}"),
        false => count(whole(rate)),
    }
}

fn of(report: &Report, quantity: Quantity) -> impl Iterator<Item = &Measure> {
    report
        .measures
        .iter()
        .filter(move |measure| measure.quantity == quantity)
}

fn head(report: &Report) -> text::Report {
    let machine = &report.machine;
    let mut head = text::Report::default();
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
    for engine in &report.engines {
        let what = match &engine.left_out {
            None => engine.library.clone(),
            Some(reason) => format!("left out: {reason}"),
        };
        for line in wrapped(&format!("{}: {what}", engine.engine)) {
            head.line("engine", line);
        }
    }
    let build = if report.optimised { "" } else { ", not optimised" };
    head.line(
        "certforge",
        format!("{}{build}, {}", report.certforge, report.date),
    );
    head.line(
        "rates",
        format!("medians of rounds; {} s a measure", report.settings.seconds),
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

/// One line for each engine, key type and layout: one thread, all threads, and how these compare.
fn table(out: &mut String, title: &str, share: &str, measures: &[&Measure]) {
    let mut numbers: Vec<usize> = measures.iter().map(|measure| measure.threads).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let any = |share: fn(&Measure) -> Option<f64>| measures.iter().any(|measure| share(measure).is_some());
    let has_limit = any(|measure| measure.share_of_limit);
    let has_plain = any(|measure| measure.share_of_plain_writes);
    let _ = write!(out, "\n{title:<34}");
    for threads in &numbers {
        let _ = write!(out, "{:>12}", text::threads(*threads));
    }
    if numbers.len() > 1 {
        let _ = write!(out, "{:>7}", "ratio");
    }
    if has_limit {
        let _ = write!(out, "{share:>16}");
    }
    if has_plain {
        let _ = write!(out, "{:>14}", "of the disk");
    }
    out.push('\n');
    let mut subjects: Vec<String> = measures.iter().map(|measure| subject(measure)).collect();
    subjects.dedup();
    for name in subjects {
        let own: Vec<&Measure> = measures
            .iter()
            .copied()
            .filter(|measure| subject(measure) == name)
            .collect();
        out.push_str(&line(&name, &numbers, (has_limit, has_plain), &own));
    }
}

/// The rates of one subject, and its shares in those columns that its table has: of the limit, of the disk.
fn line(name: &str, numbers: &[usize], (has_limit, has_plain): (bool, bool), own: &[&Measure]) -> String {
    let mut out = format!("  {name}");
    for threads in numbers {
        let rate = own.iter().find(|measure| measure.threads == *threads);
        let rate = rate.map_or_else(
            || "-".to_owned(),
            |measure| number(measure.quantity, measure.rate.per_second),
        );
        let _ = write!(out, "{rate:>12}");
    }
    if let [first, .., last] = own {
        let _ = write!(out, "{:>7.2}", last.rate.per_second / first.rate.per_second);
    } else if numbers.len() > 1 {
        let _ = write!(out, "{:>7}", "");
    }
    let shares = |share: fn(&Measure) -> Option<f64>| -> String {
        let shares: Vec<String> = own
            .iter()
            .filter_map(|measure| share(measure))
            .map(|share| format!("{:.0}%", 100.0 * share))
            .collect();
        shares.join(", ")
    };
    if has_limit {
        let _ = write!(out, "{:>16}", shares(|measure| measure.share_of_limit));
    }
    if has_plain {
        let _ = write!(out, "{:>14}", shares(|measure| measure.share_of_plain_writes));
    }
    format!("{}\n", out.trim_end())
}

/// What the tables do not say.
fn foot(report: &Report) -> text::Report {
    let mut foot = text::Report::default();
    let rsa = of(report, Quantity::Keys).filter(|measure| measure.key_type.is_some_and(KeyType::is_rsa));
    for measure in rsa {
        let rate = &measure.rate;
        foot.line(
            "RSA",
            format!(
                "{}, {}: {} keys made, in rounds of {:.1} to {:.1}/s",
                measure.key_type.map_or("", |key_type| key_type.as_str()),
                text::threads(measure.threads),
                count(rate.made),
                rate.lowest_per_second,
                rate.highest_per_second
            ),
        );
    }
    if of(report, Quantity::Sha256).next().is_some() {
        let has = match report.machine.has_sha_instructions {
            true => "has",
            false => "lacks",
        };
        foot.line("SHA-256", format!("the processor {has} instructions for it"));
    }
    if of(report, Quantity::Devices).next().is_some() {
        of_runs(report, &mut foot);
    }
    if of(report, Quantity::Devices).any(|measure| measure.threads == 1) {
        foot.line(
            "1 thread",
            "of a run, all of its threads were held to one processor",
        );
    } else if report.has_left_out_runs {
        foot.line(
            "1 thread",
            "of a run, left out: no thread can be held to one processor here",
        );
    }
    foot
}

fn of_runs(report: &Report, foot: &mut text::Report) {
    let settings = &report.settings;
    let mut sizes: Vec<String> = of(report, Quantity::Devices)
        .map(|run| {
            let devices = run.rate.made / run.rate.rounds.max(1) as u64;
            let megabytes = run.octets.unwrap_or(0) / 1_000_000;
            format!(
                "{} in {}, {} MB",
                text::devices(devices),
                run.layout.unwrap_or_default(),
                count(megabytes)
            )
        })
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        foot.line("run", size);
    }
    let file_system = report.place.file_system.as_deref().unwrap_or("unknown");
    let bundles = match settings.discard {
        true => "; bundles were discarded",
        false => "",
    };
    foot.line(
        "folder",
        format!(
            "{}, file system {file_system}{bundles}",
            report.place.folder.display()
        ),
    );
    if let Some(octets) = report.peak_memory_octets {
        foot.line("memory", format!("{} MB at most", count(octets / 1_000_000)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use certforge::batch::Layout;
    use certforge::bench::{self, Options, Part, Rate};
    use certforge::forge::Cancel;

    use super::*;

    fn run(key_type: KeyType, threads: usize, limit: Option<f64>) -> Measure {
        Measure {
            quantity: Quantity::Devices,
            engine: Some("aws-lc".to_owned()),
            key_type: Some(key_type),
            layout: Some(Layout::Packs),
            threads,
            rate: Rate {
                per_second: 100.0,
                lowest_per_second: 100.0,
                highest_per_second: 100.0,
                rounds: 1,
                made: 1,
            },
            limit_per_second: limit.map(|share| 100.0 / share),
            share_of_limit: limit,
            octets: Some(4000),
            share_of_plain_writes: Some(0.2),
        }
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
        let options = Options {
            parts: vec![Part::Sha256],
            jobs: 1,
            time: Some(Duration::from_millis(1)),
            ..Options::default()
        };
        let mut without = bench::run(&options, &|_| {}, &Cancel::new()).unwrap();
        let line = |report: &Report| {
            let text = super::report(report);
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
