//! Settings: what would be typed at every command, from the environment or from a file `certforge.toml`, in the working
//! folder or in the user's own. What is typed comes first, then the environment, then the file of the working folder.
//!
//! They are the defaults of options, so that a command that was never told of settings has them all the same.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use certforge::bounded;
use certforge::exposure;
use certforge::ledger::LedgerName;
use certforge::profile::BUILT_IN;
use clap::Command;

use super::Failure;

const FILE: &str = "certforge.toml";

/// Names another file, or none when it is empty.
const FILE_VARIABLE: &str = "CERTFORGE_CONFIG";

/// Commands that make a batch.
const MAKERS: &[&str] = &["run", "check"];

/// An option that would be typed again and again.
#[derive(Debug)]
pub struct Setting {
    /// As in the file, and as the option with `_` for `-`.
    pub key: &'static str,
    pub variable: &'static str,
    /// What holds without it.
    pub usual: &'static str,
    kind: Kind,
    /// The commands that it is for, with all that are below them; empty: all that have the option.
    commands: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A path, counted from the folder of the file.
    Path,
    /// A path, or the name of a profile.
    Profile,
    /// Who takes it asks for it: it means nothing for some places, and is then passed over.
    Asked,
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    usual: &'static str,
    kind: Kind,
    commands: &'static [&'static str],
) -> Setting {
    Setting {
        key,
        variable,
        usual,
        kind,
        commands,
    }
}

pub const SETTINGS: [Setting; 16] = [
    setting(
        "ca",
        "CERTFORGE_CA",
        "ca",
        Kind::Path,
        &["run", "check", "seal", "bundle", "jitp", "ca"],
    ),
    setting(
        "passphrase_file",
        "CERTFORGE_PASSPHRASE_FILE",
        "",
        Kind::Path,
        &["run", "check", "seal", "bundle", "jitp", "ca crl"],
    ),
    setting("issuer", "CERTFORGE_ISSUER", "", Kind::Path, &[]),
    setting("ledger", "CERTFORGE_LEDGER", "ca/ledger.db", Kind::Path, &[]),
    setting("to", "CERTFORGE_TO", "out", Kind::Path, MAKERS),
    setting("layout", "CERTFORGE_LAYOUT", "objects", Kind::Text, MAKERS),
    setting(
        "profile",
        "CERTFORGE_PROFILE",
        certforge::profile::DEFAULT,
        Kind::Profile,
        &["run", "check", "jitp"],
    ),
    setting("endpoint", "CERTFORGE_ENDPOINT", "", Kind::Text, MAKERS),
    setting("min_validity", "CERTFORGE_MIN_VALIDITY", "", Kind::Text, MAKERS),
    setting("engine", "CERTFORGE_ENGINE", "auto", Kind::Text, MAKERS),
    setting(
        "jobs",
        "CERTFORGE_JOBS",
        "",
        Kind::Text,
        &["run", "check", "verify"],
    ),
    setting("region", "CERTFORGE_REGION", "", Kind::Asked, &[]),
    setting("endpoint_url", "CERTFORGE_ENDPOINT_URL", "", Kind::Asked, &[]),
    setting("station", "CERTFORGE_STATION", "", Kind::Text, &["station"]),
    setting(
        "memory",
        "CERTFORGE_MEMORY",
        "",
        Kind::Path,
        &["station", "export"],
    ),
    setting("identity", "CERTFORGE_IDENTITY", "", Kind::Path, &[]),
];

