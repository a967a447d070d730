//! Devices connect to a real MQTT broker, mosquitto, with nothing but what is in their bundles.
//!
//! The broker trusts the CA alone and, as AWS IoT policies do with the thing name, lets a device
//! publish only under the name in its certificate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;

use crate::broker::{Broker, puback};
use crate::devices;
use crate::support::Workplace;

/// Makes a batch with the CA in a folder, and unpacks the bundle of one device beside `broker`.
fn device(workplace: &Workplace, ca: &str, profile: &str, id: &str) -> PathBuf {
    let batch = &format!("{ca}-{profile}");
    fs::write(workplace.join("devices.csv"), format!("serial_number\n{id}\n")).unwrap();
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        ca,
        "--profile",
        profile,
        "--batch",
        batch,
    ];
    workplace.succeed(&run);
    devices::unpack(workplace, &devices::bundle(workplace, batch, id), id)
}

#[test]
fn a_broker_takes_devices_of_every_key_type() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase", "--key", "P-384"]);
    let broker = Broker::start(&workplace, &workplace.join("ca/certificate.pem"));
    fs::write(
        workplace.join("p521.toml"),
        "name = \"p521\"\nkey.type = \"P-521\"\n",
    )
    .unwrap();
    let profiles = ["aws-iot-p256", "aws-iot-p384", "aws-iot-rsa2048", "p521.toml"];
    for (profile, id) in profiles.into_iter().zip(["A-1", "B:2", "C_3", "4"]) {
        let device = device(&workplace, "ca", profile, id);
        for tls in ["tlsv1.2", "tlsv1.3"] {
            broker.accepts(&device, "chain.pem.crt", &["--tls-version", tls]);
            broker.accepts(&device, "certificate.pem.crt", &["--tls-version", tls]);
        }
    }
    let log = broker.stop();
    for id in ["A-1", "B:2", "C_3", "4"] {
        assert!(
            log.contains(&format!("as {id} (p5, c1, k60, u'{id}')")),
            "{id} is known by its name\n{log}"
        );
    }
}

#[test]
fn a_device_publishes_under_its_own_name_only() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let broker = Broker::start(&workplace, &workplace.join("ca/certificate.pem"));
    let device = device(&workplace, "ca", "aws-iot-p256", "A-1");
    broker.accepts(&device, "chain.pem.crt", &[]);
    let output = broker.publish(&device, "chain.pem.crt", "A-2", &[]);
    // MQTT 5.0, 3.4.2.1: not authorized.
    assert_eq!(puback(&output), Some(0x87), "{output:?}");
}

#[test]
fn a_broker_that_trusts_the_root_takes_devices_that_send_their_chain() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase", "--to", "root"]);
    workplace.succeed(&["ca", "new", "--no-passphrase", "--parent", "root"]);
    let broker = Broker::start(&workplace, &workplace.join("root/certificate.pem"));
    let device = device(&workplace, "ca", "aws-iot-p256", "A-1");
    broker.accepts(&device, "chain.pem.crt", &[]);
    broker.refuses(&device, "certificate.pem.crt", &[]);
}

#[test]
fn a_broker_refuses_devices_of_another_ca_even_of_the_same_name() {
    let workplace = Workplace::new();
    let new = ["ca", "new", "--no-passphrase", "--common-name", "Factory 1"];
    workplace.succeed(&new);
    workplace.succeed(&[&new[..], &["--to", "other"]].concat());
    let broker = Broker::start(&workplace, &workplace.join("ca/certificate.pem"));
    let own = device(&workplace, "ca", "aws-iot-p256", "A-1");
    let strange = device(&workplace, "other", "aws-iot-p256", "A-2");
    for tls in ["tlsv1.2", "tlsv1.3"] {
        broker.refuses(&strange, "chain.pem.crt", &["--tls-version", tls]);
        broker.refuses(&strange, "certificate.pem.crt", &["--tls-version", tls]);
    }
    broker.accepts(&own, "chain.pem.crt", &[]);
    let log = broker.stop();
    assert_eq!(log.matches("certificate verify failed").count(), 4, "{log}");
}
