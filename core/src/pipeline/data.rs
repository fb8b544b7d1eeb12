//! What moves between branches.

use super::chain::Held;
use super::queue::{Output, Policy, QueueOutput, SendError};
use super::slab::BufferSlab;
use super::stage::Trigger;
use super::{Packet, SharedPacket};
use std::time::Instant;

/// One thing in a queue.
#[derive(Debug)]
pub enum PipelineData {
    /// A packet with one owner.
    Packet(Packet<BufferSlab>),
    /// A packet that others may read too.
    Shared(SharedPacket<BufferSlab>),
    /// A crossing of a threshold.
    Trigger(Trigger),
    /// A source or a stage before this one has failed; nothing follows from it.
    Error(String),
    /// Nothing follows at all.
    Shutdown,
}

impl From<Held> for PipelineData {
    fn from(held: Held) -> Self {
        match held {
            Held::Owned(packet) => Self::Packet(packet),
            Held::Shared(packet) => Self::Shared(packet),
        }
    }
}

impl PipelineData {
    /// The same for one more receiver; packets are shared, not copied.
    fn split(self) -> (Self, Self) {
        match self {
            Self::Packet(packet) => Self::Shared(packet.freeze()).split(),
            Self::Shared(packet) => (Self::Shared(packet.clone()), Self::Shared(packet)),
            Self::Trigger(trigger) => (Self::Trigger(trigger), Self::Trigger(trigger)),
            Self::Error(text) => (Self::Error(text.clone()), Self::Error(text)),
            Self::Shutdown => (Self::Shutdown, Self::Shutdown),
        }
    }
}

/// All edges that leave a branch.
#[derive(Debug, Default)]
pub struct FanOut(Vec<QueueOutput<PipelineData>>);

impl FanOut {
    /// Sends everything to all of them.
    pub fn new(outputs: Vec<QueueOutput<PipelineData>>) -> Self {
        Self(outputs)
    }

    /// Whether nobody receives.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Output<PipelineData> for FanOut {
    /// An edge that waits waits until the deadline; then the packet is refused there, and counted.
    /// An edge that fails when full fails the whole; one whose receiver is gone takes nothing more.
    fn send(
        &mut self,
        data: PipelineData,
        deadline: Instant,
    ) -> Result<(), SendError<PipelineData>> {
        let Some((last, others)) = self.0.split_last_mut() else {
            return Ok(());
        };
        let (mut data, mut received) = (data, false);
        for output in others {
            let (one, rest) = data.split();
            data = rest;
            match output.send(one, deadline) {
                Err(error @ SendError::Full(_)) if output.policy() == Policy::Fail => {
                    return Err(error);
                }
                Err(SendError::Closed(_)) => {}
                Ok(()) | Err(SendError::Full(_)) => received = true,
            }
        }
        match last.send(data, deadline) {
            Err(error @ SendError::Full(_)) if last.policy() == Policy::Fail => Err(error),
            Err(error @ SendError::Closed(_)) if !received => Err(error),
            _ => Ok(()),
        }
    }
}
