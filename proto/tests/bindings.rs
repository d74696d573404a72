//! The committed bindings are what the `.proto` files generate.
//!
//! After a change of a `.proto` file, run this test with `UPDATE_BINDINGS=1` to write them anew.

use std::{fs, path::Path};

#[test]
fn committed_bindings_are_what_the_proto_files_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files =
        ["config", "api", "delivery", "state"].map(|name| root.join(format!("apigw/v1/{name}.proto")));
    let descriptors = protox::compile(files, [root]).expect("the .proto files compile");
    let output = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(output.path())
        .bytes(".apigw.v1.Chunk.resources")
        .bytes(".apigw.v1.Offer.leaf_hashes")
        .bytes(".apigw.v1.ResourcesResponse.resources")
        .bytes(".apigw.v1.StoredRevision.leaf_hashes")
        // Sorted, so that equal messages have equal bytes.
        .btree_map(".apigw.v1")
        .compile_fds(descriptors)
        .expect("bindings are generated");

    let generated = fs::read_to_string(output.path().join("apigw.v1.rs")).unwrap();
    let committed_path = root.join("src/generated/apigw.v1.rs");
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        fs::write(&committed_path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&committed_path).unwrap_or_default();
    assert!(committed == generated, "bindings are stale: run UPDATE_BINDINGS=1 cargo test -p apigw-proto");
}
