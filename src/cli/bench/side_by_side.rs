//! A comparison of two reports as a table for people: before, now, ratio.

use std::fmt::Write;

use certforge::bench::Comparison;

use super::table::{number, subject, title};
use crate::cli::text;

pub fn comparison(comparison: &Comparison) -> String {
    let Comparison {
        date,
        certforge,
        only_before,
        only_now,
        ..
    } = comparison;
    let mut out = format!(
        "\n{:<67}{:>12}{:>12}{:>7}\n",
        format!("before: certforge {certforge}, {date}"),
        "before",
        "now",
        "ratio"
    );
    let mut last = "";
    for line in &comparison.lines {
        let quantity = line.measure.quantity;
        // A title stands at the first of its lines.
        let title = match title(quantity) {
            title if title == last => "",
            title => {
                last = title;
                title
            }
        };
        if !title.is_empty() {
            let _ = writeln!(out, "{title}");
        }
        let _ = writeln!(
            out,
            "  {:<65}{:>12}{:>12}{:>7.2}",
            format!(
                "{}  {}",
                subject(&line.measure),
                text::threads(line.measure.threads)
            ),
            number(quantity, line.before_per_second),
            number(quantity, line.now_per_second),
            line.ratio
        );
    }
    for (measures, place) in [(only_before, "in the file"), (only_now, "in this run")] {
        if *measures > 0 {
            let _ = writeln!(out, "measures that are only {place}: {measures}");
        }
    }
    out
}
