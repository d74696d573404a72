//! Making a configuration ready to run, from nothing and after an edit of one route.

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode};

use crate::configurations::{ROUTES, compiled, configuration, content};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    // The largest takes a good part of a second.
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for count in ROUTES {
        let first = content(&configuration(count, 0), None);
        let edited = content(&configuration(count, 1), Some(&first));
        let running = compiled(&first, None);
        // One at a time: what comes out is large, and its end is not measured.
        group.bench_function(BenchmarkId::new("whole", count), |bencher| {
            bencher.iter_batched(|| (), |()| compiled(&first, None), BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("one route edited", count), |bencher| {
            bencher.iter_batched(|| (), |()| compiled(&edited, Some(&running)), BatchSize::PerIteration);
        });
    }
    group.finish();
}
