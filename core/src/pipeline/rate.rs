//! Sample rates as exact fractions.

use crate::error::RingError;

const NANOS_PER_SEC: i128 = 1_000_000_000;

/// So many samples in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    samples: u64,
    seconds: u64,
}

impl Rate {
    /// One sample a second.
    pub const ONE: Self = Self { samples: 1, seconds: 1 };

    /// A rate; neither number may be 0.
    pub fn new(samples: u64, seconds: u64) -> Result<Self, RingError> {
        if samples == 0 || seconds == 0 {
            return Err(RingError::Invalid(format!(
                "a sample rate needs two numbers above 0; found {samples}/{seconds}"
            )));
        }
        Ok(Self { samples, seconds })
    }

    /// Samples, of the fraction.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// Seconds, of the fraction.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// In hertz, rounded.
    pub fn hertz(self) -> f64 {
        self.samples as f64 / self.seconds as f64
    }

    /// Whole nanoseconds from sample 0 to another one, rounded down.
    #[inline]
    pub fn nanos(self, sample: u64) -> i64 {
        let seconds = i128::from(sample) * i128::from(self.seconds);
        (seconds * NANOS_PER_SEC / i128::from(self.samples)) as i64
    }

    /// The sample nearest to so many nanoseconds after sample 0; negative before it.
    #[inline]
    pub fn sample_at(self, nanos: i64) -> i64 {
        let period = i128::from(self.seconds) * NANOS_PER_SEC;
        let doubled = 2 * i128::from(nanos) * i128::from(self.samples) + period;
        doubled.div_euclid(2 * period) as i64
    }

    /// The rate after keeping one of so many samples.
    pub fn divided(self, by: u64) -> Self {
        if self.samples.is_multiple_of(by) {
            Self { samples: self.samples / by, ..self }
        } else {
            Self { seconds: self.seconds * by, ..self }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_exactly_its_nanoseconds() {
        for hertz in [250, 4_000, 16_000, 3_000] {
            let rate = Rate::new(hertz, 1).unwrap();
            assert_eq!(rate.nanos(hertz * 86_400), 86_400 * 1_000_000_000);
            for second in (0..86_400).step_by(997) {
                assert_eq!(rate.nanos(hertz * second), second as i64 * 1_000_000_000);
            }
        }
    }

    #[test]
    fn a_third_of_a_millisecond_is_rounded_down_and_never_adds_up() {
        let rate = Rate::new(3_000, 1).unwrap();
        let nanos: Vec<i64> = (0..4).map(|sample| rate.nanos(sample)).collect();
        assert_eq!(nanos, [0, 333_333, 666_666, 1_000_000]);
    }

    #[test]
    fn a_time_that_was_rounded_leads_back_to_its_sample() {
        let rate = Rate::new(3_000, 7).unwrap();
        for sample in [0, 1, 2, 999, 3_000, 259_200_001] {
            assert_eq!(rate.sample_at(rate.nanos(sample)), sample as i64);
            assert_eq!(rate.sample_at(-rate.nanos(sample)), -(sample as i64));
        }
    }

    #[test]
    fn a_divided_rate_stays_exact() {
        let rate = Rate::new(250, 1).unwrap();
        assert_eq!(rate.divided(10), Rate::new(25, 1).unwrap());
        assert_eq!(rate.divided(4).nanos(125), 2_000_000_000);
        assert!(Rate::new(0, 1).is_err());
    }
}
