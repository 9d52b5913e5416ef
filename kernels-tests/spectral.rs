use crate::devices;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rontgen::device::Tensor;
use rontgen::kernels::spectral::{BANDS, Bands, STATISTICS, spectral};

fn log(x: f64) -> f64 {
    x.signum() * x.abs().ln_1p()
}

/// The definitions in f64, written without the kernel's passes: ranks by counting, bands by energy.
fn oracle(counts: &[f32], bins: &[(f64, f64)]) -> Vec<f64> {
    let x: Vec<f64> = counts.iter().map(|&x| f64::from(x)).collect();
    let n = x.len() as f64;
    let total: f64 = x.iter().sum();
    let mean = total / n;
    let moment = |k: i32| x.iter().map(|x| (x - mean).powi(k)).sum::<f64>() / n;
    let sd = moment(2).sqrt();
    let entropy: f64 = x.iter().filter(|x| **x > 0.0).map(|x| -(x / total) * (x / total).ln()).sum();
    let rank = |k: usize| {
        let fits = |v: &&f64| {
            let (below, equal) = (x.iter().filter(|x| x < v).count(), x.iter().filter(|x| *x == *v).count());
            below <= k && k < below + equal
        };
        *x.iter().find(fits).unwrap()
    };
    let percentile = |p: f64| {
        let place = p * (n - 1.0);
        let (lower, upper) = (rank(place as usize), rank((place as usize + 1).min(x.len() - 1)));
        lower + (upper - lower) * place.fract()
    };
    let skewness = if sd > 0.0 { moment(3) / sd.powi(3) } else { 0.0 };
    let range = percentile(0.75) - percentile(0.25);
    let mut out = vec![mean, sd, total, skewness, entropy, percentile(0.9), percentile(0.95), range];
    let (low, high) = (bins[0].0, bins[bins.len() - 1].1);
    let in_band = |k: usize| -> Vec<(f64, f64)> {
        let middle = |i: usize| 0.5 * (bins[i].0 + bins[i].1);
        let band = |i: usize| ((middle(i) / low).ln() / (high / low).ln() * BANDS as f64) as usize;
        (0..x.len()).filter(|&i| band(i) == k).map(|i| (x[i], middle(i))).collect()
    };
    let bands: Vec<Vec<(f64, f64)>> = (0..BANDS).map(in_band).collect();
    let sums: Vec<f64> = bands.iter().map(|band| band.iter().map(|(x, _)| x).sum()).collect();
    let weighted = |band: &Vec<(f64, f64)>| band.iter().map(|(x, e)| x * e).sum::<f64>();
    let energies = |band: &Vec<(f64, f64)>| band.iter().map(|(_, e)| e).sum::<f64>();
    out.extend(&sums);
    for (band, sum) in bands.iter().zip(&sums) {
        let level = sum / band.len().max(1) as f64;
        out.push(band.iter().map(|(x, _)| (x - level).max(0.0)).sum());
    }
    out.extend(bands.iter().map(|band| if band.is_empty() { 0.0 } else { weighted(band) / energies(band) }));
    out.extend(bands.iter().zip(&sums).map(|(band, &sum)| match sum > 0.0 {
        true => weighted(band) / sum,
        false => energies(band) / band.len().max(1) as f64,
    }));
    out.extend(sums.windows(2).map(|c| (c[1] + 0.5) / (c[0] + 0.5)));
    out.extend(sums.windows(3).map(|c| {
        let below = c[1] - c[0];
        (c[2] - c[1]) / if below == 0.0 { 0.5 } else { below }
    }));
    out.into_iter().map(log).collect()
}

/// Bright, faint, empty and one-bin spectra; fewer bins than bands, so that some are empty; more bins than a workgroup has lanes.
#[test]
fn statistics_are_as_defined() {
    let mut rng = Pcg64::seed_from_u64(5);
    for device in devices() {
        for bins in [1usize, 7, 104, 1000] {
            let edges: Vec<f64> = (0..=bins).map(|i| 0.3 * (40.0f64).powf(i as f64 / bins as f64)).collect();
            let limits: Vec<(f64, f64)> = edges.windows(2).map(|pair| (pair[0], pair[1])).collect();
            let rows = 6;
            let counts: Vec<f32> = (0..rows * bins)
                .map(|i| match i / bins {
                    0 => 0.0,
                    1 => rng.random_range(0..2) as f32,
                    2 => 7.0,
                    3 => rng.random_range(0..40_000) as f32,
                    _ => (200.0 * rng.random_range(0.0..1.0f32).powi(3)).round(),
                })
                .collect();
            let bands = Bands::new(&device, &limits);
            let spectra = Tensor::from_slice(&device, rows, bins, &counts);
            let mut out = Tensor::empty(&device, rows, STATISTICS);
            spectral(&device, &spectra, &bands, &mut out);
            let got = out.download().unwrap();
            for (r, (got, counts)) in got.chunks(STATISTICS).zip(counts.chunks(bins)).enumerate() {
                for (k, (&got, want)) in got.iter().zip(oracle(counts, &limits)).enumerate() {
                    // Sums in f32 of up to 1000 numbers; skewness cubes a difference from the mean.
                    let allowed = 2e-5 * (1.0 + want.abs());
                    let what = format!("{bins} bins, spectrum {r}, statistic {k}, on {}", device.name());
                    assert!((f64::from(got) - want).abs() < allowed, "{what}: {got} for {want}");
                }
            }
        }
    }
}
