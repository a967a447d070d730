//! What the wing's commands print with `--json` is what `docs/json.md` says, field by field.

#[path = "../support/documents.rs"]
pub mod page;

use page::hold;

use crate::devices::{bundle, make_batch};
use crate::endpoint::{Endpoint, FIRST, write_narrow_template, write_template};
use crate::iot::Account;
use crate::support::Workplace;
use serde_json::json;

const LAMBDA: &str = "arn:aws:lambda:us-east-1:000000000000:function:activate";

fn factory() -> Workplace {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    write_narrow_template(&place);
    make_batch(&place, &["A-1", "A-2"], &[]);
    place
}

/// Writes a template as `jitp template new` drafts it with these options.
fn draft(place: &Workplace, name: &str, options: &[&str]) {
    let text = place.succeed(&[&["jitp", "template", "new"][..], options].concat());
    std::fs::write(place.join(name), text).expect("the template is written");
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
    let render = ["jitp", "template", "render"];
    let device = ["--batch", "out/b", "--device", "A-1"];
    let render = |template: &'static str| [&render[..], &[template], &device].concat();
    hold("`jitp template render`", &render("template.json"));
    let all = ["--attribute", "serial=CommonName", "--thing-type", "lamp"];
    let all = [&all[..], &["--thing-group", "line-7", "--policy-name", "lamps"]].concat();
    draft(&place, "all.json", &all);
    hold("`jitp template render`", &render("all.json"));
    draft(&place, "pending.json", &["--thing-name", "Country"]);
    hold("A command that fails", &render("pending.json"));
    let publishes =
        json!({"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topicfilter/a"});
    let policy = json!({"Version": "2012-10-17", "Statement": publishes}).to_string();
    std::fs::write(place.join("policy.json"), policy).expect("the policy is written");
    hold("`jitp policy check`", &["jitp", "policy", "check", "policy.json"]);
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
    let list = ["rehearse", "list", "--state", "state.db"];
    hold("`rehearse list`", &list);
    // Things with more than a name, and devices that stay pending.
    for (state, options) in [
        ("more.db", ["--attribute", "serial=CommonName"]),
        ("pending.db", ["--thing-name", "Country"]),
    ] {
        draft(&place, "other.json", &options);
        let other = ["--template", "other.json", "--state", state];
        hold("`rehearse`", &[&["rehearse", "out/b"][..], &other].concat());
        hold("`rehearse list`", &["rehearse", "list", "--state", state]);
    }
    // Nobody may connect.
    write_template(
        &place,
        &json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "iot:*", "Resource": "*" }
    ] }),
    );
    hold("`rehearse`", &rehearse);
    let bundle = bundle(&place, "b", "A-1");
    let connect = ["connect", bundle.to_str().expect("a path"), "--attempts", "1"];
    // Nobody listens there.
    hold(
        "`connect`",
        &[&connect[..], &["--host", "127.0.0.1", "--port", "1"]].concat(),
    );
}

#[test]
fn an_endpoint_tells_of_itself_and_of_devices_as_the_page_says() {
    let place = factory();
    let addresses = ["--alpn-address", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    for options in [&addresses[..], &[]] {
        let mut endpoint = Endpoint::serve(&place, options);
        page::of("`rehearse --serve`").hold(&endpoint.listening);
        endpoint.run_connect(&place, &bundle(&place, "b", "A-1"), &[]);
        let event = page::of("An event of `rehearse --serve`");
        for _ in FIRST {
            event.hold(&endpoint.next("A-1"));
        }
    }
}

#[test]
fn what_is_done_in_an_account_is_told_as_the_page_says() {
    let account = Account::new();
    let place = &account.place;
    let hold = |title: &str, arguments: &[&str]| page::hold_command(title, &mut account.jitp(arguments));
    let register = |more: &[&str]| hold("`jitp register`", &[&["register"][..], more].concat());
    draft(place, "t.json", &[]);
    draft(place, "lamps.json", &["--thing-type", "lamp"]);
    draft(place, "serials.json", &["--attribute", "serial=CommonName"]);
    let named = ["--template-name", "lamps", "--template"];

    hold("`jitp status`", &["status"]);
    hold("A command that fails", &["register", "--template", "t.json"]);
    register(&["--flow", "jitr", "--lambda-arn", LAMBDA, "--dry-run"]);
    register(&["--template", "t.json", "--dry-run"]);
    for _ in 0..2 {
        register(&["--template", "t.json", "--yes"]);
    }
    hold("`jitp status`", &["status"]);
    // What must exist first, and what differs.
    register(&["--template", "lamps.json", "--yes"]);
    register(&["--template", "serials.json", "--yes"]);
    register(&[&named[..], &["t.json", "--update", "--yes"]].concat());
    hold("`jitp status`", &["status"]);
    register(&[&named[..], &["serials.json", "--role-name", "other", "--dry-run"]].concat());

    account.make("b", 0..3, &[]);
    account.make("c", 3..5, &[]);
    let withdraw = ["withdraw", "--reason", "stolen", "--rate", "2000", "--batch", "b"];
    let withdraw = |title: &str, more: &[&str]| hold(title, &[&withdraw[..], more].concat());
    withdraw("`jitp withdraw --dry-run`", &["--dry-run"]);
    for more in ["--dry-run", "--yes"] {
        withdraw("`jitp withdraw --stations-only`", &["--stations-only", more]);
    }
    withdraw("`jitp withdraw`", &["--yes"]);
    page::hold(place, "`status`", &["status"]);
    hold("`jitp status`", &["status"]);
}

#[test]
fn a_rule_is_told_as_the_page_says() {
    let account = Account::new();
    let hold = |title: &str, arguments: &[&str]| page::hold_command(title, &mut account.jitp(arguments));
    hold(
        "`jitp register`",
        &["register", "--flow", "jitr", "--lambda-arn", LAMBDA, "--yes"],
    );
    hold("`jitp status`", &["status"]);
}
