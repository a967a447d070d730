//! Meetings: which actions of a statement go by which of its resources, and what never meets.

use super::super::action::{meant, meets};
use super::lint::Linter;

/// An action, and the type of resource that it goes by.
type Meant = (&'static str, Option<&'static str>);

impl Linter<'_> {
    /// Actions and resources of which none goes by the other.
    pub fn meetings(&mut self) {
        let statement = self.statement;
        if statement.actions.is_negated {
            return;
        }
        let kinds: Vec<(&str, Vec<Meant>)> = statement
            .actions
            .texts
            .iter()
            .map(|action| (action.as_str(), meant(action).collect()))
            .collect();
        let word = self.resource_word();
        let mut lone = 0;
        // An action that none of the resources is for.
        if !statement.resources.is_negated {
            for (action, meant) in &kinds {
                let meets = |resource: &String| meant.iter().any(|(_, kind)| meets(resource, *kind));
                if meant.is_empty() || statement.resources.texts.iter().any(meets) {
                    continue;
                }
                lone += 1;
                let (message, hint) = lone_action(action, meant, &statement.resources.texts);
                self.warn(message).hint = Some(hint);
            }
        }
        if lone == kinds.len() || kinds.iter().any(|(_, meant)| meant.is_empty()) {
            return;
        }
        // A resource that none of the actions is for.
        for resource in &statement.resources.texts {
            let mut all = kinds.iter().flat_map(|(_, meant)| meant);
            if !all.any(|(_, kind)| meets(resource, *kind)) {
                let actions: Vec<&str> = kinds.iter().map(|(action, _)| *action).collect();
                let verb = if actions.len() == 1 { "goes" } else { "go" };
                self.warn(format!(
                    "has {word} {resource:?}, by which {} never {verb}",
                    actions.join(", ")
                ));
            }
        }
    }
}

/// What is told of an action that never meets its resources, and what it goes by.
fn lone_action(action: &str, meant: &[(&str, Option<&str>)], resources: &[String]) -> (String, String) {
    let resources: Vec<String> = resources.iter().map(|resource| format!("{resource:?}")).collect();
    let resources = resources.join(", ");
    let (_, kind) = meant[0];
    let message = format!("has Action {action:?} on {resources}, where it never applies");
    let hint = match kind {
        None => "AWS IoT takes \"*\" alone as its resource".to_owned(),
        Some(kind) => format!("{action} goes by {kind}/, as in arn:aws:iot:*:*:{kind}/NAME"),
    };
    (message, hint)
}
