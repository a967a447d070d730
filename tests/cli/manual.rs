//! The manual has a page for each command, and shells complete each: both are made from what the command line is read with.

use crate::support::Workplace;

/// Every command, as its own help lists those below it.
fn commands(place: &Workplace, command: &[String]) -> Vec<Vec<String>> {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("-h");
    let help = place.succeed(&arguments);
    let below = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = below
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    let below = names.flat_map(|name| commands(place, &[command, &[name.to_owned()]].concat()));
    std::iter::once(command.to_vec()).chain(below).collect()
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let place = Workplace::new();
    let said = place.succeed(&["man", "--to", "manual"]);
    let all = commands(&place, &[]);
    assert!(all.len() > 30, "{all:?}");
    assert_eq!(
        said,
        format!(
            "{} pages in manual; man -l manual/certforge.1 shows the first\n",
            all.len()
        )
    );
    let scripts = ["bash", "zsh", "fish"].map(|shell| place.succeed(&["completions", shell]));
    for command in all {
        let name = [&["certforge".to_owned()], command.as_slice()].concat().join("-");
        let page =
            std::fs::read_to_string(place.join(&format!("manual/{name}.1"))).expect("the page is there");
        let heading = format!("\n.TH {} 1 20", name.to_uppercase());
        assert!(page.contains(&heading), "{page}");
        let Some(last) = command.last() else {
            continue;
        };
        for script in &scripts {
            assert!(script.contains(last.as_str()), "{command:?}");
        }
    }
}

#[test]
fn what_is_printed_is_the_page_that_is_written() {
    let place = Workplace::new();
    assert_eq!(place.succeed(&["man", "--to", "manual", "--quiet"]), "");
    let written = std::fs::read_to_string(place.join("manual/certforge.1")).expect("the page is there");
    assert_eq!(place.succeed(&["man"]), written);
}
