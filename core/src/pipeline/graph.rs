//! Nodes and edges, as they are put together.

use std::sync::Arc;

use super::data::Carries;
use super::link::Link;
use super::meter::Meter;
use super::plan::{Plan, Planner};
use super::queue::Policy;
use super::ring_in::RingIn;
use super::ring_out::RingOut;
use super::slab::{BufferSlab, Shape};
use super::stage::Format;
use super::{MemoryPool, Pool};
use crate::error::RingError;

/// What stands at a place of the graph.
#[derive(Debug)]
pub enum Node {
    /// Packets that are handed in.
    Feed(Format),
    /// Records of a ring.
    RingSource(Box<RingIn>),
    /// A stage.
    Stage(Box<Link>),
    /// Records in a ring.
    RingSink(Box<RingOut>),
    /// Packets that are handed out.
    Tap,
}

impl Node {
    fn is_source(&self) -> bool {
        matches!(self, Self::Feed(_) | Self::RingSource(_))
    }

    fn is_sink(&self) -> bool {
        matches!(self, Self::RingSink(_) | Self::Tap)
    }
}

/// A way from a node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where it comes from.
    pub from: String,
    /// Where it goes to.
    pub to: String,
    /// Packets that may wait, where it is a queue.
    pub capacity: usize,
    /// What happens when they are that many.
    pub policy: Policy,
    /// What follows runs on a thread of its own.
    pub own_thread: bool,
    /// What it carries.
    pub carries: Carries,
}

/// A graph that is being put together.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) nodes: Vec<(String, Option<Node>)>,
    pub(super) edges: Vec<Edge>,
    pub(super) pools: Vec<(String, Shape, MemoryPool)>,
}

pub(super) fn refuse<T>(text: String) -> Result<T, RingError> {
    Err(RingError::Invalid(text))
}

/// Makes a pool.
pub(super) fn pool_of(shape: Shape, packets: usize) -> Result<MemoryPool, RingError> {
    Pool::new(packets, || BufferSlab::new(shape))
}

fn not_there<'a>(what: &str, name: &str, there: impl Iterator<Item = &'a String>) -> RingError {
    let there: Vec<&str> = there.map(String::as_str).collect();
    RingError::Invalid(format!("there is no {what} {name:?}; there are: {}", there.join(", ")))
}

impl Graph {
    /// Adds a pool; its name must be new.
    pub fn add_pool(&mut self, name: &str, shape: Shape, packets: usize) -> Result<(), RingError> {
        if self.pools.iter().any(|(other, ..)| other == name) {
            return refuse(format!("two pools are called {name:?}"));
        }
        self.pools.push((name.into(), shape, pool_of(shape, packets)?));
        Ok(())
    }

    /// The shape and the pool of a name.
    pub fn pool(&self, name: &str) -> Result<(Shape, MemoryPool), RingError> {
        let found = self.pools.iter().find(|(other, ..)| other == name);
        let found = found.map(|(_, shape, pool)| (*shape, pool.clone()));
        found.ok_or_else(|| not_there("pool", name, self.pools.iter().map(|(name, ..)| name)))
    }

    /// Adds a node; its name must be new.
    pub fn add(&mut self, name: &str, node: Node) -> Result<(), RingError> {
        if self.nodes.iter().any(|(other, _)| other == name) {
            return refuse(format!("two nodes are called {name:?}"));
        }
        self.nodes.push((name.into(), Some(node)));
        Ok(())
    }

