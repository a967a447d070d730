//! The report on a batch that was rehearsed: for people, and for machines.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Formatter};
use std::net::TcpListener;
use std::time::Duration;

use certforge::jitp::{Home, Prerequisite};
use certforge::printable;
use certforge::rehearsal::{CertificateStatus, Counts, DeviceReport, LeftOut, Rehearsed, Stage};
use serde::Serialize;

use crate::cli::text::{count, devices, many};

/// Reasons of which people are told; the others are in `--table` and `--json`.
const TOLD: usize = 10;

/// What was found of a batch.
pub struct Findings {
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
    /// Whether people want a line for each device.
    pub table: bool,
}

/// A batch that was rehearsed.
#[derive(Serialize)]
pub struct Rehearsal {
    batch: String,
    devices: u64,
    rehearsed: usize,
    burned: u64,
    left_out: LeftOut,
    pub interrupted: bool,
    would_come_up: u64,
    account: String,
    region: String,
    registered: u64,
    known_before: u64,
    things: u64,
    policies: u64,
    taken_for_granted: Vec<String>,
    seconds: f64,
    /// By device id, so that two runs compare.
    reports: Vec<DeviceReport>,
    #[serde(skip)]
    size: u64,
    #[serde(skip)]
    table: bool,
}

/// What is told before anything happens.
pub fn title(size: u64, rows: u64, is_jitr: bool, http: Option<&TcpListener>) -> String {
    let flow = if is_jitr { "JITR" } else { "JITP" };
    let page = http
        .and_then(|listener| listener.local_addr().ok())
        .map(|address| format!("  page http://{address}\n"));
    format!(
        "rehearsing {} of {} against a local {flow} endpoint\n{}",
        count(size),
        devices(rows),
        page.unwrap_or_default()
    )
}

impl Rehearsal {
    pub fn new(found: Findings) -> Self {
        let made = |of: fn(&Counts) -> u64| of(&found.after).saturating_sub(of(&found.before));
        let (things, policies) = (made(|counts| counts.things), made(|counts| counts.policies));
        let mut reports = found.rehearsed.devices;
        reports.sort_by(|a, b| a.device_id.cmp(&b.device_id));
        let number =
            |is_counted: fn(&&DeviceReport) -> bool| reports.iter().filter(is_counted).count() as u64;
        Self {
            batch: found.batch,
            devices: found.rows,
            rehearsed: reports.len(),
            burned: found.rehearsed.skipped.burned,
            left_out: found.rehearsed.skipped.left_out,
            interrupted: found.rehearsed.interrupted,
            would_come_up: number(|device| device.would_come_up),
            account: found.home.account,
            region: found.home.region,
            // Now, that is.
            registered: number(|device| device.status.is_some() && !device.known_before),
            known_before: number(|device| device.known_before),
            things,
            policies,
            taken_for_granted: found.prerequisites.iter().map(ToString::to_string).collect(),
            seconds: found.elapsed.as_secs_f64(),
            reports,
            size: found.size,
            table: found.table,
        }
    }

    pub fn is_good(&self) -> bool {
        self.would_come_up == self.tried()
    }

    /// Devices of the sample that there is a bundle of.
    fn tried(&self) -> u64 {
        self.size.saturating_sub(self.burned + self.left_out.all())
    }

    fn count(&self, is_counted: impl Fn(&&DeviceReport) -> bool) -> u64 {
        self.reports.iter().filter(is_counted).count() as u64
    }

