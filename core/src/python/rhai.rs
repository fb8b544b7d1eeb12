//! Rhai scripts, with a Python object for a host.

use std::any::Any;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ::rhai::{Array, Blob, Dynamic, FLOAT, INT, ImmutableString, Map};
use pyo3::buffer::PyBuffer;
use pyo3::create_exception;
use pyo3::exceptions::{
    PyException, PyMemoryError, PyOverflowError, PyRecursionError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple,
    PyType,
};

use super::exhaustion::{ARMED, EXHAUSTED, LAST};
use crate::rhai::{Caught, Failure, Host, Instrument, Origin, Page, Script, Trouble, facts, run};

create_exception!(ringdaq_core, RhaiSyntaxError, PyException);

const DEEPEST_VALUE: usize = 100;

type Ending = (&'static str, Py<PyAny>, u32, u32, Vec<(u32, String)>);

struct PythonHost {
    host: Py<PyAny>,
    /// What stands for each instrument in Python.
    instruments: Py<PyDict>,
}

impl PythonHost {
    fn ask(&self, method: &str) -> Result<(), Trouble> {
        Python::attach(|py| match self.host.bind(py).call_method0(method) {
            Ok(_) => Ok(()),
            Err(error) => Err(trouble(py, error)),
        })
    }
}

impl Host for PythonHost {
    fn verb(
        &self,
        instrument: &str,
        verb: &str,
        args: &[Dynamic],
        named: Map,
    ) -> Result<Dynamic, Trouble> {
        Python::attach(|py| {
            let call = || {
                let (said, takes) =
                    (format!("{instrument}.{verb}"), "numbers, text, lists and maps");
                let unfit = |error| unfit(py, &said, takes, &error);
                let args = self.tuple(py, args).map_err(unfit)?;
                let named = self.dict(py, &named).map_err(unfit)?;
                let answer =
                    self.host.bind(py).call_method1("verb", (instrument, verb, args, named))?;
                to_rhai(&answer, DEEPEST_VALUE)
            };
            call().map_err(|error| trouble(py, error))
        })
    }

    fn say(&self, verb: &str, args: &[Dynamic], named: Map) -> Result<Dynamic, Trouble> {
        Python::attach(|py| {
            let call = || {
                let named = self.dict(py, &named)?;
                self.host.bind(py).call_method(verb, self.tuple(py, args)?, Some(&named))
            };
            call().map(|_| Dynamic::UNIT).map_err(|error| trouble(py, error))
        })
    }

    fn plan(
        &self,
        name: &str,
        args: &[Dynamic],
        named: Map,
        (start, span): (f64, f64),
    ) -> Result<Dynamic, Trouble> {
        Python::attach(|py| {
            let call = || {
                let plain = self.tuple(py, args).and_then(|a| Ok((a, self.dict(py, &named)?)));
                let said = if name == "point" { "adaptive" } else { name };
                let takes = "instruments, numbers and lists";
                let (args, named) = plain.map_err(|error| unfit(py, said, takes, &error))?;
                let host = self.host.bind(py);
                let answer = host.call_method1("plan", (name, args, named, start, span))?;
                to_rhai(&answer, DEEPEST_VALUE)
            };
            call().map_err(|error| trouble(py, error))
        })
    }

    fn look(&self) -> Result<(), Trouble> {
        let exhausted = EXHAUSTED.swap(false, Ordering::Relaxed);
        self.ask(if exhausted { "memory_spent" } else { "look" })
    }

    fn spent(&self, whole_run: bool) -> Result<(), Trouble> {
        self.ask(if whole_run { "total_operations_spent" } else { "operations_spent" })
    }

    fn shield(&self, begins: bool) {
        // It only counts, and cannot fail.
        let _ = self.ask(if begins { "shield" } else { "unshield" });
    }
}

/// Says which verb a value was meant for.
fn unfit(py: Python<'_>, verb: &str, takes: &str, error: &PyErr) -> PyErr {
    let text = error.value(py).to_string();
    PyTypeError::new_err(format!("{verb} takes {takes}; {text}"))
}

/// What is not an `Exception` ends the script; so does a lack of memory.
fn trouble(py: Python<'_>, error: PyErr) -> Trouble {
    let value = error.value(py).clone();
    let origin: Origin = Rc::new(error);
    if !value.is_instance_of::<PyException>() || value.is_instance_of::<PyMemoryError>() {
        return Trouble::End(origin);
    }
    let message = value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    let fields = value
        .getattr("details")
        .and_then(|details| to_rhai(&details, DEEPEST_VALUE))
        .ok()
        .and_then(Dynamic::try_cast::<Map>)
        .unwrap_or_default();
    let kinds = kinds(&value.get_type());
    Trouble::Error(Caught { kinds, message: message.into(), fields: Rc::new(fields), origin })
}

fn kinds(class: &Bound<'_, PyType>) -> Rc<[String]> {
    let names = class.mro().iter().filter_map(|class| {
        let name = class.cast::<PyType>().ok()?.name().ok()?;
        Some(name.to_string_lossy().into_owned())
    });
    names.take_while(|name| name != "Exception").collect()
}

fn deeper(depth: usize) -> PyResult<usize> {
    depth.checked_sub(1).ok_or_else(|| {
        PyRecursionError::new_err(format!("a value may be nested {DEEPEST_VALUE} deep"))
    })
}

/// Plain values become Python's; `None` for what has an inside of its own.
fn simple<'py>(py: Python<'py>, value: &Dynamic) -> Option<Bound<'py, PyAny>> {
    if value.is_unit() {
        return Some(py.None().into_bound(py));
    }
    if let Ok(truth) = value.as_bool() {
        return Some(PyBool::new(py, truth).to_owned().into_any());
    }
    if let Ok(number) = value.as_int() {
        return Some(PyInt::new(py, number).into_any());
    }
    if let Ok(number) = value.as_float() {
        return Some(PyFloat::new(py, number).into_any());
    }
    if let Ok(letter) = value.as_char() {
        return Some(PyString::new(py, letter.encode_utf8(&mut [0; 4])).into_any());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Some(PyString::new(py, &text).into_any());
    }
    value.read_lock::<Blob>().map(|bytes| PyBytes::new(py, &bytes).into_any())
}

