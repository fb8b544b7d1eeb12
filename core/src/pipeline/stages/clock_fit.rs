//! When the samples of a source that stamps its packets were really taken.

/// Jitter of a stamp and drift of a clock that are usual, in ns and as a part; what a fit assumes
/// until it knows better.
const USUAL_JITTER_NANOS: f64 = 1e6;
const USUAL_DRIFT: f64 = 1e-4;

/// A straight line through the stamps, older ones counting less.
#[derive(Debug)]
pub struct ClockFit {
    period_nanos: f64,
    memory_samples: f64,
    /// Place and time that the sums are relative to.
    base: Option<(u64, i64)>,
    weight: f64,
    mean_place: f64,
    /// How much later than the nominal rate says, in ns.
    mean_delay: f64,
    place_square: f64,
    place_delay: f64,
}

impl ClockFit {
    /// A clock of a nominal period; stamps that are so many samples old count for a third.
    pub fn new(period_nanos: f64, memory_samples: f64) -> Self {
        let (weight, mean_place, mean_delay) = (0.0, 0.0, 0.0);
        let (place_square, place_delay) = (0.0, 0.0);
        Self {
            period_nanos,
            memory_samples,
            base: None,
            weight,
            mean_place,
            mean_delay,
            place_square,
            place_delay,
        }
    }

    /// Forgets all stamps.
    pub fn reset(&mut self) {
        *self = Self::new(self.period_nanos, self.memory_samples);
    }

    /// Takes the stamp of the sample at a place, which came so many samples after the last one.
    pub fn observe(&mut self, place: u64, nanos: i64, samples: usize) {
        let (first, start) = *self.base.get_or_insert((place, nanos));
        let at = (place - first) as f64;
        let delay = (nanos - start) as f64 - at * self.period_nanos;
        let fade = (-(samples as f64) / self.memory_samples).exp();
        self.weight = self.weight * fade + 1.0;
        let (from_place, from_delay) = (at - self.mean_place, delay - self.mean_delay);
        self.mean_place += from_place / self.weight;
        self.mean_delay += from_delay / self.weight;
        self.place_square = self.place_square * fade + from_place * (at - self.mean_place);
        self.place_delay = self.place_delay * fade + from_place * (delay - self.mean_delay);
    }

    /// How much longer than nominal a period is, in ns.
    fn excess(&self) -> f64 {
        let doubt = USUAL_JITTER_NANOS / (USUAL_DRIFT * self.period_nanos);
        self.place_delay / (self.place_square + doubt * doubt)
    }

    /// How much faster than nominal the clock runs, in millionths.
    pub fn drift_ppm(&self) -> f64 {
        -1e6 * self.excess() / (self.period_nanos + self.excess())
    }

    /// How many samples later than the line says a stamp is.
    pub fn astray(&self, place: u64, nanos: i64) -> f64 {
        let Some((start, later)) = self.nanos_at(place) else {
            return 0.0;
        };
        ((nanos - start) as f64 - later) / self.period_nanos
    }

    /// When the sample at a place was taken: ns after the first stamp, which is returned too.
    pub fn nanos_at(&self, place: u64) -> Option<(i64, f64)> {
        let (first, start) = self.base?;
        let at = place as f64 - first as f64;
        let delay = self.mean_delay + (at - self.mean_place) * self.excess();
        Some((start, at * self.period_nanos + delay))
    }

    /// The place whose sample was taken nearest to a moment; negative before the first.
    pub fn place_at(&self, (start, nanos): (i64, f64)) -> Option<i64> {
        let (first, own_start) = self.base?;
        let nanos = nanos + (start - own_start) as f64;
        let period = self.period_nanos + self.excess();
        let at = (nanos - self.mean_delay + self.mean_place * self.excess()) / period;
        Some(first as i64 + at.round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stamp's error of up to half a millisecond, the same in every run.
    fn jitter(packet: u64) -> i64 {
        (packet.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as i64 % 1_000_000 - 500_000
    }

    #[test]
    fn a_drift_and_the_times_are_found_under_jitter() {
        let true_period = 4e6 * (1.0 - 50e-6);
        let mut fit = ClockFit::new(4e6, 15_000.0);
        for packet in 0..36_000u64 {
            let place = packet * 25;
            let nanos = 7_000_000_000 + (place as f64 * true_period) as i64;
            fit.observe(place, nanos + jitter(packet), 25);
            let (start, later) = fit.nanos_at(place).unwrap();
            let error = start as f64 + later - nanos as f64;
            assert!(error.abs() < 2e6, "{packet}: {error}");
            assert_eq!(fit.place_at((start, later)), Some(place as i64));
        }
        assert!((fit.drift_ppm() - 50.0).abs() < 3.0, "{}", fit.drift_ppm());
    }

    #[test]
    fn exact_stamps_have_no_drift() {
        let mut fit = ClockFit::new(1e9 / 3_000.0, 180_000.0);
        for packet in 0..1_000u64 {
            fit.observe(packet * 30, (packet * 10_000_000) as i64, 30);
        }
        assert!(fit.drift_ppm().abs() < 1e-3, "{}", fit.drift_ppm());
    }
}
