//! A stage by the address of a C function, such as Numba makes of Python.
#![allow(unsafe_code, reason = "calls a function that somebody else compiled")]

use std::ffi::c_void;

use crate::error::RingError;
use crate::pipeline::slab::{BufferSlab, DataType};
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage, Target, Value, refuse_value};

/// Input, output, samples, channels, numbers from a sample to the next, parameters, state; 0 if all
/// went well.
pub type NativeFunction =
    unsafe extern "C" fn(*const f32, *mut f32, i64, i64, i64, *const f64, *mut f64) -> i32;

/// Doubles that begin a cache line: vectors of a state that straddle lines take twice as long.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Doubles([f64; 8]);

/// Numbers as whole lines; what is beyond them is 0.
fn lines_of(numbers: &[f64]) -> Vec<Doubles> {
    let line = |some: &[f64]| Doubles(std::array::from_fn(|i| some.get(i).copied().unwrap_or(0.0)));
    numbers.chunks(8).map(line).collect()
}

/// Calls a function for each packet.
pub struct Native {
    function: NativeFunction,
    parameters: Vec<f64>,
    state: Vec<Doubles>,
    initial: Vec<Doubles>,
    place: Place,
    /// A packet's rows as far apart as those of its results, where a pool has others.
    apart: Vec<f32>,
    /// Keeps alive whatever the function lives in.
    _keep: Box<dyn Send>,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl Native {
    /// A stage that calls a function; in place, input and output are the same.
    ///
    /// # Safety
    ///
    /// The function must stay where it is while `keep` lives, touch nothing beyond the samples, the
    /// parameters and the state, and be callable from any thread.
    pub unsafe fn new(
        address: usize,
        parameters: Vec<f64>,
        state: Vec<f64>,
        in_place: bool,
        keep: Box<dyn Send>,
    ) -> Result<Self, RingError> {
        if address == 0 {
            return Err(RingError::Invalid("a native stage needs a function; found null".into()));
        }
        // SAFETY: the caller's contract.
        let function = unsafe {
            std::mem::transmute::<*const c_void, NativeFunction>(address as *const c_void)
        };
        let place = if in_place { Place::Same } else { Place::Other };
        let state = lines_of(&state);
        Ok(Self {
            function,
            parameters,
            initial: state.clone(),
            state,
            place,
            apart: Vec::new(),
            _keep: keep,
        })
    }

    /// Copies a packet's rows so far apart; there is one distance for a function's input and output.
    fn set_apart(&mut self, packet: &BufferSlab, stride: usize) -> Result<(), RingError> {
        let channels = packet.header().channels;
        if stride < channels {
            return Err(RingError::Invalid(format!(
                "a native stage's results need rows of {channels} numbers; found {stride}"
            )));
        }
        self.apart.clear();
        for row in packet.samples().chunks_exact(packet.lanes()) {
            self.apart.extend_from_slice(&row[..channels]);
            self.apart.resize(self.apart.len() + stride - channels, 0.0);
        }
        Ok(())
    }

    fn call(&mut self, from: *const f32, to: *mut f32, rows: [usize; 3]) -> Result<(), RingError> {
        let [samples, channels, stride] = rows.map(|number| number as i64);
        let (parameters, state) = (self.parameters.as_ptr(), self.state.as_mut_ptr().cast());
        // SAFETY: the contract of `new`; the rows are those of a slab or a target.
        let code =
            unsafe { (self.function)(from, to, samples, channels, stride, parameters, state) };
        if code == 0 {
            return Ok(());
        }
        Err(RingError::Invalid(format!("the native stage returned {code}; 0 is success")))
    }
}

impl Stage for Native {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        if matches!(input.kind, DataType::Raw) {
            return Err(crate::pipeline::stage::refuse("a native stage needs floats", input));
        }
        Ok(input)
    }

    fn place(&self) -> Place {
        self.place
    }

    fn change(&mut self, packet: &mut BufferSlab, _: &mut Context) -> Result<Flow, RingError> {
        let header = *packet.header();
        let (stride, at) = (packet.lanes(), packet.samples_mut().as_mut_ptr());
        self.call(at, at, [header.samples, header.channels, stride])?;
        Ok(Flow::Next)
    }

    fn make(
        &mut self,
        packet: &BufferSlab,
        target: &mut Target<'_>,
        _: &mut Context,
    ) -> Result<Flow, RingError> {
        let header = *packet.header();
        target.check(header.samples)?;
        if target.stride != packet.lanes() {
            self.set_apart(packet, target.stride)?;
        }
        let from = match target.stride == packet.lanes() {
            true => packet.samples().as_ptr(),
            false => self.apart.as_ptr(),
        };
        let rows = [header.samples, header.channels, target.stride];
        self.call(from, target.rows.as_mut_ptr(), rows)?;
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), RingError> {
        let index: Option<usize> = name.parse().ok().filter(|i| *i < self.parameters.len());
        match (index, value) {
            (Some(index), Value::Number(number)) => self.parameters[index] = *number,
            _ => return Err(refuse_value(name, "the number of a parameter, and a number", value)),
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state.copy_from_slice(&self.initial);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::pipeline::slab::{Header, Shape};

    /// Twice each number, row by row.
    unsafe extern "C" fn twice(
        from: *const f32,
        to: *mut f32,
        samples: i64,
        channels: i64,
        stride: i64,
        _: *const f64,
        _: *mut f64,
    ) -> i32 {
        for row in 0..samples {
            for at in row * stride..row * stride + channels {
                // SAFETY: the test's rows are so many, and so far apart.
                unsafe { *to.offset(at as isize) = 2.0 * *from.offset(at as isize) };
            }
        }
        0
    }

    #[test]
    fn rows_of_packets_and_results_may_be_differently_far_apart() {
        let (channels, samples) = (3, 5);
        let header = Header { kind: DataType::Voltage, channels, samples, ..Header::EMPTY };
        for (room, stride) in [(3, 16), (3, 32), (20, 16), (20, 32)] {
            let mut packet = BufferSlab::new(Shape::new(room, samples).unwrap());
            packet.set_header(header).unwrap();
            for (place, number) in packet.samples_mut().iter_mut().enumerate() {
                *number = place as f32;
            }
            let mut rows = vec![0.0; samples * stride];
            let mut target = Target { header, rows: &mut rows, stride };
            // SAFETY: `twice` stays, and touches the samples alone.
            let native = unsafe {
                Native::new(twice as *const () as usize, vec![], vec![], false, Box::new(()))
            };
            let flow = native.unwrap().make(&packet, &mut target, &mut Context::default());
            assert_eq!(flow.unwrap(), Flow::Next);
            for row in 0..samples {
                for channel in 0..channels {
                    let given = packet.samples()[row * packet.lanes() + channel];
                    assert_eq!(rows[row * stride + channel], 2.0 * given);
                }
            }
        }
    }
}
