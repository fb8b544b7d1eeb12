//! Two sources with clocks of their own, side by side.

use super::clock_fit::ClockFit;
use super::history::{History, follows, gap_nanos};
use crate::error::RingError;
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::{BufferSlab, DataType, Header};
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage, Target, refuse};
use crate::sync::Arc;

/// What tells when a sample was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// The packets' own times.
    Packets,
    /// When the packets came in, for sources whose times only count.
    Arrival,
}

impl Stamps {
    /// The ones of a name such as `arrival`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "packets" => Some(Self::Packets),
            "arrival" => Some(Self::Arrival),
            _ => None,
        }
    }
}

/// One source.
#[derive(Debug)]
struct Side {
    history: History,
    clock: ClockFit,
    newest: Option<Header>,
    channels: usize,
    /// Rows below this place have found their partner, or were given up.
    done: u64,
    /// Rows that lacked a partner, for this one had lost it or did not come.
    missing: Arc<Gauge>,
    /// Samples from the line through all stamps to the newest one.
    astray: Arc<Gauge>,
}

impl Side {
    fn new(missing: &'static str, astray: &'static str) -> Self {
        Self {
            history: History::default(),
            clock: ClockFit::new(1.0, 1.0),
            newest: None,
            channels: 0,
            done: 0,
            missing: Gauge::new(missing),
            astray: Gauge::new(astray),
        }
    }

    fn plan(&mut self, input: Format, keep_secs: f64, memory_secs: f64) -> Result<(), RingError> {
        if !matches!(input.kind, DataType::Voltage | DataType::Filtered) {
            return Err(refuse("only volts are put side by side", input));
        }
        let room = (keep_secs * input.rate.hertz()).ceil() as usize + 2 * input.samples;
        let period_nanos = 1e9 / input.rate.hertz();
        self.history = History::new(room, input.channels);
        self.clock = ClockFit::new(period_nanos, memory_secs * input.rate.hertz());
        self.channels = input.channels;
        (self.newest, self.done) = (None, 0);
        Ok(())
    }

    /// Samples that are missing before a packet; `None` where its clock went back.
    ///
    /// Stamps that go astray by less than half a packet have jitter, not gaps.
    fn gap(&self, packet: &Header) -> Option<u64> {
        let Some(newest) = self.newest.filter(|newest| !follows(newest, packet)) else {
            return Some(0);
        };
        let samples = packet.rate.sample_at(gap_nanos(&newest, packet));
        let jitter = if newest.origin_nanos == packet.origin_nanos {
            1
        } else {
            1 + packet.samples as i64 / 2
        };
        if samples.abs() < jitter { Some(0) } else { u64::try_from(samples).ok() }
    }

    fn take(&mut self, packet: &BufferSlab, stamps: Stamps) -> Result<(), RingError> {
        let header = *packet.header();
        match self.gap(&header) {
            Some(gap) => self.history.skip(gap),
            None => {
                self.clock.reset();
                self.history.clear();
            }
        }
        let (begin, samples) = (self.history.end(), header.samples);
        let (place, stamp) = match stamps {
            Stamps::Packets => (begin, header.sample_timestamp(0)),
            Stamps::Arrival if header.entered_nanos == 0 => {
                let text = "these packets do not say when they came in; use their own times";
                return Err(RingError::Invalid(text.into()));
            }
            Stamps::Arrival => (begin + samples as u64, header.entered_nanos),
        };
        self.astray.set(self.clock.astray(place, stamp));
        self.clock.observe(place, stamp, samples);
        self.history.push(packet);
        self.newest = Some(header);
        Ok(())
    }

    /// Rows that had to go before a partner came.
    fn give_up_old(&mut self) -> u64 {
        let lost = self.history.begin().saturating_sub(self.done);
        self.done += lost;
        lost
    }

    fn reset(&mut self) {
        self.clock.reset();
        self.history.clear();
        (self.newest, self.done) = (None, self.history.end());
    }
}

/// Puts the second source's nearest sample beside each sample of the first.
///
/// Both clocks are fitted, so that a drift between them does not add up. Rows without a partner are
/// left out and counted; times are the first source's.
#[derive(Debug)]
pub struct Zip {
    first: Side,
    second: Side,
    stamps: Stamps,
    keep_secs: f64,
    memory_secs: f64,
    samples: usize,
    made: u64,
    drift: Arc<Gauge>,
}

impl Zip {
    /// Each side is kept for so long; stamps that are `memory_secs` old count for a third.
    pub fn new(stamps: Stamps, keep_secs: f64, memory_secs: f64) -> Result<Self, RingError> {
        let sane = |secs: f64| secs > 0.0 && secs <= 3_600.0;
        if !sane(keep_secs) || !sane(memory_secs) {
            return Err(RingError::Invalid(format!(
                "sources are kept and remembered for up to an hour; found {keep_secs} and \
                 {memory_secs} s"
            )));
        }
        let first = Side::new("missing_first", "astray_first");
        let second = Side::new("missing_second", "astray_second");
        let drift = Gauge::new("drift_ppm");
        Ok(Self { first, second, stamps, keep_secs, memory_secs, samples: 0, made: 0, drift })
    }

