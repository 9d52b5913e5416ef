use crate::{devices, noise};
use rontgen::device::{RowBlocks, Tensor};
use rontgen::kernels::gather;

/// Rows from several blocks, odd sizes, a start inside the index, an index out of range that must leave its row alone.
#[test]
fn gathers_across_blocks() {
    for device in devices() {
        for (rows, cols, block) in [(1, 1, 1), (7, 3, 2), (100, 37, 33), (513, 64, 512)] {
            let values = noise(rows * cols, 1);
            let mut source = RowBlocks::<f32>::empty(&device, rows, cols, block);
            let block_rows = source.block_rows();
            for (k, tensor) in source.blocks.iter_mut().enumerate() {
                let start = k * block_rows * cols;
                tensor.upload(&values[start..start + tensor.len()]);
            }
            let index: Vec<u32> = (0..rows as u32 + 3).map(|i| (i * 17 + 5) % (rows as u32 + 1)).collect();
            let index_tensor = Tensor::from_slice(&device, 1, index.len(), &index);
            let mut out = Tensor::from_slice(&device, rows, cols, &vec![9.0f32; rows * cols]);
            gather::gather(&device, &source, &index_tensor, 2, &mut out);
            let expected: Vec<f32> = index[2..2 + rows]
                .iter()
                .flat_map(|&row| match row as usize {
                    row if row < rows => values[row * cols..][..cols].to_vec(),
                    _ => vec![9.0; cols],
                })
                .collect();
            assert_eq!(out.download().unwrap(), expected, "{rows} x {cols} on {}", device.name());
            device.check().unwrap();
        }
    }
}
