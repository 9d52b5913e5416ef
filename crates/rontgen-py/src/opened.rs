//! A device that computes, opened once and used by several objects.

use crate::raised::work;
use pyo3::prelude::*;
use rontgen::device;

/// A device.
#[pyclass(frozen, module = "rontgen._rontgen")]
pub struct Device {
    /// The device itself.
    pub device: device::Device,
}

#[pymethods]
impl Device {
    /// Opens a device by its name: auto, gpu, cpu, or part of an adapter's.
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        Ok(Self { device: work(py, || Ok(device::Device::open(name)?))? })
    }

    /// Its name for people.
    #[getter]
    fn name(&self) -> String {
        self.device.name()
    }
}
