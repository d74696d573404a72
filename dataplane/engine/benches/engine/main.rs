//! What the engine costs by itself, at several sizes: `cargo bench -p apigw-engine`.
//!
//! Nothing is judged here; CI only builds it. A name such as `routes` on the command line chooses a group.

// In the order a request meets them, and then a configuration.
mod policies;
mod routes;
mod tokens;
mod compiling;
mod wire;

// What they are measured with.
mod configurations;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    routes::bench(&mut criterion);
    policies::bench(&mut criterion);
    tokens::bench(&mut criterion);
    compiling::bench(&mut criterion);
    wire::bench(&mut criterion);
    criterion.final_summary();
}
