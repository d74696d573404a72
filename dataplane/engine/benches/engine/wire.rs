//! Bringing a configuration into the form that travels and back, from nothing and after an edit of one route.

use std::sync::Arc;

use apigw_config::wire::{Content, Leaf};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode};

use crate::configurations::{ROUTES, configuration, content};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for count in ROUTES {
        let (config, edited_config) = (configuration(count, 0), configuration(count, 1));
        let first = content(&config, None);
        let edited = content(&edited_config, Some(&first));
        let leaves = |content: &Content| content.leaves().map(Arc::clone).collect::<Vec<_>>();
        let (first_leaves, edited_leaves) = (leaves(&first), leaves(&edited));
        let mut measure = |name: &str, act: &dyn Fn() -> Content| {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter_batched(|| (), |()| act(), BatchSize::PerIteration);
            });
        };
        measure("encode", &|| content(&config, None));
        measure("encode, one route edited", &|| content(&edited_config, Some(&first)));
        measure("decode", &|| decoded(&first_leaves, None));
        measure("decode, one route edited", &|| decoded(&edited_leaves, Some(&first)));
    }
    group.finish();
}

fn decoded(leaves: &[Arc<Leaf>], former: Option<&Content>) -> Content {
    Content::decode(leaves, former).unwrap_or_else(|problems| panic!("{problems:?}"))
}
