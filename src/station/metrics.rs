//! The overview of a batch as metrics, for whoever watches many lines.

use super::Overview;
use crate::metrics::Metrics;

/// Stations that have metrics of their own. Names are in claims, which whoever may write to the store makes up.
const MOST_STATIONS: usize = 1_000;

impl Overview {
    /// The same as metrics. States are those of the overview; a device is in one of them.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let batch = ("batch", self.batch.as_str());
        let mut metrics = Metrics::default();
        metrics
            .gauge("certforge_batch_readable", "Whether the claims could be read.")
            .sample(&[], true);
        metrics
            .gauge(
                "certforge_batch_timestamp_seconds",
                "When the claims were read, since 1970.",
            )
            .sample(&[batch], self.at.unix_timestamp());
        metrics
            .gauge(
                "certforge_batch_withdrawn",
                "Whether nothing of the batch may come up.",
            )
            .sample(&[batch], self.withdrawn.is_some());
        let mut devices = metrics.gauge("certforge_batch_devices", "Devices of the batch by state.");
        for (state, number) in [
            ("left", self.left),
            ("claimed", self.claimed),
            ("stale", self.stale),
            ("flashed", self.flashed),
            ("failed", self.failed),
            ("scrapped", self.scrapped),
            ("damaged", self.damaged),
        ] {
            devices.sample(&[batch, ("state", state)], number);
        }
        metrics
            .gauge(
                "certforge_batch_devices_per_hour",
                "Devices flashed in the last hour, or at the rate since the first claim.",
            )
            .sample(&[batch], self.devices_per_hour);
        let stations = &self.stations[..self.stations.len().min(MOST_STATIONS)];
        let mut devices = metrics.gauge("certforge_station_devices", "Devices of a station by state.");
        for station in stations {
            let name = ("station", station.station.as_str());
            for (state, number) in [
                ("claimed", station.claimed),
                ("stale", station.stale),
                ("flashed", station.flashed),
                ("failed", station.failed),
                ("scrapped", station.scrapped),
            ] {
                devices.sample(&[batch, name, ("state", state)], number);
            }
        }
        let mut last = metrics.gauge(
            "certforge_station_last_timestamp_seconds",
            "When a station last claimed or reported, since 1970.",
        );
        for station in stations {
            let name = ("station", station.station.as_str());
            last.sample(&[batch, name], station.last_at.unix_timestamp());
        }
        let mut silent = metrics.gauge(
            "certforge_station_silent",
            "Whether a station was not heard of for long, while there is something to do.",
        );
        for station in stations {
            let name = ("station", station.station.as_str());
            silent.sample(&[batch, name], station.silent_minutes.is_some());
        }
        metrics
    }
}
