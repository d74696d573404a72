//! End-to-end tests: the real programs, from the outside, as files, flags, sockets and output show them.
//!
//! They link nothing of the programs. Every wait is for a condition, and every port is the system's choice.

// What a request becomes on its way to the upstream, and a response on its way back.
mod proxying;
// Which field lines pass, which stop here, and which the gateway adds.
mod fields;
// How messages end: lengths, chunks, trailers, interim answers, kept-alive connections.
mod framing;
// Bodies of any size pass in memory that does not grow, up to the limit of the file.
mod bodies;
// Every timeout in the file is real and ends in its own status and reason.
mod timeouts;
// An upstream that misbehaves costs its own requests an honest answer, and nobody else anything.
mod upstream_failures;
// A saved file takes effect, however it is saved, without costing a request.
mod edits;
// Several processes find each other in any order and survive each other's end.
mod fleet;
// What was published is kept, compared, waited for and brought back.
mod history;
// What a person types and what comes back.
mod command_line;
// What a person watches, for as long as it takes.
mod watching;
// The example files, the README and the demo are as good as their word.
mod examples;
// The rules of the repository that a machine can check.
mod repository;
