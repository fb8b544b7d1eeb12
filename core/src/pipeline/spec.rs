//! Stages from plain parameters.

use std::collections::BTreeMap;

use super::kernels::window::hann;
use super::kernels::{Isa, Precision, Section, Spectrum};
use super::stage::{Stage, Value, refuse_value};
use super::stages::{
    Decimate, Envelope, Epoch, Fft, Filter, Pass, Reference, Stamps, Threshold, ToVoltage, Welch,
    Zip,
};
use crate::error::RingError;

/// A stage's parameters by name.
pub type Parameters = BTreeMap<String, Value>;

/// The kinds of stages, with their parameters; those with `=` may be left out.
pub const KINDS: [(&str, &[&str]); 11] = [
    ("pass", &[]),
    ("to_voltage", &["scale"]),
    ("sos", &["sos", "state="]),
    ("envelope", &["sos", "state="]),
    ("reference", &["channel=", "matrix="]),
    ("decimate", &["factor"]),
    ("rfft", &["length", "samples=", "window=", "output="]),
    ("welch", &["segment=", "window=", "step", "averages", "bands=", "epochs="]),
    ("epoch", &["before", "after", "late=", "channel="]),
    ("zip", &["stamps=", "keep_secs=", "memory_secs="]),
    ("threshold", &["channel", "level", "hysteresis=", "edge=", "rest="]),
];

struct Taken<'a>(&'a Parameters);

impl Taken<'_> {
    fn number(&self, name: &str, default: Option<f64>) -> Result<f64, RingError> {
        match (self.0.get(name), default) {
            (Some(Value::Number(number)), _) => Ok(*number),
            (None, Some(default)) => Ok(default),
            (Some(other), _) => Err(refuse_value(name, "a number", other)),
            (None, None) => Err(RingError::Invalid(format!("a number {name:?} is missing"))),
        }
    }

    fn count(&self, name: &str, default: Option<f64>) -> Result<usize, RingError> {
        let number = self.number(name, default)?;
        if number < 0.0 || number.fract() != 0.0 || number > 1e9 {
            return Err(refuse_value(name, "a whole number from 0 to 1e9", &Value::Number(number)));
        }
        Ok(number as usize)
    }

    fn numbers(&self, name: &str) -> Result<Option<&[f64]>, RingError> {
        match self.0.get(name) {
            Some(Value::Numbers(numbers)) => Ok(Some(numbers)),
            None => Ok(None),
            Some(other) => Err(refuse_value(name, "numbers", other)),
        }
    }

    fn word<T>(
        &self,
        name: &str,
        default: &str,
        read: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Result<T, RingError> {
        let text = match self.0.get(name) {
            Some(Value::Text(text)) => text,
            None => default,
            Some(other) => return Err(refuse_value(name, wanted, other)),
        };
        read(text).ok_or_else(|| refuse_value(name, wanted, &Value::Text(text.into())))
    }

    fn sections(&self) -> Result<Vec<Section>, RingError> {
        let missing = || RingError::Invalid("the sections \"sos\" are missing".into());
        let value = self.0.get("sos").ok_or_else(missing)?;
        super::stages::sections_of("sos", value)
    }

    fn precision(&self) -> Result<Precision, RingError> {
        let read = |word: &str| match word {
            "f64" => Some(Precision::F64),
            "f32" => Some(Precision::F32),
            _ => None,
        };
        self.word("state", "f64", read, "\"f64\" or \"f32\"")
    }

    fn window(&self, len: &str) -> Result<Vec<f64>, RingError> {
        match self.numbers("window")? {
            Some(window) => Ok(window.to_vec()),
            None => Ok(hann(self.count(len, None)?)),
        }
    }

    fn bands(&self) -> Result<Vec<(f64, f64)>, RingError> {
        let edges = self.numbers("bands")?.unwrap_or_default();
        if !edges.len().is_multiple_of(2) {
            let found = Value::Numbers(edges.to_vec());
            return Err(refuse_value("bands", "pairs of frequencies", &found));
        }
        Ok(edges.chunks_exact(2).map(|edge| (edge[0], edge[1])).collect())
    }
}

