//! A device that computes, opened once and used by several objects.

use crate::raised::work;
use pyo3::prelude::*;
use rontgen::cli::device_test;
use rontgen::device;

/// A device.
#[pyclass(frozen, module = "rontgen._rontgen")]
pub struct Device {
    /// The device itself.
    pub device: device::Device,
}

#[pymethods]
impl Device {
    /// Opens a device by its name: auto, gpu, cpu, or part of an adapter's. As on the command line an adapter is checked before its first use, and
    /// the CPU is taken where it computes wrong numbers.
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        Ok(Self { device: work(py, || device_test::open(name, true))? })
    }

    /// Its name for people.
    #[getter]
    fn name(&self) -> String {
        self.device.name()
    }
}
