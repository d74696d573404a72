//! What a configuration file means.
//!
//! `YAML text -> tree with positions -> GatewayConfig <-> wire resources`, and the watching of the file. Everything a
//! gateway knows of its configuration passes through [`model`], whose types can only hold what is legal; a file and a
//! peer are read by the same constructors, so nothing downstream checks again. This crate opens no socket and judges no
//! request.

pub mod admin_key;
pub mod diff;
pub mod json;
pub mod leaf_store;
/// Files of a state directory.
pub mod state_file;
pub mod model;
pub mod names;
pub mod pages;
pub mod problem;
pub mod shared_table;
pub mod watch;
pub mod wire;

mod reader;
mod yaml;

#[cfg(test)]
mod samples;

pub use self::{
    problem::{Position, Problem},
    reader::{
        ConfigReader, known_keys, place_of, places_of, read, read_api_keys, read_users, read_with_checks,
    },
};
