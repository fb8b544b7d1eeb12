//! Nodes and edges, and the branches they become: what follows each other without a fork is one
//! chain on one thread.

use super::chain::{Chain, Link};
use super::data::{FanOut, PipelineData};
use super::meter::Meter;
use super::packet::Packet;
use super::queue::{Policy, QueueGauge, QueueInput, QueueOutput, StageQueue};
use super::ring_in::RingIn;
use super::ring_out::RingOut;
use super::slab::{BufferSlab, Shape};
use super::stage::Format;
use super::{MemoryPool, Pool};
use crate::error::RingError;
use std::sync::Arc;

/// Packets of a branch beyond those that its queues may hold.
const SPARE_PACKETS: usize = 4;

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
}

/// A graph that is being put together.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<(String, Option<Node>)>,
    edges: Vec<Edge>,
}

/// Where a branch's packets come from.
#[derive(Debug)]
pub enum Source {
    /// From another branch, or from a feed.
    Queue(QueueInput<PipelineData>),
    /// From a ring.
    Ring(Box<RingIn>),
}

/// What runs on one thread.
#[derive(Debug)]
pub struct Branch {
    /// The name of its first node.
    pub name: String,
    /// Where its packets come from.
    pub source: Source,
    /// Its stages.
    pub chain: Chain,
    /// Where its packets go.
    pub outputs: FanOut,
    /// Packets for what it reads and makes.
    pub pool: MemoryPool,
}

/// The handing-in end of a feed.
#[derive(Debug)]
pub struct Feed {
    /// The form of its packets.
    pub format: Format,
    /// Where packets come from.
    pub pool: MemoryPool,
    /// Where they go; `None` once closed.
    pub output: Option<FanOut>,
}

impl Feed {
    /// An empty packet.
    pub fn packet(&self, deadline: std::time::Instant) -> Option<Packet<BufferSlab>> {
        self.pool.acquire(deadline)
    }
}

/// A graph as it runs.
#[derive(Debug, Default)]
pub struct Plan {
    /// What runs on a thread each.
    pub branches: Vec<Branch>,
    /// Where packets are handed in.
    pub feeds: Vec<(String, Feed)>,
    /// Where packets are handed out.
    pub taps: Vec<(String, QueueInput<PipelineData>)>,
    /// The queues, by the node they lead to.
    pub gauges: Vec<(String, QueueGauge)>,
    /// The pools, by branch or feed.
    pub pools: Vec<(String, MemoryPool)>,
    /// What the stages and the rings have done.
    pub meters: Vec<(String, Arc<Meter>)>,
}

type Ends = (Vec<QueueOutput<PipelineData>>, Option<QueueInput<PipelineData>>);

fn refuse<T>(text: String) -> Result<T, RingError> {
    Err(RingError::Invalid(text))
}

impl Graph {
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