    /// Adds an edge between nodes that are there.
    pub fn connect(&mut self, edge: Edge) -> Result<(), RingError> {
        let (from, to) = (self.index(&edge.from)?, self.index(&edge.to)?);
        if self.is(from, Node::is_sink) {
            return refuse(format!("{:?} ends the pipeline; nothing can follow it", edge.from));
        }
        if self.is(to, Node::is_source) {
            return refuse(format!("{:?} begins a pipeline; nothing can lead to it", edge.to));
        }
        if self.edges.iter().any(|other| (&other.from, &other.to) == (&edge.from, &edge.to)) {
            return refuse(format!("{:?} leads to {:?} already", edge.from, edge.to));
        }
        if edge.capacity == 0 {
            return refuse(format!("the edge to {:?} needs room for a packet; found 0", edge.to));
        }
        self.edges.push(edge);
        Ok(())
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, RingError> {
        let found = self.nodes.iter().position(|(other, _)| other == name);
        found.ok_or_else(|| not_there("node", name, self.nodes.iter().map(|(name, _)| name)))
    }

    pub(super) fn is(&self, index: usize, what: impl Fn(&Node) -> bool) -> bool {
        self.nodes[index].1.as_ref().is_some_and(what)
    }

    pub(super) fn after(&self, name: &str) -> Vec<&Edge> {
        self.edges.iter().filter(|edge| edge.from == name).collect()
    }

    pub(super) fn before(&self, name: &str) -> Vec<&Edge> {
        self.edges.iter().filter(|edge| edge.to == name).collect()
    }

    /// Nodes from the sources on; refuses cycles and loose ends.
    pub(super) fn order(&self) -> Result<Vec<usize>, RingError> {
        let mut waiting: Vec<usize> =
            self.nodes.iter().map(|(name, _)| self.before(name).len()).collect();
        let mut order: Vec<usize> =
            (0..self.nodes.len()).filter(|index| self.is(*index, Node::is_source)).collect();
        let mut done = 0;
        while let Some(index) = order.get(done).copied() {
            done += 1;
            for edge in self.after(&self.nodes[index].0) {
                let to = self.index(&edge.to)?;
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    order.push(to);
                }
            }
        }
        match (0..self.nodes.len()).find(|index| !order.contains(index)) {
            Some(index) => refuse(format!(
                "no source leads to {:?}, or it leads back to itself",
                self.nodes[index].0
            )),
            None => Ok(order),
        }
    }

    /// Whether what an edge leads to may be on the same thread.
    fn may_flow_on(&self, edge: &Edge, what: impl Fn(&Node) -> bool) -> bool {
        let to = self.index(&edge.to).unwrap_or_default();
        let plain = !edge.own_thread && edge.carries == Carries::All;
        plain && self.before(&edge.to).len() == 1 && self.is(to, what)
    }

    /// Whether what follows an edge runs on the same thread.
    pub(super) fn flows_on(&self, edge: &Edge) -> bool {
        let alone = self.after(&edge.from).into_iter().filter(|e| !self.is_inline(e)).count() == 1;
        alone && self.may_flow_on(edge, |node| matches!(node, Node::Stage(_)))
    }

    /// Whether an edge leads to a ring that is written on the same thread.
    pub(super) fn is_inline(&self, edge: &Edge) -> bool {
        self.may_flow_on(edge, |node| matches!(node, Node::RingSink(_)))
    }

    /// Packets that may wait or be worked on anywhere behind a node: stages that work in place give
    /// on the packet that they were given.
    pub(super) fn room_after(&self, name: &str) -> usize {
        let (mut room, mut seen, mut next) = (0, vec![name], 0);
        while let Some(from) = seen.get(next).copied() {
            next += 1;
            for edge in self.after(from) {
                room += edge.capacity + 1;
                if !seen.contains(&edge.to.as_str()) {
                    seen.push(&edge.to);
                }
            }
        }
        room
    }

    /// Taps a link to the rings that are written on its thread; returns their names and counts.
    pub(super) fn tap_rings(
        &mut self,
        name: &str,
        link: &mut Link,
    ) -> Result<Vec<(String, Arc<Meter>)>, RingError> {
        let inline = self.after(name).into_iter().filter(|edge| self.is_inline(edge));
        let inline: Vec<String> = inline.map(|edge| edge.to.clone()).collect();
        let mut meters = Vec::new();
        for to in inline {
            let index = self.index(&to)?;
            if let Some(Node::RingSink(ring)) = self.nodes[index].1.take() {
                meters.push((to, link.tap(*ring)));
            }
        }
        Ok(meters)
    }

    /// Makes the branches.
    pub fn plan(self) -> Result<Plan, RingError> {
        Planner::new(self)?.run()
    }
}