impl Setting {
    /// Whether it is for a command, which is named as it is typed.
    fn is_for(&self, command: &str) -> bool {
        let is_above = |above: &&str| {
            let below = command.strip_prefix(*above);
            below.is_some_and(|below| below.is_empty() || below.starts_with(' '))
        };
        self.commands.is_empty() || self.commands.iter().any(is_above)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Variable(&'static str),
    File(PathBuf),
}

/// A value that was found.
#[derive(Debug, Clone)]
pub struct Found {
    pub setting: &'static Setting,
    pub value: String,
    pub source: Source,
}

static FOUND: OnceLock<Vec<Found>> = OnceLock::new();

/// What was found; nothing before [`load`].
pub fn all() -> &'static [Found] {
    FOUND.get().map_or(&[], Vec::as_slice)
}

/// The value of a setting that is asked for.
pub fn of(key: &str) -> Option<String> {
    let found = all().iter().find(|found| found.setting.key == key);
    found.map(|found| found.value.clone())
}

/// Finds the settings.
pub fn load() -> Result<(), Failure> {
    let found = find(&|name| std::env::var_os(name))?;
    FOUND.get_or_init(|| found);
    Ok(())
}

/// Makes the settings the defaults of the options of all commands.
pub fn in_all(command: Command) -> Command {
    with_defaults(command, all(), &[])
}

fn with_defaults(command: Command, found: &'static [Found], path: &[String]) -> Command {
    let ids: Vec<String> = command
        .get_arguments()
        .map(|argument| argument.get_id().to_string())
        .collect();
    let takes = |found: &&Found| {
        found.setting.kind != Kind::Asked
            && ids.iter().any(|id| id == found.setting.key)
            && !path.is_empty()
            && found.setting.is_for(&path.join(" "))
    };
    let mut command = command;
    for found in found.iter().filter(takes) {
        let value: &'static str = &found.value;
        command = command.mut_arg(found.setting.key, |argument| match argument.is_positional() {
            true => argument,
            false => argument.default_value(OsStr::new(value)).required(false),
        });
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        let path = [path, std::slice::from_ref(&name)].concat();
        command.mut_subcommand(name, |sub| with_defaults(sub, found, &path))
    })
}

/// Reads the environment, as `variable` has it, and the files.
fn find(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for setting in &SETTINGS {
        let Some(value) = variable(setting.variable).filter(|value| !value.is_empty()) else {
            continue;
        };
        let value = value.into_string().map_err(|_| {
            Failure::usage(
                &format!("{} is not UTF-8", setting.variable),
                "set it to a text, or unset it",
            )
        })?;
        setting.check(&value, setting.variable)?;
        found.push(Found {
            setting,
            value,
            source: Source::Variable(setting.variable),
        });
    }
    for path in files(variable) {
        for (setting, value) in read(&path)? {
            if !found.iter().any(|known| known.setting.key == setting.key) {
                found.push(Found {
                    setting,
                    value,
                    source: Source::File(path.clone()),
                });
            }
        }
    }
    Ok(found)
}

