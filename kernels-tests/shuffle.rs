use crate::devices;
use rontgen::device::Tensor;
use rontgen::kernels::shuffle::shuffle;

fn shuffled(device: &rontgen::device::Device, n: usize, seed: u64, turn: u32) -> Vec<u32> {
    let source: Vec<u32> = (0..n as u32).map(|i| i + 7).collect();
    let source = Tensor::from_slice(device, 1, n, &source);
    let mut out = Tensor::zeros(device, 1, n);
    shuffle(device, &source, seed, turn, &mut out);
    out.download().unwrap()
}

/// Every number once, whatever the count; the same order on every device, another for another turn or seed.
#[test]
fn a_bijection_that_seed_and_turn_fix() {
    let all = devices();
    for n in [1, 2, 3, 5, 16, 17, 64, 65, 1000, 4096, 4097, 20_000] {
        let reference = shuffled(&all[0], n, 3, 1);
        let mut sorted = reference.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (7..n as u32 + 7).collect::<Vec<_>>(), "{n}");
        for device in &all {
            assert_eq!(shuffled(device, n, 3, 1), reference, "{} {n}", device.name());
        }
        if n > 60 {
            assert_ne!(shuffled(&all[0], n, 3, 2), reference);
            assert_ne!(shuffled(&all[0], n, 4, 1), reference);
        }
    }
}

/// Where a number goes is uniform, and so is where its neighbour goes relative to it: chi-square over many turns, 16 cells, at a
/// false alarm of 1e-6 each (critical value 56 for 15 degrees of freedom).
#[test]
fn orders_look_random() {
    let device = &devices()[0];
    let (n, turns) = (80, 8000);
    let mut place = [0f64; 16];
    let mut distance = [0f64; 16];
    for turn in 0..turns {
        let order = shuffled(device, n, 11, turn);
        let at = |wanted: u32| order.iter().position(|&i| i == wanted + 7).unwrap();
        place[at(13) * 16 / n] += 1.0;
        // 1 ..= 79, of which the last cell has 4 in place of 5.
        let gap = (n + at(21) - at(20)) % n;
        distance[(gap - 1) / 5] += 1.0;
    }
    let chi = |cells: &[f64], expected: &dyn Fn(usize) -> f64| -> f64 {
        cells.iter().enumerate().map(|(k, c)| (c - expected(k)).powi(2) / expected(k)).sum()
    };
    let turns = f64::from(turns);
    let (placed, apart) =
        (chi(&place, &|_| turns / 16.0), chi(&distance, &|k| turns * if k == 15 { 4.0 } else { 5.0 } / 79.0));
    assert!(placed < 56.0 && apart < 56.0, "{placed} {apart}");
    assert!(placed + apart > 5.0, "suspiciously even: {placed} {apart}");
}
