//! `certforge --version`: the version, and for who reports a fault what else tells one build and one machine from another.

use certforge::engine::ENGINES;

/// The features that a build has, of those that cargo knows.
macro_rules! features {
    ($($name:literal)+) => {
        [$((cfg!(feature = $name), $name)),+]
    };
}

/// What `-V` prints is the first line.
pub fn long() -> String {
    let features = features!("age" "aws" "display" "kms" "openssl" "pkcs11" "postgres" "s3");
    let built_in = features.iter().filter(|(is_there, _)| *is_there);
    let names: Vec<&str> = built_in.map(|(_, name)| *name).collect();
    let here = ENGINES.iter().filter(|engine| engine.ready().is_ok());
    let engines: Vec<&str> = here.map(|engine| engine.name()).collect();
    format!(
        "certforge {}\ncommit    {}\nfeatures  {}\nengines   {} (on this machine)\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("CERTFORGE_COMMIT").unwrap_or("not known"),
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        },
        engines.join(", "),
    )
}

#[cfg(test)]
mod tests {
    /// A feature of Cargo.toml is named, or it is a part of others.
    #[test]
    fn every_feature_is_told() {
        let cargo: toml::Table = include_str!("../../Cargo.toml").parse().expect("it is TOML");
        let code = include_str!("version.rs");
        for name in cargo["features"].as_table().expect("a table").keys() {
            let is_part = ["default", "sdk"].contains(&name.as_str());
            assert!(
                is_part || code.contains(&format!("{name:?} ")) || code.contains(&format!("{name:?})")),
                "{name}"
            );
        }
    }
}
