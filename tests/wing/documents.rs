//! What the wing's commands print with `--json` is what `docs/json.md` says, field by field.

#[path = "../support/documents.rs"]
mod page;

use page::hold;

use crate::devices::make_batch;
use crate::endpoint::{write_narrow_template, write_template};
use crate::support::Workplace;
use serde_json::json;

fn factory() -> Workplace {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    write_narrow_template(&place);
    make_batch(&place, &["A-1", "A-2"], &[]);
    place
}

#[test]
fn the_longest_example_has_every_field() {
    page::of("`rehearse`").hold_example();
}

#[test]
fn what_is_written_for_aws_is_told_as_the_page_says() {
    let place = factory();
    let hold = |title: &str, arguments: &[&str]| hold(&place, title, arguments);
    let check = ["jitp", "template", "check", "template.json"];
    hold("`jitp template check`", &check);
    hold(
        "`jitp template check`",
        &[&check[..], &["--manifest", "devices.csv"]].concat(),
    );
    let code = "7".repeat(64);
    hold(
        "`jitp proof`",
        &["jitp", "proof", "--ca", "ca", "--registration-code", &code],
    );
    hold("`jitp jitr-lambda`", &["jitp", "jitr-lambda", "--batch", "out/b"]);
    let bulk = ["jitp", "bulk", "--batch", "out/b", "--template", "template.json"];
    hold("`jitp bulk`", &bulk);
    hold("A command that fails", &bulk);
    hold("`jitp thingpress`", &["jitp", "thingpress", "--batch", "out/b"]);
}

#[test]
fn a_rehearsal_is_told_as_the_page_says() {
    let place = factory();
    let hold = |title: &str, arguments: &[&str]| hold(&place, title, arguments);
    let rehearse = ["rehearse", "out/b", "--template", "template.json"];
    hold("`rehearse`", &[&rehearse[..], &["--state", "state.db"]].concat());
    let activate = ["rehearse", "activate", "--state", "state.db"];
    hold("`rehearse activate`", &[&activate[..], &["A-1"]].concat());
    let mark = ["rehearse", "mark", "--state", "state.db", "REVOKED"];
    hold("`rehearse mark`", &[&mark[..], &["A-1"]].concat());
    hold("`rehearse activate`", &[&activate[..], &["A-1"]].concat());
    // Nobody may connect.
    write_template(
        &place,
        &json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "iot:*", "Resource": "*" }
    ] }),
    );
    hold("`rehearse`", &rehearse);
    let bundle = crate::devices::bundle(&place, "b", "A-1");
    let connect = ["connect", bundle.to_str().expect("a path"), "--attempts", "1"];
    // Nobody listens there.
    hold(
        "`connect`",
        &[&connect[..], &["--host", "127.0.0.1", "--port", "1"]].concat(),
    );
}