/// The files, the first one first; those that are there.
pub fn files(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Vec<PathBuf> {
    if let Some(file) = variable(FILE_VARIABLE) {
        return if file.is_empty() {
            Vec::new()
        } else {
            vec![PathBuf::from(file)]
        };
    }
    let folder = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let own = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let own = own.map(|folder| folder.join("certforge").join(FILE));
    std::iter::once(PathBuf::from(FILE))
        .chain(own)
        .filter(|path| path.symlink_metadata().is_ok())
        .collect()
}

/// What a file says.
fn read(path: &Path) -> Result<Vec<(&'static Setting, String)>, Failure> {
    let refused = |what: String, hint: &str| Failure::usage(&format!("{}: {what}", path.display()), hint);
    let shown = path.display().to_string();
    let text = bounded::read_text(path).map_err(|error| {
        refused(
            format!("cannot be read: {error}"),
            "mend or remove it, or name another in CERTFORGE_CONFIG",
        )
    })?;
    // It says which CA signs, and where to: nobody else may say that.
    let exposed = path
        .metadata()
        .ok()
        .and_then(|metadata| exposure::of_file(&metadata));
    if let Some(exposed) = exposed {
        return Err(refused(format!("{exposed}"), &exposed.hint(path)));
    }
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        let message = error.message().trim().replace('\n', " ");
        Failure::usage(
            &format!("{shown}, line {line}: {message}"),
            "it is TOML: a line such as ca = \"/factory/ca\" for each setting",
        )
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut values = Vec::new();
    for (key, value) in table {
        let Some(setting) = SETTINGS
            .iter()
            .find(|setting| setting.key == key.replace('-', "_"))
        else {
            let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
            return Err(refused(
                format!("there is no setting {key:?}"),
                &format!("there are {}", known.join(", ")),
            ));
        };
        let value = match value {
            toml::Value::String(text) if !text.is_empty() => text,
            toml::Value::Integer(number) => number.to_string(),
            _ => {
                return Err(refused(
                    format!("{key} is no text"),
                    "write it as a text in quotes",
                ));
            }
        };
        setting.check(&value, &shown)?;
        values.push((setting, setting.in_folder(value, folder)));
    }
    Ok(values)
}

impl Setting {
    /// What would show a password wherever settings are shown goes no further.
    fn check(&self, value: &str, source: &str) -> Result<(), Failure> {
        match value.parse::<LedgerName>() {
            Err(error) if self.key == "ledger" => Err(Failure::usage(
                &format!("{source}: {error}"),
                "it names a file, or postgres://user@host/database",
            )),
            _ => Ok(()),
        }
    }

    fn in_folder(&self, value: String, folder: &Path) -> String {
        let is_name = self.kind == Kind::Profile && BUILT_IN.iter().any(|(name, _)| *name == value);
        let is_digest =
            self.key == "issuer" && value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
        match self.kind {
            Kind::Path | Kind::Profile if !is_name && !is_digest && !value.contains("://") => {
                folder.join(value).display().to_string()
            }
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;

    fn texts(found: &[Found]) -> BTreeMap<&str, (&str, &Source)> {
        found
            .iter()
            .map(|found| (found.setting.key, (found.value.as_str(), &found.source)))
            .collect()
    }

    #[test]
    fn the_environment_comes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("certforge.toml");
        std::fs::write(&file, "ca = 'keys/ca'\nto = 's3://b/x'\nprofile = 'aws-iot-p384'\njobs = 3\nendpoint-url = 'http://h'\n").unwrap();
        let variable = |name: &str| -> Option<OsString> {
            match name {
                "CERTFORGE_CONFIG" => Some(file.clone().into()),
                "CERTFORGE_TO" => Some("here".into()),
                "CERTFORGE_CA" => Some("".into()),
                _ => None,
            }
        };
        let found = find(&variable).unwrap();
        let in_file = Source::File(file.clone());
        let ca = folder.path().join("keys/ca").display().to_string();
        let expected = BTreeMap::from([
            ("ca", (ca.as_str(), &in_file)),
            ("to", ("here", &Source::Variable("CERTFORGE_TO"))),
            ("profile", ("aws-iot-p384", &in_file)),
            ("jobs", ("3", &in_file)),
            ("endpoint_url", ("http://h", &in_file)),
        ]);
        assert_eq!(texts(&found), expected);
    }

    #[test]
    fn every_setting_is_an_option_of_a_command_that_it_is_for() {
        fn ids(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
            for argument in command
                .get_arguments()
                .filter(|argument| !argument.is_positional())
            {
                found.push((path.to_owned(), argument.get_id().to_string()));
            }
            for sub in command.get_subcommands() {
                ids(sub, format!("{path} {}", sub.get_name()).trim(), found);
            }
        }
        let mut found = Vec::new();
        ids(
            &<super::super::Cli as clap::CommandFactory>::command(),
            "",
            &mut found,
        );
        for setting in &SETTINGS {
            let has = |command: &str| {
                found.iter().any(|(path, id)| {
                    format!("{path} ").starts_with(&format!("{command} ")) && id == setting.key
                })
            };
            for command in setting
                .commands
                .iter()
                .filter(|command| cfg!(feature = "aws") || **command != "jitp")
            {
                assert!(has(command), "{command} has no --{}", setting.key);
            }
            assert!(found.iter().any(|(_, id)| id == setting.key), "{}", setting.key);
        }
    }
}
