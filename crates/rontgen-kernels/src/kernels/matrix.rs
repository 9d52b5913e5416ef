//! Views of matrices inside tensors: the weights of a layer in the flat store, some columns of a wider matrix.

use crate::device::Tensor;

/// A matrix inside a tensor, to read: `rows x cols` numbers from `offset`, `stride` numbers from row to row.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    tensor: &'a Tensor<f32>,
    offset: usize,
    rows: usize,
    cols: usize,
    stride: usize,
}

/// As [`Matrix`], to write.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    tensor: &'a mut Tensor<f32>,
    offset: usize,
    rows: usize,
    cols: usize,
    stride: usize,
}

fn check(len: usize, offset: usize, rows: usize, cols: usize, stride: usize) {
    let end = if rows == 0 { offset } else { offset + (rows - 1) * stride + cols };
    assert!(end <= len && stride >= cols, "a {rows} x {cols} view (offset {offset}, stride {stride}) of {len} numbers");
}

impl<'a> Matrix<'a> {
    /// The whole tensor.
    pub fn whole(tensor: &'a Tensor<f32>) -> Self {
        Self { tensor, offset: 0, rows: tensor.rows(), cols: tensor.cols(), stride: tensor.cols() }
    }

    /// `rows x cols` numbers in row-major order from `offset`: the weights of a layer in the flat store.
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn at(tensor: &'a Tensor<f32>, offset: usize, rows: usize, cols: usize) -> Self {
        Self::strided(tensor, offset, rows, cols, cols)
    }

    /// As [`Matrix::at`], with `stride` numbers from row to row: some columns of a wider matrix.
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn strided(tensor: &'a Tensor<f32>, offset: usize, rows: usize, cols: usize, stride: usize) -> Self {
        check(tensor.len(), offset, rows, cols, stride);
        Self { tensor, offset, rows, cols, stride }
    }

    pub fn tensor(&self) -> &'a Tensor<f32> {
        self.tensor
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The transposed matrix as an operand of a product.
    pub fn t(self) -> Operand<'a> {
        Operand { matrix: self, transposed: true }
    }
}

/// A factor of a product.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    pub(super) matrix: Matrix<'a>,
    pub(super) transposed: bool,
}

impl<'a> From<Matrix<'a>> for Operand<'a> {
    fn from(matrix: Matrix<'a>) -> Self {
        Operand { matrix, transposed: false }
    }
}

impl Operand<'_> {
    /// Rows and columns of the factor.
    pub fn shape(&self) -> (usize, usize) {
        let (rows, cols) = self.matrix.shape();
        if self.transposed { (cols, rows) } else { (rows, cols) }
    }

    /// Whether reads of four neighbours are aligned and never leave a row.
    pub(super) fn aligned(&self) -> bool {
        let Matrix { offset, cols, stride, .. } = self.matrix;
        offset % 4 == 0 && stride % 4 == 0 && cols % 4 == 0
    }
}

impl<'a> MatrixMut<'a> {
    /// The whole tensor.
    pub fn whole(tensor: &'a mut Tensor<f32>) -> Self {
        let (rows, cols) = (tensor.rows(), tensor.cols());
        Self { tensor, offset: 0, rows, cols, stride: cols }
    }

    /// See [`Matrix::at`].
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn at(tensor: &'a mut Tensor<f32>, offset: usize, rows: usize, cols: usize) -> Self {
        Self::strided(tensor, offset, rows, cols, cols)
    }

    /// See [`Matrix::strided`].
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn strided(tensor: &'a mut Tensor<f32>, offset: usize, rows: usize, cols: usize, stride: usize) -> Self {
        check(tensor.len(), offset, rows, cols, stride);
        Self { tensor, offset, rows, cols, stride }
    }

    pub fn tensor(&mut self) -> &mut Tensor<f32> {
        self.tensor
    }

    pub(super) fn into_tensor(self) -> &'a mut Tensor<f32> {
        self.tensor
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }
}
