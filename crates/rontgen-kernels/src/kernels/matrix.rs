//! Views of matrices inside tensors: the weights of a layer in the flat store, some columns of a wider matrix.

use crate::device::Tensor;

/// This is a matrix inside a tensor, to read: `rows x cols` numbers from `offset`, `stride` numbers from row to row.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    tensor: &'a Tensor<f32>,
    offset: usize,
    rows: usize,
    cols: usize,
    stride: usize,
}

/// This is a matrix inside a tensor, to write: `rows x cols` numbers from `offset`, `stride` numbers from row to row.
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
    /// Views the whole tensor.
    pub fn whole(tensor: &'a Tensor<f32>) -> Self {
        Self { tensor, offset: 0, rows: tensor.rows(), cols: tensor.cols(), stride: tensor.cols() }
    }

    /// Views `rows x cols` numbers in row-major order from `offset`: the weights of a layer in the flat store.
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn at(tensor: &'a Tensor<f32>, offset: usize, rows: usize, cols: usize) -> Self {
        Self::strided(tensor, offset, rows, cols, cols)
    }

    /// Views `rows x cols` numbers from `offset` with `stride` numbers from row to row: some columns of a wider matrix.
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn strided(tensor: &'a Tensor<f32>, offset: usize, rows: usize, cols: usize, stride: usize) -> Self {
        check(tensor.len(), offset, rows, cols, stride);
        Self { tensor, offset, rows, cols, stride }
    }

    /// Returns the tensor.
    pub fn tensor(&self) -> &'a Tensor<f32> {
        self.tensor
    }

    /// Returns the place of the first number in the tensor.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the numbers from row to row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Returns the transposed matrix as an operand of a product.
    pub fn t(self) -> Operand<'a> {
        Operand { matrix: self, transposed: true }
    }
}

/// This is a factor of a product, a matrix or its transposed.
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
    /// Returns rows and columns of the factor.
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
    /// Views the whole tensor.
    pub fn whole(tensor: &'a mut Tensor<f32>) -> Self {
        let (rows, cols) = (tensor.rows(), tensor.cols());
        Self { tensor, offset: 0, rows, cols, stride: cols }
    }

    /// Views `rows x cols` numbers in row-major order from `offset`, as [`Matrix::at`] does.
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn at(tensor: &'a mut Tensor<f32>, offset: usize, rows: usize, cols: usize) -> Self {
        Self::strided(tensor, offset, rows, cols, cols)
    }

    /// Views numbers with `stride` from row to row, as [`Matrix::strided`] does.
    ///
    /// # Panics
    /// When the view reaches beyond the tensor.
    pub fn strided(tensor: &'a mut Tensor<f32>, offset: usize, rows: usize, cols: usize, stride: usize) -> Self {
        check(tensor.len(), offset, rows, cols, stride);
        Self { tensor, offset, rows, cols, stride }
    }

    /// Returns the tensor.
    pub fn tensor(&mut self) -> &mut Tensor<f32> {
        self.tensor
    }

    pub(super) fn into_tensor(self) -> &'a mut Tensor<f32> {
        self.tensor
    }

    /// Returns the place of the first number in the tensor.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the numbers from row to row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }
}
