//! A policy document, and what it lets a device do.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::jitp::{Ask, CertificateNames, Connection, Greeting, Home, Policies, check_policy};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static CONNECTION: LazyLock<Connection> = LazyLock::new(|| {
    let ders = certforge::pem::certificates(include_bytes!("../data/device.pem"));
    Connection {
        client_id: "SN000001".to_owned(),
        thing: None,
        attached: vec!["SN000001".to_owned()],
        certificate: CertificateNames::of_certificate(&ders[0]).expect("a certificate"),
        source_ip: "203.0.113.9".parse().expect("an address"),
        domain_name: Some("EXAMPLE-ats.iot.eu-central-1.amazonaws.com".to_owned()),
        greeting: Greeting {
            persistent: true,
            last_will: Some("SN000001/will".to_owned()),
        },
    }
});

pub fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let findings = check_policy(text);
    let Ok(policies) = Policies::read([("policy", text)]) else {
        assert!(findings.iter().any(certforge::jitp::Finding::is_error));
        return;
    };
    let home = Home::choose(
        policies.homes(),
        Some("eu-central-1"),
        Some("123456789012"),
        ("", ""),
    );
    let (topic, filter) = ("SN000001/test", "SN000001/#");
    let publish = [
        Ask::Publish { topic },
        Ask::RetainPublish { topic },
        Ask::Receive { topic },
    ];
    for ask in publish.iter().chain(&[Ask::Connect, Ask::Subscribe { filter }]) {
        let _ = policies.decide(ask, &CONNECTION, home.as_ref().expect("it is named"));
        let _ = policies.resources(ask.action(), &CONNECTION);
    }
}
