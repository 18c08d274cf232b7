//! The file of weights: what is in it, by name and shape.

use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors};

/// Why a file cannot be used; a sentence about it that begins with "it" or with what it names.
#[derive(Debug)]
pub(crate) struct Damage(pub(crate) String);

/// The tensors of a file that is in memory.
pub(crate) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    /// Reads the file's table of contents, which must fit its length.
    ///
    /// # Errors
    /// If it is no such file, or a part of one.
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, Damage> {
        let tensors = SafeTensors::deserialize(file);
        tensors.map(Self).map_err(|error| Damage(format!("it is damaged or not complete: {error}")))
    }

    /// Says whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.tensor(name).is_ok()
    }

    /// Returns a matrix of so many columns and at least one row.
    ///
    /// # Errors
    /// If it is not there, or has another shape or type.
    pub(crate) fn matrix(&self, name: &str, columns: usize) -> Result<Array2<f32>, Damage> {
        let (shape, values) = self.tensor(name)?;
        match *shape {
            [rows, found] if found == columns && rows > 0 => Array2::from_shape_vec((rows, found), values)
                .map_err(|error| Damage(format!("`{name}` cannot be used: {error}"))),
            _ => Err(Damage(format!("`{name}` has the shape {shape:?} instead of [.., {columns}]"))),
        }
    }

    /// Returns a vector of so many values.
    ///
    /// # Errors
    /// If it is not there, or has another shape or type.
    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, Damage> {
        let (shape, values) = self.tensor(name)?;
        if *shape == [length] {
            Ok(Array1::from_vec(values))
        } else {
            Err(Damage(format!("`{name}` has the shape {shape:?} instead of [{length}]")))
        }
    }

    fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), Damage> {
        let tensor = self.0.tensor(name).map_err(|_| Damage(format!("it has no `{name}`")))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(Damage(format!("`{name}` holds {:?} instead of F32", tensor.dtype())));
        }
        let (values, _) = tensor.data().as_chunks();
        Ok((tensor.shape().to_vec(), values.iter().map(|value| f32::from_le_bytes(*value)).collect()))
    }
}
