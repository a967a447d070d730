//! Passwords in a file, as PostgreSQL's own programs read it: a line `host:port:database:user:password` for each, `*`
//! stands for any.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use postgres::Config;
use postgres::config::Host;

use crate::exposure;

/// The password for a server: from the file that is given, or `~/.pgpass` if there is one.
///
/// # Errors
///
/// What is wrong with the file, in words.
pub(super) fn password(config: &Config, given: Option<&Path>) -> Result<Option<String>, String> {
    let default = || std::env::home_dir().map(|home| home.join(".pgpass"));
    let Some(path) = given.map(PathBuf::from).or_else(default) else {
        return Ok(None);
    };
    let cannot = |error: io::Error| format!("password file {} cannot be read: {error}", path.display());
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => return Ok(None),
        Err(error) => return Err(cannot(error)),
        Ok(metadata) => {
            if exposure::of_secret(&metadata).is_some() {
                return Err(format!(
                    "password file {} can be read by others: chmod 600 {0}",
                    path.display()
                ));
            }
        }
    }
    let text = fs::read_to_string(&path).map_err(cannot)?;
    let hosts: Vec<String> = config.get_hosts().iter().map(name).collect();
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let (database, user) = (
        config.get_dbname().unwrap_or_default(),
        config.get_user().unwrap_or_default(),
    );
    let find = |host: &String| find(&text, [host, &port, database, user]);
    Ok(hosts.iter().find_map(find))
}

fn name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(_) => "localhost".to_owned(),
    }
}

/// The password of the first line that fits.
fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(fields)
        .find(|fields| {
            fields.len() == 5
                && fields
                    .iter()
                    .zip(wanted)
                    .all(|(field, wanted)| field == "*" || field == wanted)
        })
        .and_then(|mut fields| fields.pop())
}

/// A line's fields. A backslash takes the colon or the backslash behind it as it is; the password is the rest.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        if c == ':' && fields.len() < 5 {
            fields.push(String::new());
            continue;
        }
        let last = fields.last_mut().expect("there is one");
        match c {
            '\\' => last.extend(characters.next()),
            c => last.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# db:5432:c:forge:no\ndb:5433:*:forge:other\n*:*:c:forge:p\\:a\\\\s:s\nshort:line\ndb:5432:c:forge:late\n";
        assert_eq!(
            find(text, ["db", "5432", "c", "forge"]).as_deref(),
            Some("p:a\\s:s")
        );
        assert_eq!(find(text, ["db", "5433", "x", "forge"]).as_deref(), Some("other"));
        assert_eq!(find(text, ["db", "5432", "x", "forge"]), None);
    }
}
