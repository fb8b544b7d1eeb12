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
    /// A packet for the second input of whatever receives it.
    Second(Held),
    /// A crossing of a threshold, or a marker.
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

/// What edges tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Packet,
    Trigger,
    End,
}

impl PipelineData {
    fn form(&self) -> Form {
        match self {
            Self::Packet(_) | Self::Shared(_) | Self::Second(_) => Form::Packet,
            Self::Trigger(_) => Form::Trigger,
            Self::Error(_) | Self::Shutdown => Form::End,
        }
    }

    /// The same for one more receiver; packets are shared, not copied.
    fn split(self) -> (Self, Self) {
        match self {
            Self::Packet(packet) => Self::Shared(packet.freeze()).split(),
            Self::Shared(packet) => (Self::Shared(packet.clone()), Self::Shared(packet)),
            Self::Second(held) => {
                let packet = held.share();
                (Self::Second(Held::Shared(packet.clone())), Self::Second(Held::Shared(packet)))
            }
            Self::Trigger(trigger) => (Self::Trigger(trigger), Self::Trigger(trigger)),
            Self::Error(text) => (Self::Error(text.clone()), Self::Error(text)),
            Self::Shutdown => (Self::Shutdown, Self::Shutdown),
        }
    }
}

/// What an edge carries of what its beginning gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carries {
    /// Packets and triggers.
    #[default]
    All,
    /// Only packets.
    Packets,
    /// Only triggers.
    Triggers,
    /// Packets, for the second input of its end.
    Second,
}

impl Carries {
    /// The one of a name such as `triggers`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            (Self::All, "all"),
            (Self::Packets, "packets"),
            (Self::Triggers, "triggers"),
            (Self::Second, "second"),
        ];
        all.into_iter().find(|row| row.1 == name).map(|row| row.0)
    }

    fn takes(self, form: Form) -> bool {
        match form {
            Form::Packet => self != Self::Triggers,
            Form::Trigger => matches!(self, Self::All | Self::Triggers),
            Form::End => true,
        }
    }

    /// What arrives at the end of such an edge.
    fn addressed(self, data: PipelineData) -> PipelineData {
        match data {
            PipelineData::Packet(packet) if self == Self::Second => {
                PipelineData::Second(Held::Owned(packet))
            }
            PipelineData::Shared(packet) if self == Self::Second => {
                PipelineData::Second(Held::Shared(packet))
            }
            other => other,
        }
    }
}

/// An edge that leaves a branch.
#[derive(Debug)]
pub struct Way {
    /// What it carries.
    pub carries: Carries,
    /// Where it leads.
    pub output: QueueOutput<PipelineData>,
}

/// All edges that leave a branch.
#[derive(Debug, Default)]
pub struct FanOut(Vec<Way>);

impl FanOut {
    /// Sends everything to all of them that carry it.
    pub fn new(ways: Vec<Way>) -> Self {
        Self(ways)
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
        let form = data.form();
        let mut ways = self.0.iter_mut().filter(|way| way.carries.takes(form));
        let (mut next, mut left, mut received) = (ways.next(), Some(data), false);
        while let Some((way, data)) = next.zip(left.take()) {
            next = ways.next();
            let data = if next.is_some() {
                let (one, rest) = data.split();
                left = Some(rest);
                one
            } else {
                data
            };
            match way.output.send(way.carries.addressed(data), deadline) {
                Err(error @ SendError::Full(_)) if way.output.policy() == Policy::Fail => {
                    return Err(error);
                }
                Err(error @ SendError::Closed(_)) if next.is_none() && !received => {
                    return Err(error);
                }
                Err(SendError::Closed(_)) => {}
                Ok(()) | Err(SendError::Full(_)) => received = true,
            }
        }
        Ok(())
    }
}
