//! Whole pipelines.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyTuple};

use super::chain::{Told, isa_of, on_error_of, told};
use super::packet::{PyPacket, deadline, kind_of};
use super::values::{stage_of, value_of};
use crate::error::RingError;
use crate::pipeline::chain::{Held, Link};
use crate::pipeline::graph::{Edge, Feed, Graph, Node};
use crate::pipeline::kernels::Isa;
use crate::pipeline::place::Placing;
use crate::pipeline::ring_in::RingIn;
use crate::pipeline::ring_out::RingOut;
use crate::pipeline::runtime::HybridRuntime;
use crate::pipeline::stage::Format;
use crate::pipeline::{
    DataType, Header, Input, Output, PipelineData, Policy, Rate, Received, SendError,
};
use crate::python::columns::bytes_of;
use crate::python::errors::{ClosedError, EndOfStreamError, InvalidError};
use crate::python::schema::PySchema;
use crate::region::clock_nanos;

/// A graph, and what runs it.
#[pyclass(name = "Pipeline", module = "ringdaq_core", frozen)]
pub struct PyPipeline {
    /// `None` once it has started, or could not.
    graph: Mutex<Option<Graph>>,
    runtime: OnceLock<HybridRuntime>,
    isa: Isa,
}

/// Queue figures: capacity, waiting, sent, received, dropped oldest, dropped newest, refused, waits.
type QueueTold = (String, [u64; 8]);
/// Pool figures: size, in use, peak, acquired, misses.
type PoolTold = (String, [u64; 5]);
/// Branch figures: state, packets, beat, lost records, lost rows, times without a packet; p50, p99,
/// longest latency and sum in ns; what it was told.
type BranchTold = (String, &'static str, [u64; 5], [u64; 4], String);
/// Everything: stages and rings, queues, pools, branches.
type Figures = (Vec<Told>, Vec<QueueTold>, Vec<PoolTold>, Vec<BranchTold>);

fn refuse<T>(text: &str) -> PyResult<T> {
    Err(InvalidError::new_err(text.to_owned()))
}

fn rate_of(rate: (u64, u64)) -> PyResult<Rate> {
    Ok(Rate::new(rate.0, rate.1)?)
}

impl PyPipeline {
    fn change<R>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Graph) -> Result<R, RingError>,
    ) -> PyResult<R> {
        let mut graph = self.graph.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        match &mut *graph {
            Some(graph) => Ok(call(graph)?),
            None => refuse("this pipeline has started; its graph cannot change"),
        }
    }

    /// Calls with the runtime, without the interpreter.
    fn running<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&HybridRuntime) -> Result<R, PyErr> + Send,
    ) -> PyResult<R> {
        match self.runtime.get() {
            Some(runtime) => py.detach(|| call(runtime)),
            None => refuse("this pipeline has not started"),
        }
    }
}

#[pymethods]
impl PyPipeline {
    #[new]
    #[pyo3(signature = (isa = None))]
    fn new(isa: Option<&str>) -> PyResult<Self> {
        let graph = Mutex::new(Some(Graph::default()));
        Ok(Self { graph, runtime: OnceLock::new(), isa: isa_of(isa)? })
    }

