use crate::{devices, noise};
use rontgen::device::{Device, Gpu, Tensor};
use rontgen::kernels::activation::Activation;
use rontgen::kernels::gemm::{self, Epilogue, Matrix, MatrixMut, PORTABLE, Shape, TILES};

/// Ones, primes, below, at and above a tile; multiples of 4 take the other way of reading; long K is split.
const SIZES: [(usize, usize, usize); 13] = [
    (1, 1, 1),
    (1, 5, 3),
    (7, 1, 130),
    (4, 4, 4),
    (65, 33, 17),
    (64, 64, 64),
    (68, 132, 20),
    (63, 100, 401),
    (128, 12, 300),
    (12, 8, 1027),
    (20, 36, 1028),
    (132, 260, 36),
    (263, 129, 18),
];

/// The tiles that an adapter's limits allow.
pub fn tiles(gpu: &Gpu) -> Vec<Shape> {
    let fits = |i: &usize| TILES[*i].fits(gpu.limits());
    (0..TILES.len()).filter(fits).map(Shape::Tiles).collect()
}

/// How a launch is made on each device: the CPU's, and every shape that the GPU allows.
fn ways() -> Vec<(Device, Option<Shape>)> {
    devices()
        .into_iter()
        .flat_map(|device| {
            let mut ways = vec![(device.clone(), None)];
            if let Device::Gpu(gpu) = &device {
                let shapes = [tiles(gpu), vec![Shape::Direct]].concat();
                ways.extend(shapes.into_iter().map(|shape| (device.clone(), Some(shape))));
            }
            ways
        })
        .collect()
}

fn activate(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Linear => x,
        Activation::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
    }
}

/// Numbers around a view must stay: 3 before, and the rest of each row.
struct Placed {
    offset: usize,
    stride: usize,
    values: Vec<f32>,
}

impl Placed {
    fn new(rows: usize, cols: usize, aligned: bool, seed: u32) -> Self {
        let (offset, stride) = if aligned { (4, cols + 4) } else { (3, cols + 2) };
        Self { offset, stride, values: noise(offset + rows * stride + 5, seed) }
    }

    fn at(&self, r: usize, c: usize) -> f64 {
        f64::from(self.values[self.offset + r * self.stride + c])
    }

    fn tensor(&self, device: &Device) -> Tensor<f32> {
        Tensor::from_slice(device, 1, self.values.len(), &self.values)
    }

    fn view<'a>(&self, tensor: &'a Tensor<f32>, rows: usize, cols: usize) -> Matrix<'a> {
        Matrix::strided(tensor, self.offset, rows, cols, self.stride)
    }

    fn view_mut<'a>(&self, tensor: &'a mut Tensor<f32>, rows: usize, cols: usize) -> MatrixMut<'a> {
        MatrixMut::strided(tensor, self.offset, rows, cols, self.stride)
    }

    /// Checks a result inside the view and that nothing changed outside.
    fn check(
        &self,
        got: &[f32],
        rows: usize,
        cols: usize,
        tolerance: f64,
        want: &dyn Fn(usize, usize) -> f64,
        what: &str,
    ) {
        for (i, (&got, &before)) in got.iter().zip(&self.values).enumerate() {
            let inside = i.checked_sub(self.offset).map(|i| (i / self.stride, i % self.stride));
            match inside.filter(|&(r, c)| r < rows && c < cols) {
                Some((r, c)) => {
                    let want = want(r, c);
                    assert!((f64::from(got) - want).abs() < tolerance, "{what} [{r}, {c}]: {got} for {want}");
                }
                None => assert_eq!(got, before, "{what}: number {i} lies outside the view and changed"),
            }
        }
    }
}

