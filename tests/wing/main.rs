//! The AWS wing: templates and policies, AWS IoT by way of MiniStack, and first connections.

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/cloud.rs"]
mod cloud;
#[path = "../support/devices.rs"]
mod devices;
#[path = "../support/endpoint.rs"]
mod endpoint;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/identity.rs"]
mod identity;
#[path = "../support/iot.rs"]
mod iot;
#[path = "../support/metrics.rs"]
mod metrics;
#[path = "../support/real_server.rs"]
mod real_server;
#[path = "../support/softhsm.rs"]
mod softhsm;
#[path = "../support/mod.rs"]
mod support;

mod aws_requests;
mod connect;
mod credentials;
mod documents;
mod encrypted;
mod jitp_bulk;
mod jitp_register;
mod jitp_revoke;
mod jitp_template;
mod jitp_withdraw;
mod jitr;
#[cfg(feature = "kms")]
mod kms;
mod policies;
mod rehearse;
mod rehearse_assumed;
mod rehearse_clients;
mod rehearse_page;
mod rehearse_tls;
mod tokens;
