//! The connections between the programs: where they lead, what keeps strangers out of them, and what a peer may cost.
//!
//! `controlplane` and `dataplane` serve by [`server`], `dataplane` and `gwctl` connect by [`client`]; both over TCP, TCP
//! with mutual TLS, or a socket file. What is said on a connection is not known here, and no traffic of a gateway's clients
//! comes through here.

/// Where a server listens.
pub mod address;
/// Where a server is, as a client has it.
pub mod endpoint;
/// What a program has to show, and demands to be shown.
pub mod credentials;
/// Certificates: read, checked, renewed.
pub mod tls;
/// Socket files.
pub mod socket_file;
/// A bound address.
pub mod listener;
/// Serving in bounds.
pub mod server;
/// Connecting.
pub mod client;
/// Frames that no server is to see; for those of traffic as well.
pub mod frames;

/// Bytes, however they travel.
mod stream;

#[cfg(test)]
mod certificates;