#[test]
fn products_of_views_with_every_epilogue() {
    for (device, shape) in ways() {
        let start = std::time::Instant::now();
        for (case, &(m, n, k)) in SIZES.iter().enumerate() {
            // Every pipeline is compiled anew: the smallest cases are left to the smaller tiles.
            if matches!(shape, Some(Shape::Tiles(2..))) && m * n < 400 {
                continue;
            }
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                for aligned in [true, false] {
                    if aligned && [m, n, k].iter().any(|size| size % 4 != 0) {
                        continue;
                    }
                    let kind = [Activation::Linear, Activation::Gelu, Activation::Tanh, Activation::Relu][case % 4];
                    let what = format!("{m}x{n}x{k} {ta} {tb} {aligned} {kind:?} {shape:?} on {}", device.name());
                    let (ar, ac) = if ta { (k, m) } else { (m, k) };
                    let (br, bc) = if tb { (n, k) } else { (k, n) };
                    let (a, b) = (Placed::new(ar, ac, aligned, 1), Placed::new(br, bc, aligned, 2));
                    let (c, saved, bias) =
                        (Placed::new(m, n, aligned, 3), Placed::new(m, n, aligned, 4), Placed::new(1, n, aligned, 5));
                    let (at, bt, bias_t, saved_t) =
                        (a.tensor(&device), b.tensor(&device), bias.tensor(&device), saved.tensor(&device));
                    let run = |c: &mut MatrixMut<'_>, epilogue: Epilogue<'_>| {
                        let (a, b) = (a.view(&at, ar, ac), b.view(&bt, br, bc));
                        let a = if ta { a.t() } else { a.into() };
                        let b = if tb { b.t() } else { b.into() };
                        match shape {
                            Some(shape) => gemm::gemm_shaped(&device, shape, a, b, c, epilogue),
                            None => gemm::gemm(&device, a, b, c, epilogue),
                        }
                    };
                    let sum = |r: usize, col: usize| -> f64 {
                        let a = |i: usize| if ta { a.at(i, r) } else { a.at(r, i) };
                        let b = |i: usize| if tb { b.at(col, i) } else { b.at(i, col) };
                        (0..k).map(|i| a(i) * b(i)).sum()
                    };
                    let sums: Vec<f64> = (0..m * n).map(|i| sum(i / n, i % n)).collect();
                    let product = |r: usize, col: usize| sums[r * n + col];
                    let tolerance = 2e-6 * (k as f64).sqrt().max(1.0);

                    let mut out = c.tensor(&device);
                    run(&mut c.view_mut(&mut out, m, n), Epilogue::default());
                    c.check(&out.download().unwrap(), m, n, tolerance, &product, &what);

                    let mut out = c.tensor(&device);
                    let mut kept = saved.tensor(&device);
                    let epilogue = Epilogue {
                        accumulate: true,
                        bias: Some(bias.view(&bias_t, 1, n)),
                        activation: kind,
                        save: Some(saved.view_mut(&mut kept, m, n)),
                        derivative: None,
                    };
                    run(&mut c.view_mut(&mut out, m, n), epilogue);
                    let pre = |r: usize, col: usize| product(r, col) + c.at(r, col) + bias.at(0, col);
                    let post = |r: usize, col: usize| activate(kind, pre(r, col));
                    saved.check(&kept.download().unwrap(), m, n, tolerance, &pre, &format!("{what}, saved"));
                    c.check(&out.download().unwrap(), m, n, 1.2 * tolerance, &post, &format!("{what}, forward"));

                    let mut out = c.tensor(&device);
                    let derivative = Some((kind, saved.view(&saved_t, m, n)));
                    run(&mut c.view_mut(&mut out, m, n), Epilogue { derivative, ..Default::default() });
                    let slope = |x: f64| match kind {
                        Activation::Tanh => 1.0 - x * x,
                        Activation::Relu => f64::from(x > 0.0),
                        kind => (activate(kind, x + 1e-6) - activate(kind, x - 1e-6)) / 2e-6,
                    };
                    let back = |r: usize, col: usize| product(r, col) * slope(saved.at(r, col));
                    c.check(&out.download().unwrap(), m, n, 1.2 * tolerance, &back, &format!("{what}, backward"));
                }
            }
        }
        println!("{} {:?}: {:.1?}", device.name(), shape, start.elapsed());
    }
}

