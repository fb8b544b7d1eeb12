//! What a stage has done, and how long it took; written by one thread, read by any.

use crate::sync::{Arc, AtomicU64, Ordering};

/// Steps for each doubling.
const FINE: usize = 8;
/// Up to 2^40 ns, which is 18 minutes.
const DOUBLINGS: usize = 40;
const BUCKETS: usize = FINE * DOUBLINGS;

/// How often which duration occurred, to an eighth of a doubling.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    most: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), most: AtomicU64::new(0) }
    }
}

fn bucket_of(nanos: u64) -> usize {
    let log = (nanos | 1).ilog2() as usize;
    if log < 3 {
        return nanos as usize;
    }
    let fine = (nanos >> (log - 3)) as usize & (FINE - 1);
    ((log - 2) * FINE + fine).min(BUCKETS - 1)
}

/// The least duration of a bucket.
fn floor_of(bucket: usize) -> u64 {
    let (log, fine) = (bucket / FINE, (bucket % FINE) as u64);
    if log == 0 { fine } else { (FINE as u64 + fine) << (log - 1) }
}

/// Adds to a count that only this thread changes, so that no locked instruction is needed.
fn bump(count: &AtomicU64, by: u64) {
    // Relaxed: numbers for people.
    count.store(count.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

impl Histogram {
    /// Counts a duration; only one thread may.
    #[inline]
    pub fn record(&self, nanos: u64) {
        bump(&self.buckets[bucket_of(nanos)], 1);
        bump(&self.sum, nanos);
        // Relaxed: numbers for people.
        if nanos > self.most.load(Ordering::Relaxed) {
            self.most.store(nanos, Ordering::Relaxed);
        }
    }

    /// Least duration and count of each bucket that is not empty.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        // Relaxed: numbers for people; so below.
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let all = counts.enumerate().map(|(index, count)| (floor_of(index), count));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// The sum of all durations and the longest, in ns.
    pub fn sum_and_most(&self) -> (u64, u64) {
        (self.sum.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed))
    }

    /// The duration that such a part of all does not exceed by more than an eighth of a doubling.
    pub fn quantile(&self, part: f64) -> u64 {
        let counts = self.counts();
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        let wanted = (part * total as f64).ceil() as u64;
        let mut seen = 0;
        let found = counts.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, |(floor, _)| *floor)
    }
}

/// A count that one thread writes.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    #[inline]
    pub fn bump(&self) {
        bump(&self.0, 1);
    }

    /// So many more.
    pub fn add(&self, by: u64) {
        bump(&self.0, by);
    }

    /// Now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A figure of a stage's own, with a name.
#[derive(Debug)]
pub struct Gauge {
    name: &'static str,
    bits: AtomicU64,
}

impl Gauge {
    /// A figure that is 0.
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, bits: AtomicU64::new(0) })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Now.
    pub fn get(&self) -> f64 {
        // Relaxed: a number for people; so below.
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }

    /// Sets it; only its stage may.
    pub fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to it; only its stage may.
    pub fn add(&self, by: f64) {
        self.set(self.get() + by);
    }
}

/// What one stage has done.
#[derive(Debug, Default)]
pub struct Meter {
    /// Packets that came.
    pub packets: Count,
    /// Packets that it failed at.
    pub errors: Count,
    /// Of those, packets that went on as they were.
    pub bypassed: Count,
    /// Packets that ended here: failed, or came while it rested.
    pub dropped: Count,
    /// How often it began anew.
    pub restarts: Count,
    /// Triggers.
    pub triggers: Count,
    /// Triggers that did not fit.
    pub lost_triggers: Count,
    /// How long it took.
    pub duration: Histogram,
    /// Figures of its own.
    pub gauges: Vec<Arc<Gauge>>,
    /// What it last failed with.
    pub last_error: std::sync::Mutex<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_off_by_less_than_an_eighth() {
        let histogram = Histogram::default();
        (1..=100_000u64).for_each(|nanos| histogram.record(nanos));
        for part in [0.001, 0.5, 0.99, 1.0] {
            let (found, wanted) = (histogram.quantile(part) as f64, part * 100_000.0);
            assert!(found <= wanted && found >= wanted / 1.126, "{part}: {found}");
        }
        assert_eq!(histogram.sum_and_most(), (5_000_050_000, 100_000));
        assert_eq!(histogram.counts().iter().map(|(_, count)| count).sum::<u64>(), 100_000);
    }

    #[test]
    fn every_duration_has_a_bucket() {
        for nanos in [0, 1, 7, 8, 9, 15, 16, 1 << 39, u64::MAX] {
            assert!(floor_of(bucket_of(nanos)) <= nanos);
        }
    }
}
