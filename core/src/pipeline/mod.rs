//! What is computed on the way: pooled packets, bounded queues, stages, and the runtime around them.
//!
//! - A packet has one owner, who may write it. It comes from a pool and goes back when it is dropped,
//!   on whichever thread.
//! - For several readers a packet is frozen. The last one to let go returns it.
//! - Every queue is bounded, says what happens when it is full, and counts what it drops.
//! - After a pipeline has started, moving packets allocates nothing.

pub mod bell;
mod lane;
mod last_words;
pub mod packet;
pub mod pool;
pub mod queue;
pub mod rate;

#[cfg(not(loom))]
pub mod branch;
#[cfg(not(loom))]
pub mod chain;
#[cfg(not(loom))]
pub mod change;
#[cfg(not(loom))]
pub mod data;
#[cfg(not(loom))]
pub mod feed;
#[cfg(not(loom))]
pub mod graph;
#[cfg(not(loom))]
pub mod held;
#[cfg(not(loom))]
pub mod kernels;
#[cfg(not(loom))]
pub mod link;
#[cfg(not(loom))]
pub mod meter;
#[cfg(not(loom))]
pub mod place;
#[cfg(not(loom))]
pub mod plan;
#[cfg(not(loom))]
pub mod ring_in;
#[cfg(not(loom))]
pub mod ring_out;
#[cfg(not(loom))]
pub mod runtime;
#[cfg(not(loom))]
pub mod slab;
#[cfg(not(loom))]
pub mod spec;
#[cfg(not(loom))]
pub mod stage;
#[cfg(not(loom))]
pub mod stages;

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(not(loom))]
pub use data::PipelineData;
pub use packet::{Packet, SharedPacket};
pub use pool::{Pool, PoolStatistics};
pub use queue::{Input, Output, Policy, QueueStatistics, Received, SendError, StageQueue};
pub use rate::Rate;
#[cfg(not(loom))]
pub use slab::{BufferSlab, DataType, Header, Shape};

/// A pool of sample buffers.
#[cfg(not(loom))]
pub type MemoryPool = Pool<BufferSlab>;
