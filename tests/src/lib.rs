//! What the end-to-end tests, the development servers and the demo stand on.
//!
//! It speaks to apigw only as a user does: through files, flags, sockets and output. It shares no code with the
//! programs, so that a mistake of theirs is not believed here as well; simulated data planes speak the API by its messages.

#![expect(clippy::missing_panics_doc, reason = "a test's footing panics where the test fails")]

// For the development servers.
pub mod flags;
pub mod serving;
pub mod tokens;

// Processes: started, listened to, ended.
pub mod clock;
pub mod lines;
pub mod log;
pub mod process;
pub mod programs;
pub mod terminal;
pub mod waiting;

// Who speaks with the programs, well or badly.
pub mod certificates;
pub mod frames;

// What a gateway stands between.
pub mod client;
pub mod collector;
pub mod gate;
pub mod grpc;
pub mod http2_origin;
pub mod issuer;
pub mod message;
pub mod network;
pub mod origin;
pub mod redis_server;
pub mod websocket;

// What follows a control plane.
pub mod simulated;

// Gateways, their files and their traffic.
pub mod configuration;
pub mod gateway;
pub mod load;
pub mod metrics;

// What a request costs here and elsewhere.
pub mod bench;

// The demo.
pub mod stage;
pub mod story;
pub mod tour;
pub mod walkthrough;
