//! The report on a batch that was rehearsed: for people, and for machines.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::TcpListener;
use std::time::Duration;

use certforge::jitp::{Home, Prerequisite};
use certforge::rehearsal::{Counts, DeviceReport, Rehearsed, Stage, Status};
use serde_json::{Value, json};

use crate::cli::text::{count, devices};

/// Reasons of which people are told; the others are in `--table` and `--json`.
const TOLD: usize = 10;

pub struct Report {
    pub batch: String,
    /// Of the batch.
    pub rows: u64,
    /// Of the sample.
    pub size: u64,
    pub home: Home,
    pub before: Counts,
    pub after: Counts,
    pub prerequisites: Vec<Prerequisite>,
    pub elapsed: Duration,
    pub rehearsed: Rehearsed,
}

impl Report {
    /// What is told before anything happens.
    pub fn title(size: u64, rows: u64, is_jitr: bool, http: Option<&TcpListener>) -> String {
        let flow = if is_jitr { "JITR" } else { "JITP" };
        let mut text = format!(
            "rehearsing {} of {} against a local {flow} endpoint\n",
            count(size),
            devices(rows)
        );
        if let Some(address) = http.and_then(|listener| listener.local_addr().ok()) {
            writeln!(text, "  page http://{address}").expect("text grows");
        }
        text
    }

    pub fn is_good(&self) -> bool {
        self.good() == self.size
    }

    fn good(&self) -> u64 {
        self.count(|device| device.would_come_up)
    }

    fn count(&self, is_counted: impl Fn(&&DeviceReport) -> bool) -> u64 {
        self.rehearsed.devices.iter().filter(is_counted).count() as u64
    }

    /// Devices that were registered now.
    fn registered(&self) -> u64 {
        self.count(|device| device.status.is_some() && !device.known_before)
    }

    pub fn to_text(&self, table: bool) -> String {
        let mut text = String::new();
        self.write(&mut text, table).expect("text grows");
        text
    }

    fn write(&self, text: &mut String, table: bool) -> std::fmt::Result {
        if table {
            self.write_table(text)?;
        }
        let made = |of: fn(&Counts) -> u64| of(&self.after).saturating_sub(of(&self.before));
        let provisioned = self.count(|device| device.stage >= Stage::Provisioned && !device.known_before);
        let known = self.count(|device| device.known_before);
        let end = match provisioned {
            0 => "",
            _ => ", then disconnected as AWS does",
        };
        writeln!(
            text,
            "  first connection   {} registered, {}, {}{end}",
            count(self.registered()),
            many(made(|counts| counts.things), "thing"),
            many(made(|counts| counts.policies), "policy"),
        )?;
        if known > 0 {
            writeln!(
                text,
                "  known before       {}, as the state has it: no template was run for them",
                devices(known)
            )?;
        }
        let connected = count(self.count(|device| device.stage >= Stage::Connected));
        match self.published() {
            0 => writeln!(
                text,
                "  second connection  {connected} connected, nothing published"
            )?,
            published => writeln!(
                text,
                "  second connection  {connected} connected, {} published to {} (QoS 1), {} PUBACK",
                count(published),
                self.topics(),
                count(self.count(|device| device.stage == Stage::Published)),
            )?,
        }
        if !self.prerequisites.is_empty() {
            let names: Vec<String> = self.prerequisites.iter().map(name).collect();
            writeln!(text, "  taken for granted  {}, in the account", names.join(", "))?;
        }
        let good = self.good();
        if self.is_good() {
            return writeln!(text, "all {} would come up", count(good));
        }
        self.write_refused(text)?;
        let seen = self.rehearsed.devices.len() as u64;
        if seen < self.size && !self.rehearsed.interrupted {
            writeln!(
                text,
                "  {} of the sample have no row in the index; `certforge verify` says more",
                devices(self.size - seen)
            )?;
        }
        if self.rehearsed.interrupted {
            return writeln!(
                text,
                "interrupted: {} of the {} that were tried would come up",
                count(good),
                count(seen)
            );
        }
        writeln!(text, "{} of {} would come up", count(good), count(self.size))
    }