impl PythonHost {
    fn tuple<'py>(&self, py: Python<'py>, values: &[Dynamic]) -> PyResult<Bound<'py, PyTuple>> {
        let values = values.iter().map(|value| self.plain(py, value, DEEPEST_VALUE));
        PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)
    }

    fn dict<'py>(&self, py: Python<'py>, values: &Map) -> PyResult<Bound<'py, PyDict>> {
        self.deep_dict(py, values, DEEPEST_VALUE)
    }

    fn deep_dict<'py>(
        &self,
        py: Python<'py>,
        values: &Map,
        depth: usize,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in values {
            dict.set_item(name.as_str(), self.plain(py, value, depth)?)?;
        }
        Ok(dict)
    }

    fn plain<'py>(
        &self,
        py: Python<'py>,
        value: &Dynamic,
        depth: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let depth = deeper(depth)?;
        if let Some(plain) = simple(py, value) {
            return Ok(plain);
        }
        if let Some(items) = value.read_lock::<Array>() {
            let items = items.iter().map(|item| self.plain(py, item, depth));
            return Ok(PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any());
        }
        if let Some(map) = value.read_lock::<Map>() {
            return Ok(self.deep_dict(py, &map, depth)?.into_any());
        }
        if let Some(instrument) = value.read_lock::<Instrument>() {
            return self.instruments.bind(py).as_any().get_item(instrument.0.as_str())?.get_item(1);
        }
        let kind = value.type_name().rsplit("::").next().unwrap_or_default();
        Err(PyTypeError::new_err(format!("a '{kind}' is not a plain value")))
    }
}

fn to_rhai(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Dynamic> {
    let depth = deeper(depth)?;
    if value.is_none() {
        return Ok(Dynamic::UNIT);
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(truth.is_true().into());
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract::<INT>();
        return number.map(Dynamic::from).map_err(|_| {
            PyOverflowError::new_err("a whole number must fit into 64 bits in a Rhai script")
        });
    }
    if value.is_instance_of::<PyFloat>() {
        return value.extract::<FLOAT>().map(Dynamic::from);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_string_lossy().into_owned().into());
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Dynamic::from_blob(bytes.as_bytes().to_vec()));
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let mut map = Map::new();
        for pair in mapping.items()?.iter() {
            let (name, item): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
            let name = name.str()?.to_string_lossy().into_owned();
            map.insert(name.into(), to_rhai(&item, depth)?);
        }
        return Ok(map.into());
    }
    if let Ok(items) = value.cast::<PySequence>() {
        let items = items.try_iter()?.map(|item| to_rhai(&item?, depth));
        return Ok(items.collect::<PyResult<Array>>()?.into());
    }
    let kind = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("a '{kind}' is not a plain value")))
}