    #[getter]
    fn isa(&self) -> &'static str {
        self.isa.name()
    }

    fn feed(
        &self,
        py: Python<'_>,
        name: &str,
        kind: &str,
        channels: usize,
        samples: usize,
        rate: (u64, u64),
    ) -> PyResult<()> {
        let (kind, rate) = (kind_of(kind)?, rate_of(rate)?);
        self.change(py, |graph| {
            graph.add(name, Node::Feed(Format { kind, channels, samples, rate }))
        })
    }

    #[pyo3(signature = (name, path, samples, rate, from_oldest = false))]
    fn ring_source(
        &self,
        py: Python<'_>,
        name: &str,
        path: PathBuf,
        samples: usize,
        rate: (u64, u64),
        from_oldest: bool,
    ) -> PyResult<()> {
        let ring = RingIn::open(&path, rate_of(rate)?, samples, from_oldest)?;
        self.change(py, |graph| graph.add(name, Node::RingSource(Box::new(ring))))
    }

    #[pyo3(signature = (name, kind, parameters, on_error = "stop"))]
    fn stage(
        &self,
        py: Python<'_>,
        name: &str,
        kind: &str,
        parameters: &Bound<'_, PyDict>,
        on_error: &str,
    ) -> PyResult<()> {
        let stage = stage_of(kind, parameters, self.isa)?;
        let link = Link::new(name, stage, on_error_of(on_error)?, None);
        self.change(py, |graph| graph.add(name, Node::Stage(Box::new(link))))
    }

    fn ring_sink(
        &self,
        py: Python<'_>,
        name: &str,
        path: PathBuf,
        schema: &PySchema,
        capacity_bytes: u64,
    ) -> PyResult<()> {
        let ring = RingOut::create(&path, &schema.0, capacity_bytes)?;
        self.change(py, |graph| graph.add(name, Node::RingSink(Box::new(ring))))
    }

    fn tap(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.change(py, |graph| graph.add(name, Node::Tap))
    }

    #[pyo3(signature = (source, target, capacity = 8, policy = "block", own_thread = false))]
    fn connect(
        &self,
        py: Python<'_>,
        source: &str,
        target: &str,
        capacity: usize,
        policy: &str,
        own_thread: bool,
    ) -> PyResult<()> {
        let policy = Policy::from_name(policy).ok_or_else(|| {
            let known = "\"block\", \"drop_oldest\", \"drop_newest\" or \"fail\"";
            InvalidError::new_err(format!("a policy is {known}; found {policy:?}"))
        })?;
        let (from, to) = (source.to_owned(), target.to_owned());
        let edge = Edge { from, to, capacity, policy, own_thread };
        self.change(py, |graph| graph.connect(edge))
    }

    #[pyo3(signature = (cores = vec![], priority = 0))]
    fn start(&self, py: Python<'_>, cores: Vec<usize>, priority: i32) -> PyResult<()> {
        let graph = self.graph.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take();
        let Some(graph) = graph else {
            return refuse("this pipeline has started already");
        };
        let runtime = HybridRuntime::start(graph.plan()?, &Placing { cores, priority })?;
        let _ = self.runtime.set(runtime);
        Ok(())
    }

    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        self.running(py, |runtime| {
            runtime.pause();
            Ok(())
        })
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.running(py, |runtime| {
            runtime.resume();
            Ok(())
        })
    }

    fn drain(&self, py: Python<'_>, timeout_secs: f64) -> PyResult<bool> {
        let deadline = deadline(timeout_secs)?;
        self.running(py, |runtime| Ok(runtime.drain(deadline)))
    }

    fn stop(&self, py: Python<'_>, timeout_secs: f64) -> PyResult<bool> {
        let deadline = deadline(timeout_secs)?;
        self.running(py, |runtime| Ok(runtime.stop(deadline)))
    }

    #[pyo3(signature = (stage, name, value, timeout_secs = 5.0))]
    fn set(
        &self,
        py: Python<'_>,
        stage: &str,
        name: &str,
        value: &Bound<'_, PyAny>,
        timeout_secs: f64,
    ) -> PyResult<()> {
        let (value, deadline) = (value_of(value)?, deadline(timeout_secs)?);
        self.running(py, |runtime| Ok(runtime.set(stage, name, value, deadline)?))
    }

    #[pyo3(signature = (feed, block, origin_nanos = 0, first_sample = 0, frame_id = 0, timeout_secs = 5.0))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn write(
        &self,
        py: Python<'_>,
        feed: &str,
        block: &Bound<'_, PyAny>,
        origin_nanos: i64,
        first_sample: u64,
        frame_id: u64,
        timeout_secs: f64,
    ) -> PyResult<()> {
        let (buffer, deadline) = (PyUntypedBuffer::get(block)?, deadline(timeout_secs)?);
        let shape = (buffer.shape().to_vec(), buffer.format().to_string_lossy().into_owned());
        let bytes = bytes_of(&buffer)?;
        let times = (origin_nanos, first_sample, frame_id);
        self.running(py, |runtime| {
            let mut feed = runtime.feed(feed)?.lock().unwrap_or_else(PoisonError::into_inner);
            hand_in(&mut feed, bytes, &shape, times, deadline)
        })
    }

    fn read_tap<'py>(
        &self,
        py: Python<'py>,
        tap: &str,
        timeout_secs: f64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let deadline = deadline(timeout_secs)?;
        let found = self.running(py, |runtime| {
            let mut tap = runtime.tap(tap)?.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(tap.recv(deadline))
        })?;
        let packet = |held| Bound::new(py, PyPacket::new(held)).map(|p| Some(p.into_any()));
        match found {
            Received::Empty => Ok(None),
            Received::Closed | Received::Data(PipelineData::Shutdown) => {
                Err(EndOfStreamError::new_err("the pipeline has ended, and everything was read"))
            }
            Received::Data(PipelineData::Packet(found)) => packet(Held::Owned(found)),
            Received::Data(PipelineData::Shared(found)) => packet(Held::Shared(found)),
            Received::Data(PipelineData::Error(text)) => Err(InvalidError::new_err(text)),
            Received::Data(PipelineData::Trigger(t)) => {
                let told = (t.time_nanos, t.frame_id, t.sample, t.channel, t.value, t.rising);
                let told: Bound<'py, PyTuple> = told.into_pyobject(py)?;
                Ok(Some(told.into_any()))
            }
        }
    }

    fn statistics(&self, py: Python<'_>) -> PyResult<Figures> {
        self.running(py, |runtime| Ok(figures(runtime)))
    }

    /// For a stage, a ring or a branch: least duration of each bucket in ns, and how many.
    fn histogram(&self, py: Python<'_>, name: &str) -> PyResult<Vec<(u64, u64)>> {
        self.running(py, |runtime| {
            let found = runtime.figures();
            let branch = found.branches.iter().find(|(other, _)| other == name);
            let meter = found.meters.iter().find(|(other, _)| other == name);
            match (branch, meter) {
                (Some((_, status)), _) => Ok(status.latency.counts()),
                (None, Some((_, meter))) => Ok(meter.duration.counts()),
                (None, None) => refuse(&format!("there is no stage or branch {name:?}")),
            }
        })
    }
}