    fn index(&self, name: &str) -> Result<usize, RingError> {
        let found = self.nodes.iter().position(|(other, _)| other == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.nodes.iter().map(|(name, _)| name.as_str()).collect();
            RingError::Invalid(format!(
                "there is no node {name:?}; there are: {}",
                names.join(", ")
            ))
        })
    }

    fn is(&self, index: usize, what: impl Fn(&Node) -> bool) -> bool {
        self.nodes[index].1.as_ref().is_some_and(what)
    }

    fn after(&self, name: &str) -> Vec<&Edge> {
        self.edges.iter().filter(|edge| edge.from == name).collect()
    }

    fn before(&self, name: &str) -> Vec<&Edge> {
        self.edges.iter().filter(|edge| edge.to == name).collect()
    }

    /// Nodes from the sources on; refuses cycles and loose ends.
    fn order(&self) -> Result<Vec<usize>, RingError> {
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

    /// Whether what follows an edge runs on the same thread.
    fn flows_on(&self, edge: &Edge) -> bool {
        let to = self.index(&edge.to).unwrap_or_default();
        let alone = self.after(&edge.from).into_iter().filter(|e| !self.is_inline(e)).count() == 1;
        !edge.own_thread
            && alone
            && self.before(&edge.to).len() == 1
            && self.is(to, |node| matches!(node, Node::Stage(_)))
    }

    /// Whether an edge leads to a ring that is written on the same thread.
    fn is_inline(&self, edge: &Edge) -> bool {
        let to = self.index(&edge.to).unwrap_or_default();
        !edge.own_thread
            && self.before(&edge.to).len() == 1
            && self.is(to, |node| matches!(node, Node::RingSink(_)))
    }

    /// Makes the branches.
    pub fn plan(mut self) -> Result<Plan, RingError> {
        let order = self.order()?;
        let mut ends: Vec<Ends> = self.nodes.iter().map(|_| (Vec::new(), None)).collect();
        let mut plan = Plan::default();
        self.make_queues(&mut ends, &mut plan)?;
        let mut formats: Vec<Option<Format>> = vec![None; self.nodes.len()];
        for index in order {
            self.take(index, &mut ends, &mut formats, &mut plan)?;
        }
        Ok(plan)
    }

    /// A queue before each node that begins a branch.
    fn make_queues(&self, ends: &mut [Ends], plan: &mut Plan) -> Result<(), RingError> {
        for (index, (name, _)) in self.nodes.iter().enumerate() {
            let edges = self.before(name);
            let from_feed = |edge: &Edge| {
                let from = self.index(&edge.from).unwrap_or_default();
                self.is(from, |node| matches!(node, Node::Feed(_)))
            };
            let inside =
                |edge: &Edge| !from_feed(edge) && (self.flows_on(edge) || self.is_inline(edge));
            if edges.is_empty() || edges.iter().any(|edge| inside(edge)) {
                continue;
            }
            let capacity = edges.iter().map(|edge| edge.capacity).sum();
            let policy = edges[0].policy;
            if edges.iter().any(|edge| edge.policy != policy) {
                return refuse(format!("the edges that join at {name:?} need one policy"));
            }
            let (outputs, input) = StageQueue::new(capacity, edges.len(), policy)?;
            plan.gauges.push((name.clone(), input.gauge()));
            ends[index] = (outputs, Some(input));
        }
        Ok(())
    }

    /// Makes the branch that begins at a node, if one does.
    fn take(
        &mut self,
        index: usize,
        ends: &mut [Ends],
        formats: &mut [Option<Format>],
        plan: &mut Plan,
    ) -> Result<(), RingError> {
        let Some(node) = self.nodes[index].1.take() else {
            return Ok(());
        };
        let name = self.nodes[index].0.clone();
        let format = match &node {
            Node::Feed(format) => *format,
            Node::RingSource(ring) => ring.format(),
            _ => formats[index].ok_or_else(|| {
                RingError::Invalid(format!("nothing is known of what comes to {name:?}"))
            })?,
        };
        let input = ends[index].1.take();
        match (node, input) {
            (Node::Feed(format), _) => self.feed(&name, format, ends, formats, plan),
            (Node::Tap, Some(input)) => {
                plan.taps.push((name, input));
                Ok(())
            }
            (Node::RingSource(ring), _) => {
                self.branch(name, Source::Ring(ring), None, format, ends, formats, plan)
            }
            (node, Some(input)) => {
                self.branch(name, Source::Queue(input), Some(node), format, ends, formats, plan)
            }
            (_, None) => refuse(format!("nothing leads to {name:?}")),
        }
    }

    fn feed(
        &mut self,
        name: &str,
        format: Format,
        ends: &mut [Ends],
        formats: &mut [Option<Format>],
        plan: &mut Plan,
    ) -> Result<(), RingError> {
        let (outputs, packets) = self.leave(name, format, ends, formats, false)?;
        let pool = pool_for(format.channels, format.samples, packets)?;
        plan.pools.push((name.into(), pool.clone()));
        plan.feeds.push((name.into(), Feed { format, pool, output: Some(outputs) }));
        Ok(())
    }

    /// The edges that leave a node for other threads, and the packets that may wait there.
    fn leave(
        &self,
        name: &str,
        format: Format,
        ends: &mut [Ends],
        formats: &mut [Option<Format>],
        inline: bool,
    ) -> Result<(FanOut, usize), RingError> {
        let mut outputs = Vec::new();
        for edge in self.after(name) {
            if inline && self.is_inline(edge) {
                continue;
            }
            let to = self.index(&edge.to)?;
            if formats[to].is_some_and(|other| other != format) {
                return refuse(format!("what joins at {:?} has more than one form", edge.to));
            }
            formats[to] = Some(format);
            outputs.extend(ends[to].0.pop());
        }
        Ok((FanOut::new(outputs), SPARE_PACKETS + self.room_after(name)))
    }

    /// Packets that may wait or be worked on anywhere behind a node: stages that work in place give
    /// on the packet that they were given.
    fn room_after(&self, name: &str) -> usize {
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

    #[allow(clippy::too_many_arguments, reason = "one step of the plan, with all its books")]
    fn branch(
        &mut self,
        name: String,
        source: Source,
        first: Option<Node>,
        input: Format,
        ends: &mut [Ends],
        formats: &mut [Option<Format>],
        plan: &mut Plan,
    ) -> Result<(), RingError> {
        let (links, ring, end) = self.collect(&name, first, plan)?;
        let (mut chain, output) = Chain::new(input, links, ring)?;
        plan.meters.extend(chain.meters());
        let (outputs, packets) = self.leave(&end, output, ends, formats, true)?;
        if outputs.is_empty() {
            chain.end_in_ring();
        }
        let pool = pool_for(input.channels, chain.most_samples(), packets)?;
        chain.set_pool(&pool);
        plan.pools.push((name.clone(), pool.clone()));
        plan.branches.push(Branch { name, source, chain, outputs, pool });
        Ok(())
    }

    /// The stages of a branch, the ring at its end, and the name of its last node.
    fn collect(
        &mut self,
        name: &str,
        first: Option<Node>,
        plan: &mut Plan,
    ) -> Result<(Vec<Link>, Option<RingOut>, String), RingError> {
        let (mut links, mut last) = (Vec::new(), name.to_owned());
        match first {
            Some(Node::Stage(link)) => links.push(*link),
            Some(Node::RingSink(ring)) => return Ok((links, Some(*ring), last)),
            _ => links.push(Link::passing(name)),
        }
        loop {
            // First: a ring that was taken is no ring any more, so that two ways seem to lead on.
            let onward = self.after(&last).into_iter().find(|edge| self.flows_on(edge)).cloned();
            self.tap_rings(&last, &mut links, plan)?;
            let Some(edge) = onward else {
                break;
            };
            let index = self.index(&edge.to)?;
            let Some(Node::Stage(link)) = self.nodes[index].1.take() else {
                return refuse(format!("{:?} is no stage", edge.to));
            };
            links.push(*link);
            last = edge.to;
        }
        Ok((links, None, last))
    }

    fn tap_rings(
        &mut self,
        name: &str,
        links: &mut [Link],
        plan: &mut Plan,
    ) -> Result<(), RingError> {
        let inline: Vec<String> = self
            .after(name)
            .into_iter()
            .filter(|edge| self.is_inline(edge))
            .map(|edge| edge.to.clone())
            .collect();
        for to in inline {
            let index = self.index(&to)?;
            if let (Some(Node::RingSink(ring)), Some(link)) =
                (self.nodes[index].1.take(), links.last_mut())
            {
                plan.meters.push((to, link.tap(*ring)));
            }
        }
        Ok(())
    }
}

fn pool_for(channels: usize, samples: usize, packets: usize) -> Result<MemoryPool, RingError> {
    let shape = Shape::new(channels, samples)?;
    Pool::new(packets, || BufferSlab::new(shape))
}
