//! Samples that wait for the rest of a window, and those that a gap kept from it.

use super::history::follows;
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::Header;
use crate::sync::Arc;

/// Watches for gaps, and counts what comes of them: samples in = samples used + cut + waiting.
#[derive(Debug)]
pub struct Gathering {
    last: Option<Header>,
    rows: usize,
    cut: Arc<Gauge>,
    waiting: Arc<Gauge>,
}

impl Default for Gathering {
    fn default() -> Self {
        let (cut, waiting) = (Gauge::new("cut_samples"), Gauge::new("waiting_samples"));
        Self { last: None, rows: 0, cut, waiting }
    }
}

impl Gathering {
    /// Whether a packet goes on where the last one ended.
    pub fn goes_on(&mut self, packet: &Header) -> bool {
        self.last.replace(*packet).is_none_or(|last| follows(&last, packet))
    }

    /// So many of those that wait are used in nothing any more.
    pub fn cut(&mut self, rows: usize) {
        self.cut.add(rows as f64);
        self.wait(self.rows - rows);
    }

    /// Samples that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// So many wait now.
    pub fn wait(&mut self, rows: usize) {
        self.rows = rows;
        self.waiting.set(rows as f64);
    }

    /// Forgets the last packet; what waits is cut off.
    pub fn reset(&mut self) {
        self.last = None;
        self.cut(self.rows);
    }

    /// Its figures.
    pub fn gauges(&self) -> Vec<Arc<Gauge>> {
        vec![Arc::clone(&self.cut), Arc::clone(&self.waiting)]
    }
}