fn hand_in(
    feed: &mut Feed,
    bytes: &[u8],
    (shape, format): &(Vec<usize>, String),
    (origin_nanos, first_sample, frame_id): (i64, u64, u64),
    deadline: Instant,
) -> PyResult<()> {
    let Format { kind, channels, rate, .. } = feed.format;
    let wanted = if kind == DataType::Raw { "i" } else { "f" };
    if shape.len() != 2 || shape[1] != channels || format != wanted {
        return Err(InvalidError::new_err(format!(
            "a block is [samples, {channels}] of type {wanted:?}; found {shape:?} of {format:?}"
        )));
    }
    let ended = || ClosedError::new_err("this feed was closed");
    if feed.output.is_none() {
        return Err(ended());
    }
    let gone = || ClosedError::new_err("what this feed leads to has ended");
    let late = || PyTimeoutError::new_err("the pipeline took no packet in time");
    let mut packet = feed.packet(deadline).ok_or_else(late)?;
    let samples = shape[0];
    let entered_nanos = clock_nanos();
    packet.set_header(Header {
        kind,
        channels,
        samples,
        origin_nanos,
        first_sample,
        rate,
        frame_id,
        entered_nanos,
    })?;
    packet.fill_rows(bytes)?;
    let sent = feed.output.as_mut().ok_or_else(ended)?.send(PipelineData::Packet(packet), deadline);
    sent.map_err(|error| match error {
        SendError::Full(_) => late(),
        SendError::Closed(_) => gone(),
    })
}

fn figures(runtime: &HybridRuntime) -> Figures {
    let found = runtime.figures();
    let stages = found.meters.into_iter().map(|(name, meter)| told(name, &meter));
    let queues = found.queues.into_iter().map(|(name, q)| {
        let drops = [q.dropped_oldest, q.dropped_newest, q.refused, q.waits];
        let [oldest, newest, refused, waits] = drops;
        (name, [q.capacity, q.waiting, q.sent, q.received, oldest, newest, refused, waits])
    });
    let pools = found
        .pools
        .into_iter()
        .map(|(name, p)| (name, [p.size, p.in_use, p.peak, p.acquired, p.misses]));
    let branches = found.branches.into_iter().map(|(name, status)| {
        let counts = [
            &status.packets,
            &status.beat_nanos,
            &status.lost_records,
            &status.lost_rows,
            &status.exhausted,
        ];
        let (sum, most) = status.latency.sum_and_most();
        let latency = [status.latency.quantile(0.5), status.latency.quantile(0.99), most, sum];
        let counts = counts.map(crate::pipeline::meter::Count::get);
        (name, status.state(), counts, latency, status.told())
    });
    (stages.collect(), queues.collect(), pools.collect(), branches.collect())
}