    /// Devices that would not come up, by reason: what differs between them only by their names is one reason.
    fn write_refused(&self, text: &mut String) -> std::fmt::Result {
        let mut groups: BTreeMap<(String, String), Vec<&DeviceReport>> = BTreeMap::new();
        for device in self.sorted() {
            if !device.would_come_up {
                groups.entry(likeness(device)).or_default().push(device);
            }
        }
        let mut groups: Vec<Vec<&DeviceReport>> = groups.into_values().collect();
        groups.sort_by_key(|group| Reverse(group.len()));
        for group in groups.iter().take(TOLD) {
            let first = group[0];
            let who = match group.len() {
                1 => format!("{} would not", first.device_id),
                n => format!("{} would not, such as {}", devices(n as u64), first.device_id),
            };
            writeln!(
                text,
                "  {who}:\n    {}",
                first.reason.as_deref().unwrap_or("no reason is known")
            )?;
            if let Some(saw) = first
                .device_saw
                .as_ref()
                .filter(|saw| Some(*saw) != first.reason.as_ref())
            {
                writeln!(text, "    the device saw: {saw}")?;
            }
        }
        let untold: usize = groups.iter().skip(TOLD).map(Vec::len).sum();
        if untold > 0 {
            writeln!(
                text,
                "  and {} more, for other reasons; --table and --json have them all",
                devices(untold as u64)
            )?;
        }
        Ok(())
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        let rows: Vec<[String; 6]> = self.sorted().into_iter().map(row).collect();
        let head = ["device", "client id", "thing", "status", "attempts", "result"].map(str::to_owned);
        let width = |column: usize| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len() - 1).map(width).collect();
        for row in std::iter::once(&head).chain(&rows) {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, " {cell:width$} ")?;
            }
            writeln!(text, "{line} {}", row[head.len() - 1])?;
        }
        Ok(())
    }

    /// Devices that sent a message, whatever became of it.
    fn published(&self) -> u64 {
        self.count(|device| device.stage >= Stage::Connected && device.topic.is_some())
    }

    /// The devices by id, so that two runs compare.
    fn sorted(&self) -> Vec<&DeviceReport> {
        let mut sorted: Vec<_> = self.rehearsed.devices.iter().collect();
        sorted.sort_by(|a, b| a.device_id.cmp(&b.device_id));
        sorted
    }

    /// Where devices published: the one topic, or one of them.
    fn topics(&self) -> String {
        let published = self.rehearsed.devices.iter();
        let topics: BTreeSet<&str> = published
            .filter(|device| device.stage >= Stage::Connected)
            .filter_map(|device| device.topic.as_deref())
            .collect();
        match topics.len() {
            0 => "no topic".to_owned(),
            1 => topics.first().copied().unwrap_or_default().to_owned(),
            _ => format!("topics such as {}", topics.first().copied().unwrap_or_default()),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "batch": self.batch,
            "devices": self.rows,
            "rehearsed": self.rehearsed.devices.len(),
            "interrupted": self.rehearsed.interrupted,
            "would_come_up": self.good(),
            "account": self.home.account,
            "region": self.home.region,
            "registered": self.registered(),
            "known_before": self.count(|device| device.known_before),
            "things": self.after.things.saturating_sub(self.before.things),
            "policies": self.after.policies.saturating_sub(self.before.policies),
            "taken_for_granted": self.prerequisites.iter().map(name).collect::<Vec<_>>(),
            "seconds": self.elapsed.as_secs_f64(),
            "reports": self.sorted(),
        })
    }
}

/// What a device has in common with others that failed for the same reason.
fn likeness(device: &DeviceReport) -> (String, String) {
    let without_names = |text: &Option<String>| {
        let mut text = text.clone().unwrap_or_default();
        let thing = device.thing_name.as_deref().unwrap_or_default();
        for name in [
            &device.client_id,
            thing,
            &device.device_id,
            &device.certificate_id,
        ] {
            if !name.is_empty() {
                text = text.replace(name, "\u{0}");
            }
        }
        text
    };
    (without_names(&device.reason), without_names(&device.device_saw))
}

fn row(device: &DeviceReport) -> [String; 6] {
    let result = match (&device.reason, device.would_come_up) {
        (_, true) => "comes up".to_owned(),
        (reason, false) => reason.clone().unwrap_or_else(|| "no reason is known".to_owned()),
    };
    [
        device.device_id.clone(),
        device.client_id.clone(),
        device.thing_name.clone().unwrap_or_else(|| "-".to_owned()),
        device.status.map_or("-", Status::as_str).to_owned(),
        device.attempts.len().to_string(),
        result,
    ]
}

fn name(needed: &Prerequisite) -> String {
    match needed {
        Prerequisite::ThingType(name) => format!("thing type {name}"),
        Prerequisite::ThingGroup(name) => format!("thing group {name}"),
        Prerequisite::BillingGroup(name) => format!("billing group {name}"),
        Prerequisite::Policy(name) => format!("policy {name}"),
    }
}

/// `1 thing`, `2 things`; of a word that ends in y, `1 policy`, `2 policies`.
fn many(n: u64, word: &str) -> String {
    let word = match (n, word.strip_suffix('y')) {
        (1, _) => word.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{word}s"),
    };
    format!("{} {word}", count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_words() {
        for (n, word, text) in [
            (1, "policy", "1 policy"),
            (0, "policy", "0 policies"),
            (2, "thing", "2 things"),
        ] {
            assert_eq!(many(n, word), text);
        }
    }
}
