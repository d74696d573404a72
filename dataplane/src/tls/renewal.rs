//! Certificates are renewed while they are in use: their files are looked at every now and then, and what new connections are
//! made with follows them. There may be many files, so none is watched by a thread of its own.

use std::{convert::Infallible, sync::Arc, time::Duration};

use apigw_transport::tls::{Change, Standing, pem::TlsError};
use tokio::time::{Instant, sleep};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is made of files.
pub(super) trait Renewable: Send + Sync + 'static {
    /// Their contents.
    type Texts: Send + 'static;

    /// Reads the files. Blocks.
    fn read(&self) -> Self::Texts;

    /// What they say, to be compared.
    fn seen(texts: &Self::Texts) -> Seen;

    /// Takes over what is of use; the rest stays as it was.
    ///
    /// # Errors
    /// When some of it is of no use.
    fn renew(&self, texts: Self::Texts) -> Result<(), TlsError>;

    /// Counts that what they say is of no use.
    fn count_failure(&self);
}

/// What files said when they were looked at; one that cannot be read says nothing.
#[derive(PartialEq, Eq)]
pub(super) struct Seen(pub(super) Vec<Option<Vec<u8>>>);

/// Renews, for ever.
pub(super) async fn follow<R: Renewable>(renewable: Arc<R>, mut seen: Seen) -> Infallible {
    let mut standing = Standing::good();
    loop {
        sleep(LOOK).await;
        let to_read = Arc::clone(&renewable);
        let read = tokio::task::spawn_blocking(move || to_read.read()).await;
        let Ok(texts) = read else { continue };
        let newest = R::seen(&texts);
        let change = if newest == seen { Change::None } else { Change::Some };
        let is_due = standing.look_at().is_some_and(|at| at <= Instant::now());
        if change == Change::None && !is_due {
            continue;
        }
        seen = newest;
        let renewed = renewable.renew(texts);
        if renewed.is_ok() {
            tracing::info!("certificates renewed; new connections use them");
        }
        let was_bad = standing.is_bad();
        standing = standing.after(renewed, change);
        if standing.is_bad() && !was_bad {
            renewable.count_failure();
        }
    }
}
