//! What a pipeline tells Python of itself.

use super::chain::{Told, told};
use crate::pipeline::runtime::HybridRuntime;

/// Queue figures: capacity, waiting, sent, received, dropped oldest, dropped newest, refused, waits.
pub type QueueTold = (String, [u64; 8]);
/// Pool figures: size, in use, peak, acquired, misses.
pub type PoolTold = (String, [u64; 5]);
/// Branch figures: state, packets, beat, lost records, lost rows, times without a packet; p50, p99,
/// longest latency and sum in ns; what it was told.
pub type BranchTold = (String, &'static str, [u64; 5], [u64; 4], String);
/// Everything: stages and rings, queues, pools, branches.
pub type Figures = (Vec<Told>, Vec<QueueTold>, Vec<PoolTold>, Vec<BranchTold>);

/// For a branch: what its stages say they take in s, and p50, p99 and the longest latency in ns.
pub type Latency = (String, f64, [u64; 3]);

/// Everything.
pub fn figures(runtime: &HybridRuntime) -> Figures {
    let found = runtime.figures();
    let stages = found.meters.into_iter().map(|(name, meter)| told(name, &meter));
    let queues = found.queues.into_iter().map(|(name, q)| {
        let drops = [q.dropped_oldest, q.dropped_newest, q.refused, q.waits];
        let [oldest, newest, refused, waits] = drops;
        (name, [q.capacity, q.waiting, q.sent, q.received, oldest, newest, refused, waits])
    });
    let pools = found
        .pools
        .into_iter()
        .map(|(name, p)| (name, [p.size, p.in_use, p.peak, p.acquired, p.misses]));
    let branches = found.branches.into_iter().map(|(name, status)| {
        let counts = [
            &status.packets,
            &status.beat_nanos,
            &status.lost_records,
            &status.lost_rows,
            &status.exhausted,
        ];
        let (sum, most) = status.latency.sum_and_most();
        let latency = [status.latency.quantile(0.5), status.latency.quantile(0.99), most, sum];
        let counts = counts.map(crate::pipeline::meter::Count::get);
        (name, status.state(), counts, latency, status.told())
    });
    (stages.collect(), queues.collect(), pools.collect(), branches.collect())
}

/// How long packets take, by branch.
pub fn latency(runtime: &HybridRuntime) -> Vec<Latency> {
    let each = runtime.latency().into_iter().map(|(name, declared, status)| {
        let seen = &status.latency;
        let seen = [seen.quantile(0.5), seen.quantile(0.99), seen.sum_and_most().1];
        (name, declared.as_secs_f64(), seen)
    });
    each.collect()
}
