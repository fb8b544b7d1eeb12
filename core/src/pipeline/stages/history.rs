//! The last rows of a source, found again by their place in it.

use crate::pipeline::slab::{BufferSlab, Header, LANE_STEP};

/// Keeps rows until newer ones take their place.
#[derive(Debug, Default)]
pub struct History {
    rows: Vec<f32>,
    /// Origin of the stretch and place in it, for each row; `None` where a row is missing.
    times: Vec<Option<(i64, u64)>>,
    lanes: usize,
    begin: u64,
    end: u64,
}

impl History {
    /// Room for so many rows.
    pub fn new(room: usize, channels: usize) -> Self {
        let lanes = channels.next_multiple_of(LANE_STEP);
        let (rows, times) = (vec![0.0; room * lanes], vec![None; room]);
        Self { rows, times, lanes, begin: 0, end: 0 }
    }

    /// Place of the oldest row kept.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// Place of the next row to come.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Forgets all rows; the next one has the next place.
    pub fn clear(&mut self) {
        self.begin = self.end;
    }

    /// Takes a packet's rows; those that are too old go.
    pub fn push(&mut self, packet: &BufferSlab) {
        let header = packet.header();
        let used = header.channels.next_multiple_of(LANE_STEP);
        for (index, row) in packet.samples().chunks_exact(packet.lanes()).enumerate() {
            let slot = self.slot(self.end);
            self.rows[slot * self.lanes..][..used].copy_from_slice(&row[..used]);
            self.times[slot] = Some((header.origin_nanos, header.first_sample + index as u64));
            self.end += 1;
        }
        self.forget_old();
    }

    /// Leaves places empty.
    pub fn skip(&mut self, places: u64) {
        for place in self.end..self.end + places.min(self.times.len() as u64) {
            let slot = self.slot(place + places.saturating_sub(self.times.len() as u64));
            self.times[slot] = None;
        }
        self.end += places;
        self.forget_old();
    }

    fn forget_old(&mut self) {
        self.begin = self.begin.max(self.end.saturating_sub(self.times.len() as u64));
    }

    fn slot(&self, place: u64) -> usize {
        (place % self.times.len() as u64) as usize
    }

    /// A row that is kept.
    pub fn row(&self, place: u64) -> Option<&[f32]> {
        self.time(place)?;
        Some(&self.rows[self.slot(place) * self.lanes..][..self.lanes])
    }

    /// Its stretch's origin and its place there.
    pub fn time(&self, place: u64) -> Option<(i64, u64)> {
        let kept = (self.begin..self.end).contains(&place);
        kept.then(|| self.times[self.slot(place)]).flatten()
    }
}

/// Nanoseconds between a packet's end and the next one's beginning, as stamped.
pub fn gap_nanos(before: &Header, packet: &Header) -> i64 {
    packet.sample_timestamp(0).saturating_sub(before.sample_timestamp(before.samples))
}

/// Whether a packet goes on where another one ended: by its place in the stretch, whose origin moves
/// with the jitter of the stamps, or by its time, to less than a sample.
pub fn follows(before: &Header, packet: &Header) -> bool {
    packet.first_sample == before.first_sample + before.samples as u64
        || gap_nanos(before, packet).saturating_abs() < packet.rate.nanos(1)
}
