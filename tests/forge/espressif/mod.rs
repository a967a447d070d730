//! Images for Espressif's devices: octet for octet what Espressif's tools make of the same input; and their readers, and
//! another's, read them.

mod batches;
mod nvs;
mod read_back;
mod secure_cert;
mod tools;
