//! `certforge --version`: the version, and for who reports a fault what else tells one build and one machine from another.

use certforge::doctor;
use certforge::engine::ENGINES;

/// What `-V` prints is the first line.
pub fn long() -> String {
    let here = ENGINES.iter().filter(|engine| engine.ready().is_ok());
    let engines: Vec<&str> = here.map(|engine| engine.name()).collect();
    format!(
        "certforge {}\ncommit    {}\nfeatures  {}\nengines   {} (on this machine)\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("CERTFORGE_COMMIT").unwrap_or("not known"),
        doctor::features(),
        engines.join(", "),
    )
}