/// The cells of a page of four u32: line, stop, and an f64 over the last two.
fn page(buffer: PyBuffer<u32>) -> PyResult<Page> {
    let cells = buffer.buf_ptr();
    if buffer.readonly() || buffer.len_bytes() < 16 || !cells.addr().is_multiple_of(8) {
        return Err(PyValueError::new_err("a page must be 16 writable bytes, aligned to 8"));
    }
    std::mem::forget(buffer); // a process runs one script, and keeps its page until its end
    // SAFETY: the bytes stay, writable and aligned, because the buffer is never given back; who
    // shares them uses plain stores of these sizes.
    unsafe {
        Ok(Page {
            line: AtomicU32::from_ptr(cells.cast()),
            stop: AtomicU32::from_ptr(cells.cast::<u32>().add(1)),
            progress: AtomicU64::from_ptr(cells.cast::<u64>().add(1)),
            exhausted: &EXHAUSTED,
        })
    }
}

fn ending(py: Python<'_>, failure: Failure) -> PyResult<Ending> {
    let text = |text: &str| PyString::new(py, text).into_any().unbind();
    Ok(match failure {
        Failure::Host(origin, line) => {
            let origin: &dyn Any = &*origin;
            let error = origin.downcast_ref::<PyErr>().map(|error| error.value(py).clone());
            let error = error.map_or_else(|| py.None(), |value| value.into_any().unbind());
            ("host", error, line, 0, Vec::new())
        }
        Failure::Limit(name, line) => ("limit", text(name), line, 0, Vec::new()),
        Failure::Script(words, line, column, trace) => {
            ("script", text(&words), line, column, trace)
        }
    })
}

static HOST: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn arm(py: Python<'_>, host: &PythonHost) {
    HOST.get_or_init(py, || host.host.clone_ref(py));
    LAST.get_or_init(|| {
        || {
            Python::attach(|py| {
                // It ends the process; if it cannot, the failed allocation does.
                let _ = HOST.get(py).map(|host| host.bind(py).call_method0("memory_gone"));
            });
        }
    });
    ARMED.store(true, Ordering::Relaxed);
}

/// Runs a script to its end, holding the interpreter but for its calls into `host`.
#[pyfunction]
#[pyo3(signature = (source, *, parameters, instruments, plans, operations, total_operations, depth, words, host))]
#[allow(clippy::too_many_arguments, reason = "all by name")]
fn run_rhai(
    py: Python<'_>,
    source: String,
    parameters: &Bound<'_, PyAny>,
    instruments: &Bound<'_, PyDict>,
    plans: Vec<String>,
    operations: u64,
    total_operations: u64,
    depth: usize,
    words: PyBuffer<u32>,
    host: Py<PyAny>,
) -> PyResult<Option<Ending>> {
    let parameters = to_rhai(parameters, DEEPEST_VALUE)?;
    let parameters = parameters.try_cast::<Map>().unwrap_or_default();
    let host = PythonHost { host, instruments: instruments.clone().unbind() };
    let instruments = instruments
        .iter()
        .map(|(name, pair)| {
            let (verbs, _): (Vec<String>, Bound<'_, PyAny>) = pair.extract()?;
            Ok((name.extract()?, verbs))
        })
        .collect::<PyResult<_>>()?;
    let script =
        Script { source, parameters, instruments, plans, operations, total_operations, depth };
    arm(py, &host);
    let ended = run(script, page(words)?, Rc::new(host));
    ARMED.store(false, Ordering::Relaxed);
    ended.err().map(|failure| ending(py, failure)).transpose()
}

type Facts = (Vec<(&'static str, String, String, usize, usize)>, Vec<String>);

/// What a script speaks of.
#[pyfunction]
fn rhai_facts(source: &str) -> PyResult<Facts> {
    let (facts, functions) =
        facts(source).map_err(|e| RhaiSyntaxError::new_err((e.message, e.line, e.column)))?;
    let facts = facts.into_iter().map(|f| (f.kind, f.name, f.member, f.line, f.column));
    Ok((facts.collect(), functions))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("RhaiSyntaxError", module.py().get_type::<RhaiSyntaxError>())?;
    module.add_function(wrap_pyfunction!(run_rhai, module)?)?;
    module.add_function(wrap_pyfunction!(rhai_facts, module)?)
}
