//! An issuer of tokens for development: a key set and RS256 tokens, as the Go model's `jwksmock` does.
//!
//! Its key is made at the start and gone at the end.

use std::{error::Error, sync::Arc, time::Duration};

use apigw_tests::{
    flags, serving,
    tokens::{Claims, SigningKey},
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, header::CONTENT_TYPE};

/// Serves /.well-known/jwks.json and /token?sub=NAME.
#[derive(clap::Parser)]
struct Flags {
    /// Where to listen.
    #[arg(long, default_value = ":9009")]
    addr: String,
    /// The tokens' issuer.
    #[arg(long, default_value = "http://127.0.0.1:9009")]
    iss: String,
    /// The tokens' audience.
    #[arg(long, default_value = "apigw")]
    aud: String,
}

const TOKEN_LIFETIME: Duration = Duration::from_hours(24);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { addr, iss, aud } = flags::parse();
    let key = SigningKey::generate()?;
    let listener = serving::listen(&addr).await?;
    serving::announce(&listener, "jwks", &iss)?;
    let issuer = Arc::new(Issuer { key, iss, aud });
    serving::serve(listener, move |request| {
        let answer = issuer.answer(request.uri().path(), request.uri().query().unwrap_or_default());
        std::future::ready(answer)
    })
    .await;
    Ok(())
}

struct Issuer {
    key: SigningKey,
    iss: String,
    aud: String,
}

impl Issuer {
    fn answer(&self, path: &str, query: &str) -> Response<Full<Bytes>> {
        match path {
            "/.well-known/jwks.json" => {
                response(StatusCode::OK, "application/json", self.key.key_set().to_string())
            }
            "/token" => {
                let subject = query.split('&').find_map(|pair| pair.strip_prefix("sub="));
                let claims = Claims {
                    subject: subject.filter(|name| !name.is_empty()).unwrap_or("user_123"),
                    issuer: Some(&self.iss),
                    audience: Some(&self.aud),
                    lifetime: TOKEN_LIFETIME,
                };
                match self.key.sign(claims) {
                    Ok(token) => response(StatusCode::OK, "text/plain", token),
                    Err(error) => {
                        response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
                    }
                }
            }
            "/healthz" => response(StatusCode::OK, "text/plain", "ok".into()),
            _ => response(StatusCode::NOT_FOUND, "text/plain", "not found\n".into()),
        }
    }
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}