    /// Devices that would not come up, by reason: what differs between them only by their names is one reason.
    fn write_refused(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<(String, String), Vec<&DeviceReport>> = BTreeMap::new();
        for device in &self.reports {
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
                f,
                "  {who}:\n    {}",
                printable::line(first.reason.as_deref().unwrap_or("no reason is known"))
            )?;
            if let Some(saw) = first
                .device_saw
                .as_ref()
                .filter(|saw| Some(*saw) != first.reason.as_ref())
            {
                writeln!(f, "    the device saw: {}", printable::line(saw))?;
            }
        }
        let untold: usize = groups.iter().skip(TOLD).map(Vec::len).sum();
        if untold > 0 {
            writeln!(
                f,
                "  and {} more, for other reasons; --table and --json have them all",
                devices(untold as u64)
            )?;
        }
        Ok(())
    }

    fn write_table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 6]> = self.reports.iter().map(row).collect();
        let head = ["device", "client id", "thing", "status", "attempts", "result"].map(str::to_owned);
        let width = |column: usize| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len() - 1).map(width).collect();
        for row in std::iter::once(&head).chain(&rows) {
            write!(f, " ")?;
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, " {cell:width$} ")?;
            }
            writeln!(f, " {}", row[head.len() - 1])?;
        }
        Ok(())
    }

    /// Devices that sent a message, whatever became of it.
    fn published(&self) -> u64 {
        let before = |device: &DeviceReport| match device.subscriptions.is_empty() {
            true => Stage::Connected,
            // Whoever is refused one goes no further.
            false => Stage::Subscribed,
        };
        self.count(|device| device.stage >= before(device) && device.topic.is_some())
    }

    /// Where devices published: the one topic, or one of them.
    fn topics(&self) -> String {
        let published = self.reports.iter();
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
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.table {
            self.write_table(f)?;
        }
        let provisioned = self.count(|device| device.stage >= Stage::Provisioned && !device.known_before);
        let end = match provisioned {
            0 => "",
            _ => ", then disconnected as AWS does",
        };
        writeln!(
            f,
            "  first connection   {} registered, {}, {}{end}",
            count(self.registered),
            many(self.things, "thing"),
            many(self.policies, "policy"),
        )?;
        if self.known_before > 0 {
            writeln!(
                f,
                "  known before       {}, as the state has it: no template was run for them",
                devices(self.known_before)
            )?;
        }
        let connected = count(self.count(|device| device.stage >= Stage::Connected));
        match self.published() {
            0 => writeln!(f, "  second connection  {connected} connected, nothing published")?,
            published => writeln!(
                f,
                "  second connection  {connected} connected, {} published to {} (QoS 1), {} PUBACK",
                count(published),
                printable::line(&self.topics()),
                count(self.count(|device| device.stage == Stage::Published)),
            )?,
        }
        let filters = self.reports.iter().map(|device| device.subscriptions.len()).max();
        if let Some(filters @ 1..) = filters {
            writeln!(
                f,
                "  subscriptions      {} subscribed to {}",
                devices(self.count(|device| device.stage >= Stage::Subscribed)),
                many(filters as u64, "topic filter"),
            )?;
        }
        if !self.taken_for_granted.is_empty() {
            let names = self.taken_for_granted.join(", ");
            writeln!(
                f,
                "  taken for granted  {}, in the account",
                printable::line(&names)
            )?;
        }
        if self.burned > 0 {
            writeln!(
                f,
                "  skipped            {} burned: flashed or scrapped, and the bundle removed",
                count(self.burned)
            )?;
        }
        if self.left_out.all() > 0 {
            writeln!(
                f,
                "  skipped            {} that the newest generation of the bundles left out: {}",
                count(self.left_out.all()),
                by_fate(&self.left_out)
            )?;
        }
        let good = self.would_come_up;
        if self.tried() == 0 && self.size > 0 {
            return writeln!(f, "nothing was rehearsed: every device of the sample was skipped");
        }
        if self.is_good() {
            return writeln!(f, "all {} would come up", count(good));
        }
        self.write_refused(f)?;
        let seen = self.reports.len() as u64;
        if seen < self.tried() && !self.interrupted {
            writeln!(
                f,
                "  {} of the sample have no row in the index; `certforge verify` says more",
                devices(self.tried() - seen)
            )?;
        }
        if self.interrupted {
            return writeln!(
                f,
                "interrupted: {} of the {} that were tried would come up",
                count(good),
                count(seen)
            );
        }
        writeln!(f, "{} of {} would come up", count(good), count(self.tried()))
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
        device.status.map_or("-", CertificateStatus::as_str).to_owned(),
        device.attempts.len().to_string(),
        result,
    ]
    .map(|cell| printable::line(&cell).into_owned())
}

/// How many devices are in each state.
fn by_fate(left_out: &LeftOut) -> String {
    let LeftOut {
        claimed,
        flashed,
        failed,
        scrapped,
        unknown,
    } = *left_out;
    let states = [
        (claimed, "claimed"),
        (failed, "failed"),
        (flashed, "flashed"),
        (scrapped, "scrapped"),
        (unknown, "of which no claim can be read"),
    ];
    let told = states.iter().filter(|(n, _)| *n > 0);
    let told: Vec<String> = told.map(|(n, state)| format!("{} {state}", count(*n))).collect();
    told.join(", ")
}