    /// The next row of the first source and its partner. Rows that will find none are counted.
    fn next_pair(&mut self) -> Option<(u64, u64)> {
        let gone = self.first.give_up_old();
        self.second.missing.add(gone as f64);
        while self.first.done < self.first.history.end() {
            let place = self.first.done;
            if self.first.history.row(place).is_none() {
                self.first.missing.add(1.0);
            } else {
                let partner = self.second.clock.place_at(self.first.clock.nanos_at(place)?)?;
                if partner >= self.second.history.end() as i64 {
                    return None;
                }
                let partner = u64::try_from(partner).ok();
                let there = partner.filter(|at| self.second.history.row(*at).is_some());
                match there {
                    Some(partner) => return Some((place, partner)),
                    None => self.second.missing.add(1.0),
                }
            }
            self.first.done += 1;
        }
        None
    }

    fn write_pair(&self, (first, second): (u64, u64), to: &mut [f32]) {
        let (Some(left), Some(right)) =
            (self.first.history.row(first), self.second.history.row(second))
        else {
            return;
        };
        let (to, rest) = to.split_at_mut(self.first.channels);
        let (next, padding) = rest.split_at_mut(self.second.channels);
        to.copy_from_slice(&left[..self.first.channels]);
        next.copy_from_slice(&right[..self.second.channels]);
        padding.fill(0.0);
    }

    /// Rows that follow each other in one stretch of the first source.
    fn give(&mut self, target: &mut Target<'_>) -> Result<Flow, RingError> {
        let mut begin = None;
        let mut rows = 0;
        while rows < self.samples {
            let Some((place, partner)) = self.next_pair() else {
                break;
            };
            let Some((origin, sample)) = self.first.history.time(place) else {
                break;
            };
            let (first_origin, first_sample) = *begin.get_or_insert((origin, sample));
            if (origin, sample) != (first_origin, first_sample + rows as u64) {
                break;
            }
            target.check(rows + 1)?;
            let at = rows * target.stride;
            self.write_pair((place, partner), &mut target.rows[at..at + target.stride]);
            self.first.done = place + 1;
            self.second.done = self.second.done.max(partner + 1);
            rows += 1;
        }
        self.finish(begin, rows, target)
    }

    fn finish(
        &mut self,
        begin: Option<(i64, u64)>,
        rows: usize,
        target: &mut Target<'_>,
    ) -> Result<Flow, RingError> {
        let (Some((origin_nanos, first_sample)), Some(newest)) = (begin, self.first.newest) else {
            return Ok(Flow::Nothing);
        };
        let channels = self.first.channels + self.second.channels;
        let (samples, frame_id) = (rows, self.made);
        target.header =
            Header { channels, samples, origin_nanos, first_sample, frame_id, ..newest };
        self.made += 1;
        Ok(Flow::Next)
    }
}

impl Stage for Zip {
    fn plan_second(&mut self, input: Format) -> Result<(), RingError> {
        self.second.plan(input, self.keep_secs, self.memory_secs)
    }

    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        if self.second.channels == 0 {
            return Err(refuse("two sources are needed, the second on port 1", input));
        }
        self.first.plan(input, self.keep_secs, self.memory_secs)?;
        (self.samples, self.made) = (input.samples, 0);
        Ok(Format { channels: input.channels + self.second.channels, ..input })
    }

    fn place(&self) -> Place {
        Place::Other
    }

    fn says_rows(&self) -> bool {
        false
    }

    fn make(
        &mut self,
        packet: &BufferSlab,
        target: &mut Target<'_>,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let second = context.is_second();
        let side = if second { &mut self.second } else { &mut self.first };
        side.take(packet, self.stamps)?;
        if second {
            let gone = self.second.give_up_old();
            self.first.missing.add(gone as f64);
        }
        self.drift.set(self.second.clock.drift_ppm() - self.first.clock.drift_ppm());
        self.give(target)
    }

    fn has_more(&mut self) -> bool {
        self.next_pair().is_some()
    }

    fn more(&mut self, target: &mut Target<'_>, _: &mut Context) -> Result<Flow, RingError> {
        self.give(target)
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        let (first, second) = (&self.first, &self.second);
        let all = [&self.drift, &first.missing, &second.missing, &first.astray, &second.astray];
        all.map(Arc::clone).to_vec()
    }

    fn reset(&mut self) {
        self.first.reset();
        self.second.reset();
    }
}
