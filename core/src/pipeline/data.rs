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

/// What has not yet gone to all edges that carry it.
#[derive(Debug)]
pub struct Owed {
    data: PipelineData,
    /// The first edge that may lack it; those before it have it.
    way: usize,
    received: bool,
}

impl Owed {
    /// What no edge has yet.
    pub fn new(data: PipelineData) -> Self {
        Self { data, way: 0, received: false }
    }

    /// Rows of its packet; none of anything else.
    pub fn rows(&self) -> usize {
        match &self.data {
            PipelineData::Packet(packet) => packet.header().samples,
            PipelineData::Shared(packet) => packet.header().samples,
            PipelineData::Second(held) => held.slab().header().samples,
            PipelineData::Trigger(_) | PipelineData::Error(_) | PipelineData::Shutdown => 0,
        }
    }
}

/// Why something did not go to all edges that carry it.
#[derive(Debug)]
pub enum Unsent {
    /// An edge that waits stayed full; it and those after it are owed.
    Owed(Owed),
    /// An edge is full that fails then; those after it did not get it.
    Failed(PipelineData),
    /// Nobody receives any more.
    Closed(PipelineData),
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

    /// The next edge from a place on that carries a form.
    fn next(&self, from: usize, form: Form) -> Option<usize> {
        (from..self.0.len()).find(|way| self.0[*way].carries.takes(form))
    }

    /// Sends to the edges that lack it, in their order. What an edge that waits has no room for until
    /// the deadline comes back, to be sent again from there on: no edge gets it twice.
    pub fn hand_on(&mut self, owed: Owed, deadline: Instant) -> Result<(), Unsent> {
        let Owed { data, way, mut received } = owed;
        let form = data.form();
        let (mut at, mut left) = (self.next(way, form), Some(data));
        while let Some((way, data)) = at.zip(left.take()) {
            at = self.next(way + 1, form);
            let data = if at.is_some() {
                let (one, rest) = data.split();
                left = Some(rest);
                one
            } else {
                data
            };
            let Way { carries, output } = &mut self.0[way];
            match output.offer(carries.addressed(data), deadline) {
                Ok(()) => received = true,
                Err(SendError::Closed(data)) if at.is_none() && !received => {
                    return Err(Unsent::Closed(data));
                }
                Err(SendError::Closed(_)) => {}
                Err(SendError::Full(data)) if output.policy() == Policy::Fail => {
                    output.refuse();
                    return Err(Unsent::Failed(data));
                }
                Err(SendError::Full(data)) => {
                    let data = left.unwrap_or(data);
                    return Err(Unsent::Owed(Owed { data, way, received }));
                }
            }
        }
        Ok(())
    }

    /// Gives up the edge that is owed first, and counts it there; the rest is for those after it.
    pub fn give_up(&mut self, owed: Owed) -> Owed {
        self.0[owed.way].output.refuse();
        Owed { way: owed.way + 1, received: true, ..owed }
    }

    /// Says that nothing follows, and why; full edges tell it when what waits there was received.
    pub fn fail(&mut self, why: &str) {
        for way in &mut self.0 {
            way.output.end_with(PipelineData::Error(why.to_owned()));
        }
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
        let mut owed = Owed::new(data);
        loop {
            match self.hand_on(owed, deadline) {
                Ok(()) => return Ok(()),
                Err(Unsent::Owed(left)) => owed = self.give_up(left),
                Err(Unsent::Failed(data)) => return Err(SendError::Full(data)),
                Err(Unsent::Closed(data)) => return Err(SendError::Closed(data)),
            }
        }
    }
}
