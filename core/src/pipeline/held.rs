//! A packet as it goes through a chain.

use super::slab::BufferSlab;
use super::{Packet, SharedPacket};

/// A packet on its way.
#[derive(Debug)]
pub enum Held {
    /// It may be written.
    Owned(Packet<BufferSlab>),
    /// Others may be reading it.
    Shared(SharedPacket<BufferSlab>),
}

impl Held {
    /// What is in it.
    pub fn slab(&self) -> &BufferSlab {
        match self {
            Self::Owned(packet) => packet,
            Self::Shared(packet) => packet,
        }
    }

    /// A share of it, for several readers.
    pub fn share(self) -> SharedPacket<BufferSlab> {
        match self {
            Self::Owned(packet) => packet.freeze(),
            Self::Shared(packet) => packet,
        }
    }

    /// Writable, if nobody else reads it any more.
    pub(super) fn thawed(self) -> Self {
        match self {
            Self::Shared(packet) => packet.thaw().map_or_else(Self::Shared, Self::Owned),
            owned @ Self::Owned(_) => owned,
        }
    }
}