fn check_names(kind: &str, parameters: &Parameters) -> Result<(), RingError> {
    let row = KINDS.iter().find(|row| row.0 == kind);
    let known = row.ok_or_else(|| {
        let kinds = KINDS.map(|row| row.0).join(", ");
        RingError::Invalid(format!("there is no stage of kind {kind:?}; there are: {kinds}"))
    })?;
    let plain: Vec<&str> = known.1.iter().map(|name| name.trim_end_matches('=')).collect();
    match parameters.keys().find(|name| !plain.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(RingError::Invalid(format!(
            "a stage of kind {kind:?} has no parameter {name:?}; it has: {}",
            plain.join(", ")
        ))),
    }
}

/// Makes a stage.
pub fn build(kind: &str, parameters: &Parameters, isa: Isa) -> Result<Box<dyn Stage>, RingError> {
    check_names(kind, parameters)?;
    let taken = Taken(parameters);
    Ok(match kind {
        "to_voltage" => Box::new(ToVoltage::new(taken.number("scale", None)?, isa)?),
        "sos" => Box::new(Filter::new(taken.sections()?, taken.precision()?, isa)?),
        "envelope" => Box::new(Envelope::new(taken.sections()?, taken.precision()?, isa)?),
        "reference" => Box::new(reference(&taken, isa)?),
        "decimate" => Box::new(Decimate::new(taken.count("factor", None)?)?),
        "rfft" => Box::new(fft(&taken, isa)?),
        "welch" => Box::new(welch(&taken, isa)?),
        "epoch" => Box::new(epoch(&taken)?),
        "zip" => Box::new(zip(&taken)?),
        "threshold" => Box::new(threshold(&taken)?),
        _ => Box::new(Pass),
    })
}

fn reference(taken: &Taken<'_>, isa: Isa) -> Result<Reference, RingError> {
    match (taken.numbers("matrix")?, taken.0.contains_key("channel")) {
        (Some(_), true) => Err(RingError::Invalid(
            "a reference is a \"channel\" or a \"matrix\"; found both".into(),
        )),
        (Some(matrix), false) => Reference::by_matrix(matrix, isa),
        (None, true) => Ok(Reference::Channel(taken.count("channel", None)?)),
        (None, false) => Ok(Reference::Average),
    }
}

fn fft(taken: &Taken<'_>, isa: Isa) -> Result<Fft, RingError> {
    let wanted = "\"complex\", \"magnitude\" or \"power\"";
    let keep = taken.word("output", "complex", Spectrum::from_name, wanted)?;
    let len = taken.count("length", None)?;
    let window = match taken.numbers("window")? {
        Some(window) => window.to_vec(),
        None => hann(taken.count("samples", Some(len as f64))?),
    };
    Fft::new(len, &window, keep, isa)
}

fn welch(taken: &Taken<'_>, isa: Isa) -> Result<Welch, RingError> {
    let (step, averages) = (taken.count("step", None)?, taken.count("averages", None)?);
    let made = Welch::new(&taken.window("segment")?, step, averages, taken.bands()?, isa)?;
    Ok(made.of_epochs(taken.count("epochs", Some(0.0))? != 0))
}

fn epoch(taken: &Taken<'_>) -> Result<Epoch, RingError> {
    let (before, after) = (taken.count("before", None)?, taken.count("after", None)?);
    let late = taken.count("late", Some(0.0))?;
    let channel = taken.0.contains_key("channel").then(|| taken.count("channel", None));
    Epoch::new(before, after, late, channel.transpose()?.map(|channel| channel as u32))
}

fn zip(taken: &Taken<'_>) -> Result<Zip, RingError> {
    Zip::new(
        taken.word("stamps", "packets", Stamps::from_name, "\"packets\" or \"arrival\"")?,
        taken.number("keep_secs", Some(2.0))?,
        taken.number("memory_secs", Some(60.0))?,
    )
}

fn threshold(taken: &Taken<'_>) -> Result<Threshold, RingError> {
    let read = |word: &str| match word {
        "rising" => Some(true),
        "falling" => Some(false),
        _ => None,
    };
    Threshold::new(
        taken.count("channel", None)?,
        taken.number("level", None)?,
        taken.number("hysteresis", Some(0.0))?,
        taken.word("edge", "rising", read, "\"rising\" or \"falling\"")?,
        taken.count("rest", Some(0.0))? as u64,
    )
}
