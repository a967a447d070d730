//! README and book hold: what they show is what the program prints, what they name exists, and what exists is named.
//!
//! `BOOK=overwrite cargo test --test cli book::` writes what the program prints into them; read what it wrote.

mod commands;
mod fields;
mod hints;
mod links;
mod literals;
mod messages;
mod pages;
mod pictures;
mod sessions;
mod words;
