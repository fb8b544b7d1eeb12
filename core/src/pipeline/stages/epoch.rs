//! The samples around each trigger.

use std::collections::VecDeque;

use super::history::{History, follows};
use crate::error::RingError;
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::{BufferSlab, DataType, Header};
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage, Target, Trigger, refuse};
use crate::sync::Arc;

/// Triggers that may wait for their samples; more are counted as lost.
const MOST_WAITING: usize = 256;

/// Cuts out so many samples before and after each trigger; they may overlap.
///
/// A trigger's own sample is the first of those after. What a gap cuts, or what came too late, is
/// lost and counted.
#[derive(Debug)]
pub struct Epoch {
    before: usize,
    after: usize,
    /// Samples that are kept for triggers that come later than their packets.
    late: usize,
    channel: Option<u32>,
    history: History,
    /// The newest packet, and the place of its first sample.
    newest: Option<(Header, i64)>,
    waiting: VecDeque<i64>,
    made: u64,
    lost: Arc<Gauge>,
}

impl Epoch {
    /// Samples before and after; only triggers of a channel, or all.
    pub fn new(
        before: usize,
        after: usize,
        late: usize,
        channel: Option<u32>,
    ) -> Result<Self, RingError> {
        if before + after == 0 {
            return Err(RingError::Invalid("an epoch needs a sample before or after".into()));
        }
        Ok(Self {
            before,
            after,
            late,
            channel,
            history: History::default(),
            newest: None,
            waiting: VecDeque::with_capacity(MOST_WAITING),
            made: 0,
            lost: Gauge::new("lost"),
        })
    }

    fn rows(&self) -> usize {
        self.before + self.after
    }

    /// Where the epoch around a moment begins, whether or not there are samples.
    fn start(&self, time_nanos: i64, (header, place): (Header, i64)) -> Option<i64> {
        let later = time_nanos.checked_sub(header.sample_timestamp(0))?;
        let place = place.checked_add(header.rate.sample_at(later))?;
        self.nearest(time_nanos, place, header).checked_sub(self.before as i64)
    }

    /// The place of a moment by the stamp of the packet that holds it, found from one that another
    /// packet's stamp says: stamps have jitter.
    fn nearest(&self, time_nanos: i64, place: i64, newest: Header) -> i64 {
        let known = u64::try_from(place).ok().and_then(|place| self.history.time(place));
        let Some((origin_nanos, first_sample)) = known else {
            return place;
        };
        let own = Header { origin_nanos, first_sample, ..newest };
        place + own.rate.sample_at(time_nanos.saturating_sub(own.sample_timestamp(0)))
    }

    /// Where the next epoch begins whose samples are all there. Triggers without samples are lost.
    fn next_start(&mut self) -> Option<u64> {
        let newest = self.newest?;
        while let Some(time_nanos) = self.waiting.front() {
            let start = self.start(*time_nanos, newest);
            match start.and_then(|start| u64::try_from(start).ok()) {
                Some(start) if start >= self.history.begin() => {
                    return (start + self.rows() as u64 <= self.history.end()).then_some(start);
                }
                _ => self.lose_front(),
            }
        }
        None
    }

    fn lose_front(&mut self) {
        self.waiting.pop_front();
        self.lost.add(1.0);
    }

    /// After a gap, triggers from before it will not see their samples.
    fn take(&mut self, packet: &BufferSlab) {
        let header = *packet.header();
        if !self.newest.is_some_and(|(newest, _)| follows(&newest, &header)) {
            let begin = header.sample_timestamp(0);
            while self.waiting.front().is_some_and(|time| *time < begin) {
                self.lose_front();
            }
            self.history.clear();
        }
        self.newest = Some((header, self.history.end() as i64));
        self.history.push(packet);
    }

    fn give(&mut self, target: &mut Target<'_>) -> Result<Flow, RingError> {
        let (Some(start), Some((newest, _))) = (self.next_start(), self.newest) else {
            return Ok(Flow::Nothing);
        };
        let Some((origin_nanos, first_sample)) = self.history.time(start) else {
            return Err(RingError::Invalid("an epoch begins with a sample that is kept".into()));
        };
        target.check(self.rows())?;
        let rows = target.rows.chunks_exact_mut(target.stride);
        for (place, to) in (start..start + self.rows() as u64).zip(rows) {
            if let Some(row) = self.history.row(place) {
                let used = row.len().min(to.len());
                to[..used].copy_from_slice(&row[..used]);
            }
        }
        let (samples, frame_id) = (self.rows(), self.made);
        target.header = Header { samples, origin_nanos, first_sample, frame_id, ..newest };
        self.waiting.pop_front();
        self.made += 1;
        Ok(Flow::Next)
    }
}

impl Stage for Epoch {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        if !matches!(input.kind, DataType::Voltage | DataType::Filtered) {
            return Err(refuse("epochs are cut out of volts", input));
        }
        let room = self.rows() + input.samples + self.late;
        self.history = History::new(room, input.channels);
        (self.newest, self.made) = (None, 0);
        Ok(Format { samples: self.rows(), ..input })
    }

    fn place(&self) -> Place {
        Place::Other
    }

    fn fixed_rows(&self) -> Option<usize> {
        Some(self.rows())
    }

    fn make(
        &mut self,
        packet: &BufferSlab,
        target: &mut Target<'_>,
        _: &mut Context,
    ) -> Result<Flow, RingError> {
        self.take(packet);
        self.give(target)
    }

    fn has_more(&mut self) -> bool {
        self.next_start().is_some()
    }

    fn more(&mut self, target: &mut Target<'_>, _: &mut Context) -> Result<Flow, RingError> {
        self.give(target)
    }

    fn trigger(&mut self, trigger: &Trigger) {
        if self.channel.is_some_and(|channel| channel != trigger.channel) {
            return;
        }
        if self.waiting.len() == MOST_WAITING {
            self.lost.add(1.0);
            return;
        }
        let later = self.waiting.partition_point(|time| *time <= trigger.time_nanos);
        self.waiting.insert(later, trigger.time_nanos);
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        vec![Arc::clone(&self.lost)]
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.newest = None;
    }
}
