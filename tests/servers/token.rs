//! Prints an HS256 token for development, as the Go model's `token` does.

use std::time::Duration;

use apigw_tests::{
    flags,
    tokens::{Claims, hs256},
};

/// Prints a token signed with a shared secret.
#[derive(clap::Parser)]
struct Flags {
    /// The secret: what the file has as `auth.hmac_secret`.
    #[arg(long, default_value = "dev-secret")]
    secret: String,
    /// Who the token is for.
    #[arg(long, default_value = "user_123")]
    sub: String,
    /// Who issued it; left out where not given.
    #[arg(long)]
    iss: Option<String>,
    /// Whom it is meant for; left out where not given.
    #[arg(long)]
    aud: Option<String>,
    /// How long it is good for.
    #[arg(long, default_value_t = 24 * 60 * 60)]
    ttl_seconds: u64,
}

fn main() {
    let flags: Flags = flags::parse();
    let claims = Claims {
        subject: &flags.sub,
        issuer: flags.iss.as_deref(),
        audience: flags.aud.as_deref(),
        lifetime: Duration::from_secs(flags.ttl_seconds),
    };
    println!("{}", hs256(&flags.secret, claims));
}
