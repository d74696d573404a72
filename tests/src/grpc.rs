//! Both ends of gRPC calls, by tonic: a client, and a server with a method of each of the four kinds. Messages are bytes.

/// Messages as they are.
pub(crate) mod raw;
/// Who calls.
pub mod caller;
/// Who is called.
pub mod callee;

use tokio::io::{AsyncRead, AsyncWrite};

pub use self::{callee::Callee, caller::Caller};

/// A connection, in clear or in TLS.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}
