//! `certforge man`: the manual, from the same types that the command line is read with.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;

use super::report::{Ended, Outcome};
use super::text::count;
use super::{Cli, Failure, clock, exit};

#[derive(Debug, Args)]
pub struct ManPages {
    /// Command whose page is printed, such as `station claim` [default: the main page]
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    command: Vec<String>,
    /// Folder to which a page for each command is written
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// A page, as man reads it.
#[derive(Serialize)]
#[serde(transparent)]
struct Page(String);

#[derive(Serialize)]
struct Written {
    pages: u64,
    folder: PathBuf,
}

impl ManPages {
    pub fn run(&self) -> Outcome {
        let command = built();
        let Some(folder) = &self.to else {
            return Ok(Ended::with(Page(page(self.named(&command)?))));
        };
        let cannot = |path: &Path, error: &std::io::Error| {
            let message = format!("{} cannot be written: {error}", path.display());
            Failure::usage(&message, "give a folder that you may write to").under(exit::STORE)
        };
        std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
        let mut pages = 0;
        for command in all(&command) {
            let path = folder.join(format!("{}.1", name(command)));
            std::fs::write(&path, page(command)).map_err(|error| cannot(&path, &error))?;
            pages += 1;
        }
        Ok(Ended::done(Written {
            pages,
            folder: folder.clone(),
        }))
    }
}

impl ManPages {
    /// The command whose page is asked for.
    fn named<'a>(&self, root: &'a Command) -> Result<&'a Command, Failure> {
        let mut command = root;
        for word in &self.command {
            let found = command.find_subcommand(word).filter(|found| !found.is_hide_set());
            command = found.ok_or_else(|| {
                Failure::usage(
                    &format!(
                        "{} has no command {word}",
                        command.get_bin_name().unwrap_or("certforge")
                    ),
                    "`certforge --help` lists the commands",
                )
            })?;
        }
        Ok(command)
    }
}

/// The command line, each command with its whole name.
fn built() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// A command and all below it.
fn all(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    std::iter::once(command).chain(below.flat_map(all)).collect()
}

/// The name of a command's page, such as `certforge-ca-new`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &Command) -> String {
    let mut page = Vec::new();
    Man::new(command.clone())
        .title(name(command).to_uppercase())
        .date(clock::built().date().to_string())
        .source(concat!("certforge ", env!("CARGO_PKG_VERSION")))
        .manual("certforge")
        .render(&mut page)
        .expect("memory takes all");
    // A space between lines breaks the line already.
    let page = String::from_utf8_lossy(&page);
    page.replace("\n.br\n\n.br\n", "\n.sp\n")
        .replace("\n.br\n.sp\n.br\n", "\n.sp\n")
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        writeln!(
            f,
            "{} pages in {folder}; man -l {folder}/certforge.1 shows the first",
            count(self.pages)
        )
    }
}
