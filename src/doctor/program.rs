//! The program, the machine, its engines and its clock.

use time::OffsetDateTime;

use super::Check;
use crate::bench::Machine;
use crate::engine::{Choice, ENGINES, Engine, EngineError};
use crate::profile::{KeyType, rfc3339};

/// The features that a build has, of those that cargo knows.
macro_rules! features {
    ($($name:literal)+) => {
        [$((cfg!(feature = $name), $name)),+]
    };
}

/// The features of this build, as a line tells them.
#[must_use]
pub fn features() -> String {
    let known = features!("age" "aws" "display" "kms" "openssl" "pkcs11" "postgres" "s3");
    let built_in = known.iter().filter(|(is_there, _)| *is_there);
    let names: Vec<&str> = built_in.map(|(_, name)| *name).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

pub(super) fn checks(now: OffsetDateTime, built: OffsetDateTime) -> Vec<Check> {
    let mut checks = vec![build(built), machine()];
    checks.extend(ENGINES.iter().map(|engine| match engine.ready() {
        Ok(()) => Check::ok("engine", engine.name(), "can be used"),
        // It is for who names its library.
        Err(error) => Check::ok("engine", engine.name(), format!("cannot be used: {error}")),
    }));
    checks.push(chosen());
    checks.push(clock(now, built));
    checks
}

fn build(built: OffsetDateTime) -> Check {
    let said = format!(
        "{}, built on {}, features {}",
        env!("CARGO_PKG_VERSION"),
        built.date(),
        features()
    );
    let check = Check::ok("program", "version", said);
    match cfg!(debug_assertions) {
        true => check.warn("it was built without optimisation: build it with cargo build --release"),
        false => check,
    }
}

fn machine() -> Check {
    let machine = Machine::this();
    let said = format!(
        "{}, {}, {} threads, {} MiB of memory, {}",
        machine.system,
        machine.architecture,
        machine.threads,
        machine.memory_octets >> 20,
        machine.processor
    );
    Check::ok("program", "machine", said)
}

fn chosen() -> Check {
    let name = |engine: Result<&'static dyn Engine, EngineError>| match engine {
        Ok(engine) => engine.name().to_owned(),
        Err(error) => format!("none ({error})"),
    };
    let keys = |key_type| name(Choice::Auto.for_keys(key_type));
    let signs = name(Choice::Auto.for_signatures(KeyType::P256));
    let said = format!(
        "P-256 keys by {}, P-384 by {}, RSA-2048 by {}; P-256 signatures by {signs}",
        keys(KeyType::P256),
        keys(KeyType::P384),
        keys(KeyType::Rsa2048)
    );
    Check::ok("engine", "auto", said)
}

/// Nothing runs before it was built.
fn clock(now: OffsetDateTime, built: OffsetDateTime) -> Check {
    let check = Check::ok("clock", "this machine's", rfc3339(now));
    match now < built {
        true => Check {
            said: format!("{}, and this program was built on {}", rfc3339(now), built.date()),
            ..check
        }
        .bad("set the clock: certificates would be dated wrongly (timedatectl set-ntp true)"),
        false => check,
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use time::macros::datetime;

    /// A feature of Cargo.toml is named, or it is a part of others.
    #[test]
    fn every_feature_is_told() {
        let cargo: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let code = include_str!("program.rs");
        for name in cargo["features"].as_table().unwrap().keys() {
            let is_part = ["default", "sdk"].contains(&name.as_str());
            assert!(
                is_part || code.contains(&format!("{name:?} ")) || code.contains(&format!("{name:?})")),
                "{name}"
            );
        }
    }

    #[test]
    fn a_clock_that_is_before_the_program_is_wrong() {
        let built = datetime!(2026-11-24 0:00 UTC);
        assert_eq!(clock(datetime!(2026-11-24 0:00 UTC), built).state, State::Ok);
        let wrong = clock(datetime!(1970-01-01 0:02 UTC), built);
        assert_eq!(wrong.state, State::Bad);
        assert!(
            wrong
                .said
                .contains("1970-01-01T00:02:00Z, and this program was built on 2026-11-24")
        );
    }
}
