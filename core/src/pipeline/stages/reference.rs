//! Voltages against the mean, one channel, or neighbours.

use crate::error::RingError;
use crate::pipeline::kernels::Isa;
use crate::pipeline::kernels::reference::{Matrix, subtract_channel, subtract_mean};
use crate::pipeline::slab::{BufferSlab, DataType, LANE_STEP};
use crate::pipeline::stage::{Context, Flow, Format, Stage, refuse};

/// Re-references all channels.
#[derive(Debug)]
pub enum Reference {
    /// Against the mean of all channels.
    Average,
    /// Against one of them.
    Channel(usize),
    /// By a matrix, for Laplacians and the like.
    Matrix(Mixer),
}

/// A matrix of weights.
#[derive(Debug)]
pub struct Mixer {
    isa: Isa,
    channels: usize,
    width: usize,
    weights: Vec<f32>,
    row: Vec<f32>,
}

impl Reference {
    /// By a square matrix `[to][from]`, row by row.
    pub fn by_matrix(matrix: &[f64], isa: Isa) -> Result<Self, RingError> {
        let channels = matrix.len().isqrt();
        if channels == 0 || channels * channels != matrix.len() {
            return Err(RingError::Invalid(format!(
                "a reference needs a square matrix; found {} numbers",
                matrix.len()
            )));
        }
        if !matrix.iter().all(|weight| weight.is_finite()) {
            return Err(RingError::Invalid("a reference needs finite weights".into()));
        }
        let width = channels.next_multiple_of(LANE_STEP);
        let mut weights = vec![0.0; channels * width];
        for (index, weight) in matrix.iter().enumerate() {
            weights[index % channels * width + index / channels] = *weight as f32;
        }
        Ok(Self::Matrix(Mixer { isa, channels, width, weights, row: vec![0.0; width] }))
    }
}

impl Stage for Reference {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        let suits = match self {
            Self::Average => true,
            Self::Channel(channel) => *channel < input.channels,
            Self::Matrix(mixer) => mixer.channels == input.channels,
        };
        if !suits || !matches!(input.kind, DataType::Voltage | DataType::Filtered) {
            return Err(refuse("this reference needs volts of the channels it names", input));
        }
        Ok(input)
    }

    fn change(&mut self, packet: &mut BufferSlab, _: &mut Context) -> Result<Flow, RingError> {
        let (stride, channels) = (packet.lanes(), packet.header().channels);
        let rows = packet.samples_mut();
        match self {
            Self::Average => subtract_mean(rows, stride, channels),
            Self::Channel(channel) => subtract_channel(rows, stride, channels, *channel),
            Self::Matrix(Mixer { isa, channels, width, weights, row }) => {
                isa.run(Matrix { rows, stride, channels: *channels, weights, width: *width, row });
            }
        }
        Ok(Flow::Next)
    }
}
