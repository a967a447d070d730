//! Metrics in the text format that Prometheus reads, version 0.0.4: whoever has numbers names them here, one family at a
//! time, and nothing that comes from outside can break a line out of its label.
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>)

use std::fmt::{self, Write as _};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as text. Each family is named once; its samples stand together.
#[derive(Debug, Default)]
pub struct Metrics(String);

/// The samples of one metric.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Metrics {
    /// A number that goes up and down. `name` is `[a-zA-Z_:][a-zA-Z0-9_:]*`, and ends in its unit if it has one
    /// (`_seconds`, `_bytes`).
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// A number that only grows while the process lives, and begins anew with it. `name` ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(
            name.ends_with("_total"),
            "a counter's name ends in _total: {name}"
        );
        self.family(name, "counter", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        debug_assert!(is_name(name), "no name of a metric: {name}");
        let header = format!("# HELP {name} ");
        debug_assert!(!self.0.contains(&header), "{name} is named twice");
        self.0.push_str(&header);
        escape(&mut self.0, help, false);
        writeln!(self.0, "\n# TYPE {name} {kind}").expect("text grows");
        Family {
            text: &mut self.0,
            name,
        }
    }

    /// The text, which ends with a line feed unless it is empty.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One number, and what tells it apart from the others of its family. Label names are `[a-zA-Z_][a-zA-Z0-9_]*`;
    /// their values are any text.
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: impl Into<Value>) -> &mut Self {
        self.text.push_str(self.name);
        for (i, (label, text)) in labels.iter().enumerate() {
            debug_assert!(is_name(label) && !label.contains(':'), "no label: {label}");
            self.text.push(if i == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(self.text, text, true);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        writeln!(self.text, " {}", value.into()).expect("text grows");
        self
    }
}

/// A sample's value: whole numbers are written as they are, so none is rounded on the way out.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    Whole(i128),
    Real(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Real(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Real(number) => write!(f, "{number}"),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Whole(number as i128)
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self::Whole(is_so.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(fits) && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn escape(text: &mut String, value: &str, in_quotes: bool) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if in_quotes => text.push_str("\\\""),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_their_help_their_type_and_their_samples() {
        let mut metrics = Metrics::default();
        metrics
            .gauge("certforge_devices", "Devices of the batch,\nby \\state.")
            .sample(&[("batch", "line-7"), ("state", "open")], 12_u64)
            .sample(&[("batch", "line-7"), ("state", "flashed")], u64::MAX);
        metrics
            .counter("certforge_looks_total", "Looks at the claims.")
            .sample(&[], 3_usize);
        metrics
            .gauge("certforge_rate", "Devices an hour.")
            .sample(&[], 36.5);
        assert_eq!(
            metrics.into_text(),
            "# HELP certforge_devices Devices of the batch,\\nby \\\\state.\n\
             # TYPE certforge_devices gauge\n\
             certforge_devices{batch=\"line-7\",state=\"open\"} 12\n\
             certforge_devices{batch=\"line-7\",state=\"flashed\"} 18446744073709551615\n\
             # HELP certforge_looks_total Looks at the claims.\n\
             # TYPE certforge_looks_total counter\n\
             certforge_looks_total 3\n\
             # HELP certforge_rate Devices an hour.\n\
             # TYPE certforge_rate gauge\n\
             certforge_rate 36.5\n"
        );
    }

    #[test]
    fn a_label_cannot_break_out() {
        let mut metrics = Metrics::default();
        metrics
            .gauge("m", "h")
            .sample(&[("station", "a\"} 1\nevil{x=\"\\")], true);
        let text = metrics.into_text();
        assert_eq!(
            text.lines().last().unwrap(),
            r#"m{station="a\"} 1\nevil{x=\"\\"} 1"#
        );
    }

    #[test]
    fn numbers_are_written_as_the_format_has_them() {
        for (value, text) in [
            (Value::from(-5_i64), "-5"),
            (false.into(), "0"),
            (f64::INFINITY.into(), "+Inf"),
            (f64::NEG_INFINITY.into(), "-Inf"),
            (f64::NAN.into(), "NaN"),
            (0.25.into(), "0.25"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
