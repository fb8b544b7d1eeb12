//! Whole pipelines.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyTuple};

use super::chain::{gauges_of, isa_of, on_error_of};
use super::feed::{ended, hand_in, mark};
use super::figures::{Figures, Latency, figures, latency};
use super::packet::{PyPacket, deadline, kind_of};
use super::values::{stage_of, value_of};
use crate::error::RingError;
use crate::pipeline::chain::{Held, Link};
use crate::pipeline::data::Carries;
use crate::pipeline::graph::{Edge, Graph, Node};
use crate::pipeline::kernels::Isa;
use crate::pipeline::place::Placing;
use crate::pipeline::ring_in::RingIn;
use crate::pipeline::ring_out::RingOut;
use crate::pipeline::runtime::HybridRuntime;
use crate::pipeline::stage::{Format, Trigger};
use crate::pipeline::{Input, PipelineData, Policy, Rate, Received, Shape};
use crate::python::columns::bytes_of;
use crate::python::errors::{EndOfStreamError, InvalidError};
use crate::python::schema::PySchema;

/// A graph, and what runs it.
#[pyclass(name = "Pipeline", module = "ringdaq_core", frozen)]
pub struct PyPipeline {
    /// `None` once it has started, or could not.
    graph: Mutex<Option<Graph>>,
    runtime: OnceLock<HybridRuntime>,
    isa: Isa,
}

fn refuse<T>(text: &str) -> PyResult<T> {
    Err(InvalidError::new_err(text.to_owned()))
}

fn rate_of(rate: (u64, u64)) -> PyResult<Rate> {
    Ok(Rate::new(rate.0, rate.1)?)
}

/// A duration from Python.
pub fn secs(secs: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(secs).map_err(|_| {
        InvalidError::new_err(format!("a latency is a number of seconds from 0; found {secs}"))
    })
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

    fn pool(
        &self,
        py: Python<'_>,
        name: &str,
        channels: usize,
        samples: usize,
        packets: usize,
    ) -> PyResult<()> {
        let shape = Shape::new(channels, samples)?;
        self.change(py, |graph| graph.add_pool(name, shape, packets))
    }

    #[pyo3(signature = (name, kind, parameters, on_error = "stop", pool = None, latency_secs = 0.0))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn stage(
        &self,
        py: Python<'_>,
        name: &str,
        kind: &str,
        parameters: &Bound<'_, PyDict>,
        on_error: &str,
        pool: Option<&str>,
        latency_secs: f64,
    ) -> PyResult<()> {
        let stage = stage_of(kind, parameters, self.isa)?;
        let mut link = Link::new(name, stage, on_error_of(on_error)?, None);
        link.declare_latency(secs(latency_secs)?);
        self.change(py, |graph| {
            if let Some(pool) = pool {
                let (shape, pool) = graph.pool(pool)?;
                link.use_pool(pool, shape);
            }
            graph.add(name, Node::Stage(Box::new(link)))
        })
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

    #[pyo3(signature = (source, target, capacity = 8, policy = "block", own_thread = false,
                        carries = "all"))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn connect(
        &self,
        py: Python<'_>,
        source: &str,
        target: &str,
        capacity: usize,
        policy: &str,
        own_thread: bool,
        carries: &str,
    ) -> PyResult<()> {
        let policy = Policy::from_name(policy).ok_or_else(|| {
            let known = "\"block\", \"drop_oldest\", \"drop_newest\" or \"fail\"";
            InvalidError::new_err(format!("a policy is {known}; found {policy:?}"))
        })?;
        let carries = Carries::from_name(carries).ok_or_else(|| {
            let known = "\"all\", \"packets\", \"triggers\" or \"second\"";
            InvalidError::new_err(format!("an edge carries {known}; found {carries:?}"))
        })?;
        let (from, to) = (source.to_owned(), target.to_owned());
        let edge = Edge { from, to, capacity, policy, own_thread, carries };
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
    ) -> PyResult<bool> {
        let (buffer, deadline) = (PyUntypedBuffer::get(block)?, deadline(timeout_secs)?);
        let shape = (buffer.shape().to_vec(), buffer.format().to_string_lossy().into_owned());
        let bytes = bytes_of(&buffer)?;
        let times = (origin_nanos, first_sample, frame_id);
        self.running(py, |runtime| {
            let mut feed = runtime.feed(feed)?.lock().unwrap_or_else(PoisonError::into_inner);
            hand_in(&mut feed, bytes, &shape, times, deadline)
        })
    }

    #[pyo3(signature = (feed, time_nanos, channel = 0, value = 0.0, timeout_secs = 5.0))]
    fn mark(
        &self,
        py: Python<'_>,
        feed: &str,
        time_nanos: i64,
        channel: u32,
        value: f32,
        timeout_secs: f64,
    ) -> PyResult<bool> {
        let deadline = deadline(timeout_secs)?;
        let trigger = Trigger { channel, value, ..Trigger::at(time_nanos) };
        self.running(py, |runtime| {
            let mut feed = runtime.feed(feed)?.lock().unwrap_or_else(PoisonError::into_inner);
            mark(&mut feed, trigger, deadline)
        })
    }

    /// Hands on what a full queue has kept waiting; whether nothing is left of it.
    #[pyo3(signature = (feed, timeout_secs = 5.0))]
    fn settle(&self, py: Python<'_>, feed: &str, timeout_secs: f64) -> PyResult<bool> {
        let deadline = deadline(timeout_secs)?;
        self.running(py, |runtime| {
            let mut feed = runtime.feed(feed)?.lock().unwrap_or_else(PoisonError::into_inner);
            feed.settle(deadline).map_err(ended)
        })
    }

    /// Rows of what was handed in and a queue never took.
    fn lost_rows(&self, py: Python<'_>, feed: &str) -> PyResult<u64> {
        self.running(py, |runtime| Ok(runtime.lost_rows(feed)?))
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
            Received::Data(PipelineData::Second(found)) => packet(found),
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

    fn latency(&self, py: Python<'_>) -> PyResult<Vec<Latency>> {
        self.running(py, |runtime| Ok(latency(runtime)))
    }

    fn gauges(&self, py: Python<'_>, stage: &str) -> PyResult<Vec<(&'static str, f64)>> {
        self.running(py, |runtime| gauges_of(&runtime.figures().meters, stage))
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
