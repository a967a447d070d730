//! The batch is flashed: stations that work by themselves, one that is asked for devices by name, and the removal of
//! what is flashed, all at the same time, and killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use certforge::batch::claim::State;

use super::ROWS;
use super::batch::Batch;
use super::crew::{Fate, Task};
use super::promises;

const STATIONS: [&str; 2] = ["st1", "st2"];
/// The station that is asked by name, and the folder of what it unpacked.
const NAMED: &str = "st3";
const UNPACKED: &str = "unpacked";

impl Batch {
    /// Flashes what was made, and removes what was flashed.
    pub fn flash(&mut self) {
        self.script();
        // Processes that do little at a time are killed sooner.
        while self.goes_on(1) {
            self.draw_weather();
            let mut tasks: Vec<_> = STATIONS
                .iter()
                .map(|station| self.station_runs(station))
                .collect();
            tasks.push(self.named());
            if self.random.bool() {
                let command = self.station(NAMED, &["burn"]);
                tasks.push(self.task_of("burn", command));
            }
            if self.random.u8(..4) == 0 {
                tasks.push(self.again());
            }
            let ended = self.run(tasks);
            for ended in &ended {
                // Where the store cannot tell what became of a device, its files stay until it can: the next one has no place.
                let is_full = ended.code == Some(2) && ended.stderr.contains("is not empty");
                // Else: taken, in use, or the store failed.
                Self::judge(ended, if is_full { &[2] } else { &[0, 1, 6, 7, 9] });
            }
            let is_over = ended
                .iter()
                .any(|ended| ended.stdout.contains("nothing is left to claim"));
            self.hold_indexes();
            if is_over {
                break;
            }
        }
        self.end();
    }

    /// Nothing fails any more, and nobody is killed.
    fn end(&mut self) {
        self.place.fail(false);
        for station in STATIONS {
            let mut task = self.station_runs(station);
            task.fate = Fate::Ends;
            let ended = self.run(vec![task]).remove(0);
            Self::judge(&ended, &[0, 1]);
            assert!(
                ended.stdout.contains("nothing is left to claim"),
                "{}{}",
                ended.stdout,
                ended.stderr
            );
        }
        let burn = self.station(NAMED, &["burn"]);
        Self::succeed(burn);
        let claims = promises::claims(&self.place);
        assert_eq!(claims.len(), ROWS, "every device was claimed");
        let unpacked = self.promises.hold_unpacked(&self.place.workplace.join(UNPACKED));
        for (device_id, hold) in claims {
            // One that is asked by name may be told what became of a device whose bundle it never unpacked.
            let is_flashed = hold.state == State::Flashed && hold.station != NAMED;
            assert!(
                !is_flashed || unpacked.contains(&device_id),
                "{device_id} was flashed with nothing"
            );
        }
        self.tally.unpacked = unpacked.len();
        self.hold_indexes();
        self.verify();
    }

    /// Removed bundles are not read; what they were stays in the indexes, and `verify` holds the others.
    fn hold_indexes(&mut self) {
        assert_eq!(self.hold(u64::MAX), ROWS);
    }

    /// Keeps what each device got. Every ninth device fails.
    fn script(&self) {
        let (path, unpacked) = (
            self.place.workplace.join("flash.sh"),
            self.place.workplace.join(UNPACKED),
        );
        fs::create_dir(&unpacked).unwrap();
        let text = format!(
            "#!/bin/sh\n\
             cp \"$CERTFORGE_BUNDLE_DIR/certificate.pem.crt\" '{}'/$CERTFORGE_DEVICE_ID.$$ || exit 3\n\
             case $CERTFORGE_DEVICE_ID in *9) exit 7;; esac\n",
            unpacked.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn station(&mut self, station: &str, arguments: &[&str]) -> Command {
        let (batch, memory) = (
            self.place.batch(),
            self.place.workplace.join("memory").join(station),
        );
        let arguments = [&["station"], arguments].concat();
        let mut command = self.place.command(&arguments);
        command
            .env("CERTFORGE_BATCH", batch)
            .env("CERTFORGE_STATION", station)
            .env("CERTFORGE_MEMORY", memory);
        command
    }

    fn station_runs(&mut self, station: &str) -> Task {
        let out = format!("dev-{station}");
        let command = self.station(
            station,
            &["run", "--exec", "./flash.sh", "--out", &out, "--stop-after", "9"],
        );
        self.task_of(station, command)
    }

    /// A device is asked for, or what became of it is said.
    fn named(&mut self) -> Task {
        let device = format!("SN{:06}", self.random.usize(..ROWS));
        let out = self.place.workplace.join(UNPACKED).join(&device);
        let out = out.to_str().unwrap();
        let held: Vec<_> = fs::read_dir(self.place.workplace.join(UNPACKED))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let command = match (held.is_empty(), self.random.u8(..5)) {
            (false, 0) => self.station(NAMED, &["done", &held[0]]),
            (false, 1) => self.station(NAMED, &["failed", &held[0], "--reason", "flash verify"]),
            (false, 2) => self.station(NAMED, &["scrap", &held[0], "--reason", "broken board"]),
            _ => self.station(NAMED, &["claim", "--device", &device, "--out", out]),
        };
        self.task_of(NAMED, command)
    }

    fn task_of(&mut self, name: &str, command: Command) -> Task {
        Task {
            name: name.to_owned(),
            command,
            fate: self.fate(),
        }
    }
}
