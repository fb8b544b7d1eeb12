//! Where packets and markers are handed in.

use std::time::Instant;

use super::data::{FanOut, Owed, PipelineData, Unsent};
use super::meter::Count;
use super::slab::BufferSlab;
use super::stage::Format;
use super::{MemoryPool, Packet};
use crate::sync::Arc;

/// What a branch and a feed say of an edge whose policy is to fail.
pub const EDGE_IS_FULL: &str = "an edge is full, and its policy is to fail";

/// Why a feed takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEnd {
    /// The pipeline ends.
    Closed,
    /// Nobody receives any more.
    Abandoned,
    /// An edge was full that fails then.
    Full,
}

impl FeedEnd {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Closed => "this feed was closed, as the pipeline has ended",
            Self::Abandoned => "what this feed leads to has ended",
            Self::Full => EDGE_IS_FULL,
        }
    }
}

/// The handing-in end of a feed.
///
/// What an edge that waits has no room for is held, one at a time, and goes on before anything else:
/// no edge gets it twice, and none lacks it unless the pipeline ends first.
#[derive(Debug)]
pub struct Feed {
    /// The form of its packets.
    pub format: Format,
    /// Where packets come from.
    pub pool: MemoryPool,
    /// Where they go.
    output: Result<FanOut, FeedEnd>,
    owed: Option<Owed>,
    lost_rows: Arc<Count>,
}

impl Feed {
    /// A feed of some edges.
    pub fn new(format: Format, pool: MemoryPool, output: FanOut) -> Self {
        Self { format, pool, output: Ok(output), owed: None, lost_rows: Arc::default() }
    }

    /// An empty packet.
    pub fn packet(&self, deadline: Instant) -> Option<Packet<BufferSlab>> {
        self.pool.acquire(deadline)
    }

    /// Rows that an edge never took.
    pub fn lost_rows(&self) -> Arc<Count> {
        Arc::clone(&self.lost_rows)
    }

    /// Takes something, after all that is owed; true once all edges have it, false while it is owed.
    pub fn send(&mut self, data: PipelineData, deadline: Instant) -> Result<bool, FeedEnd> {
        debug_assert!(self.owed.is_none(), "the caller has settled first");
        self.hand_on(Owed::new(data), deadline)
    }

    /// Hands on what is owed; true once nothing is.
    pub fn settle(&mut self, deadline: Instant) -> Result<bool, FeedEnd> {
        match self.owed.take() {
            Some(owed) => self.hand_on(owed, deadline),
            None => self.output.as_ref().map(|_| true).map_err(|end| *end),
        }
    }

    fn hand_on(&mut self, owed: Owed, deadline: Instant) -> Result<bool, FeedEnd> {
        let output = self.output.as_mut().map_err(|end| *end)?;
        match output.hand_on(owed, deadline) {
            Ok(()) => Ok(true),
            Err(Unsent::Owed(owed)) => {
                self.owed = Some(owed);
                Ok(false)
            }
            Err(Unsent::Closed(_)) => self.end(FeedEnd::Abandoned),
            Err(Unsent::Failed(_)) => {
                output.fail(EDGE_IS_FULL);
                self.end(FeedEnd::Full)
            }
        }
    }

    fn end(&mut self, end: FeedEnd) -> Result<bool, FeedEnd> {
        self.output = Err(end);
        Err(end)
    }

    /// Hands on what is owed until the deadline, and takes nothing more. What is owed then is counted
    /// as refused by the edges that lack it.
    pub fn close(&mut self, deadline: Instant) {
        let _ = self.settle(deadline);
        while let (Ok(output), Some(owed)) = (&mut self.output, self.owed.take()) {
            self.lost_rows.add(owed.rows() as u64);
            let rest = output.give_up(owed);
            let _ = self.hand_on(rest, deadline);
        }
        if self.output.is_ok() {
            self.output = Err(FeedEnd::Closed);
        }
    }
}
