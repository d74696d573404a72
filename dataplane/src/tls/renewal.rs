//! Certificates are renewed while they are in use: their files are looked at every now and then, and what new connections are
//! shown follows them. There may be many files, so none is watched by a thread of its own.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use apigw_config::model;
use apigw_transport::tls::{Change, Standing};
use tokio::time::{Instant, sleep};

use super::{
    Current, Paths,
    material::{Fault, Material, Seen, Texts},
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Renews, for ever. A certificate whose files are of no use stays as it was; the others are renewed all the same.
pub(super) async fn follow(
    current: Arc<Current>,
    paths: Paths,
    settings: model::ServerTls,
    mut seen: Seen,
) -> Infallible {
    let paths = Arc::new(paths);
    let mut standing = Standing::good();
    loop {
        sleep(LOOK).await;
        let to_read = Arc::clone(&paths);
        let read = tokio::task::spawn_blocking(move || Texts::read(&to_read)).await;
        let Ok(texts) = read else { continue };
        let newest = texts.seen();
        let change = if newest == seen { Change::None } else { Change::Some };
        let is_due = standing.look_at().is_some_and(|at| at <= Instant::now());
        if change == Change::None && !is_due {
            continue;
        }
        seen = newest;
        let (material, faults) = Material::new(texts, &paths, &settings, Some(&current.material.load()));
        if let Some(material) = material {
            current.material.store(Arc::new(material));
        }
        let renewed = faults.first().map_or(Ok(()), |Fault { error, .. }| Err(error));
        if renewed.is_ok() {
            tracing::info!("certificates renewed; new connections use them");
        }
        let was_bad = standing.is_bad();
        standing = standing.after(renewed, change);
        if standing.is_bad() && !was_bad {
            current.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}
