//! The tour of apigw for a new user.

fn main() {}