/// Same numbers, same bits, on each way of launching.
#[test]
fn a_product_repeats_itself() {
    for (device, shape) in ways() {
        let (m, n, k) = (20, 36, 1028);
        let a = Tensor::from_slice(&device, m, k, &noise(m * k, 1));
        let b = Tensor::from_slice(&device, k, n, &noise(k * n, 2));
        let run = || {
            let mut c = Tensor::zeros(&device, m, n);
            let (a, b) = (Matrix::whole(&a), Matrix::whole(&b));
            match shape {
                Some(shape) => {
                    gemm::gemm_shaped(&device, shape, a, b, &mut MatrixMut::whole(&mut c), Epilogue::default())
                }
                None => gemm::gemm(&device, a, b, &mut MatrixMut::whole(&mut c), Epilogue::default()),
            }
            c.download().unwrap()
        };
        assert_eq!(run(), run());
    }
}

/// No inner dimension: the sum is empty, the epilogue is not.
#[test]
fn an_empty_sum_is_zero() {
    for (device, _) in ways() {
        let (a, b) = (Tensor::zeros(&device, 3, 0), Tensor::zeros(&device, 0, 2));
        let bias = Tensor::from_slice(&device, 1, 2, &[1.0f32, 2.0]);
        let mut c = Tensor::from_slice(&device, 3, 2, &[9.0f32; 6]);
        let epilogue = Epilogue { bias: Some(Matrix::whole(&bias)), ..Default::default() };
        gemm::gemm(&device, Matrix::whole(&a), Matrix::whole(&b), &mut MatrixMut::whole(&mut c), epilogue);
        assert_eq!(c.download().unwrap(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    }
}

/// A device is opened with all that its adapter has, so that the larger tiles are not left out; and the portable ones always run.
#[test]
fn every_tile_that_the_adapter_allows_is_run() {
    for device in devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let adapter = rontgen::device::adapters().into_iter().find(|adapter| adapter.name == device.name()).unwrap();
        assert_eq!(gpu.limits().max_compute_workgroup_storage_size, adapter.workgroup_memory_bytes);
        assert_eq!(gpu.limits().max_compute_invocations_per_workgroup, adapter.max_workgroup_invocations);
        let run = tiles(gpu);
        println!("{}: {:?}", device.name(), run.iter().map(|shape| shape_name(*shape)).collect::<Vec<_>>());
        assert!((0..PORTABLE).all(|i| run.contains(&Shape::Tiles(i))));
        let large = Shape::tiles(gpu.limits(), [8192, 1024, 8192]);
        assert!(
            adapter.workgroup_memory_bytes < 32 << 10 || large != Shape::tiles(&Default::default(), [8192, 1024, 8192])
        );
    }
}

fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Tiles(i) => TILES[i].name,
        Shape::Direct => "direct",
    }
}

#[test]
fn the_portable_tiles_keep_the_default_limits_and_the_larger_ones_do_not() {
    let default = wgpu::Limits::default();
    for (i, tile) in TILES.iter().enumerate() {
        assert_eq!(tile.fits(&default), i < PORTABLE, "{}", tile.name);
        // Column sums of every invocation's rows take the place of the operands.
        let [lanes, _] = tile.lanes();
        for size in [tile.rows, tile.cols] {
            assert!(lanes * tile.cols <= tile.buffers * tile.depth * size, "{}", tile.name);
        }
    }
}

#[test]
fn larger_problems_and_limits_take_larger_tiles() {
    let default = wgpu::Limits::default();
    let larger = wgpu::Limits {
        max_compute_workgroup_storage_size: 48 << 10,
        max_compute_invocations_per_workgroup: 1024,
        max_compute_workgroup_size_x: 1024,
        ..default.clone()
    };
    let name = |limits, shape| shape_name(Shape::tiles(limits, shape));
    assert_eq!(name(&default, [8192, 3000, 3000]), "128x128");
    assert_eq!(name(&larger, [8192, 3000, 3000]), "256x128x2");
    assert_eq!(name(&larger, [1024, 3000, 3000]), "128x128x2");
    assert_eq!(name(&larger, [1024, 3000, 1500]), "128x64");
    assert_eq!(name(&larger, [1024, 2800, 256]), "64x64");
    assert_eq!(name(&larger, [1024, 104, 52]), "32x32");
    assert_eq!(name(&default, [1, 1, 1]), "32x32");
}
