//! Returning radiation against single rays, against itself backwards, and between the nodes of spins.

use super::*;
use crate::kerr::lamp;
use std::f64::consts::PI;

/// Light goes the same way backwards: (area over dt/dtau) times the share of photons from one ring to another is that of the way back, each
/// photon with its shift to the third power (Liouville's theorem; time and azimuth reversed).
#[test]
fn light_goes_both_ways() {
    let spin = 0.998;
    let rings = [(1.5, 2.7), (4.0, 9.0)];
    let size = |r: f64| metric::ring_area(spin, r) / metric::orbit_time(spin, r);
    let light = |from: (f64, f64), to: (f64, f64), power: i32| {
        let (slopes, turns) = (600, 700);
        let mut sum = 0.0;
        for n in 0..slopes * turns {
            let cosine = ((f64::from(n / turns) + 0.5) / f64::from(slopes)).sqrt();
            let azimuth = 2.0 * PI * (f64::from(n % turns) + 0.5) / f64::from(turns);
            let within = ((f64::from(n) + 0.5) * 0.618_033_988_749_894_9).fract();
            let r = from.0 + (from.1 - from.0) * within;
            if let End::Disc { radius, shift } = end(spin, r, cosine, azimuth)
                && radius >= to.0
                && radius < to.1
            {
                sum += size(r) * shift.powi(power);
            }
        }
        sum * (from.1 - from.0) / f64::from(slopes * turns)
    };
    let there = light(rings[0], rings[1], 0);
    let back = light(rings[1], rings[0], -3);
    println!("{there} {back}");
    assert!((there / back - 1.0).abs() < 0.01, "{there} {back}");
}

/// Shares and mean shifts are those of rays in equal shares of the light, of which each falls on one ring.
#[test]
fn rings_receive_what_many_rays_bring() {
    let side = 1000;
    for (spin, ring) in [(0.2, 3), (0.9, 0), (0.998, 0), (0.998, 12), (-0.5, 0)] {
        let grid = Radii::new(spin);
        let edges: Vec<f64> = (0..=RINGS).map(|k| grid.radius((RADII - 1) as f64 * k as f64 / RINGS as f64)).collect();
        let r = grid.radius((RADII - 1) as f64 * (f64::from(ring) + 0.5) / RINGS as f64);
        let rings: Vec<[f64; 2]> = edges.windows(2).map(|ends| [ends[0], ends[1]]).collect();
        let emitted = Emitted::new(spin, &rings, r);
        let (mut caught, mut fates) = (vec![[0.0; 2]; RINGS], [0.0; 3]);
        for n in 0..side * side {
            let cosine = ((f64::from(n / side) + 0.5) / f64::from(side)).sqrt();
            let azimuth =
                2.0 * PI * (f64::from(n % side) + (f64::from(n / side) * 0.618_034).fract()) / f64::from(side);
            match end(spin, r, cosine, azimuth) {
                End::Infinity => fates[2] += 1.0,
                End::Hole => fates[1] += 1.0,
                End::Disc { radius, shift } => {
                    fates[0] += 1.0;
                    if let Some(own) = caught.get_mut(edges.partition_point(|edge| *edge <= radius) - 1) {
                        own[0] += 1.0;
                        own[1] += shift;
                    }
                }
            }
        }
        let all = f64::from(side * side);
        for (found, want) in emitted.fates.iter().zip(fates) {
            assert!((found - want / all).abs() < 4e-4, "{spin} {ring}: {:?} for {fates:?}", emitted.fates);
        }
        let mut worst = [0.0f64; 2];
        for ((cells, range), [want, shifts]) in emitted.caught.iter().zip(&emitted.ranges).zip(caught) {
            let light: f64 = cells.iter().sum();
            let at = |k: usize| range[0] + (range[1] - range[0]) * (k as f64 + 0.5) / SHIFTS as f64;
            let mean = cells.iter().enumerate().map(|(k, share)| share * at(k)).sum::<f64>() / light;
            // The rays' own noise is that of the ring's rim, on which fall as many as the root of those in it; and planes between rays cut corners.
            let noise = 4.0 * want.sqrt().max(1.0) + 2e-3 * want;
            worst[0] = worst[0].max((light * all - want).abs() / noise);
            if want > 100.0 {
                worst[1] = worst[1].max(0.3 * (mean / (shifts / want) - 1.0).abs() * want.sqrt());
            }
        }
        println!("{spin} {ring}: {worst:?}; {:?}", emitted.fates);
        assert!(worst[0] < 1.0 && worst[1] < 1.0, "{spin} {ring}: {worst:?}");
    }
}

#[test]
fn inner_rings_see_one_another() {
    let table = Returning::new(0.998);
    for fates in &table.fates {
        assert!((fates.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    println!("{:?}", table.fates.iter().step_by(5).collect::<Vec<_>>());
    // Most of the innermost ring's light returns or falls in; of the outermost nearly nothing.
    assert!(table.fates[0][2] < 0.3 && table.fates[0][0] > 0.3, "{:?}", table.fates[0]);
    assert!(table.fates[RINGS - 1][2] > 0.97, "{:?}", table.fates[RINGS - 1]);
    for pair in table.shifts.chunks_exact(SHIFTS) {
        let sum: f64 = pair.iter().sum();
        assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-9);
    }
    // Numbers are numbers for every photon index, of emitters in the ergosphere, too.
    for spin in [0.943, 0.948, 0.998] {
        let numbers = Returning::new(spin).numbers();
        for index in [-3.3, 2.2, 9.7] {
            assert!(boosts(&numbers, index).iter().all(|x| x.is_finite()), "{spin} {index}");
        }
    }
    // Slowly rotating holes return little.
    let slow = Returning::new(0.0);
    assert!(slow.fates[0][0] < 0.1, "{:?}", slow.fates[0]);
    // What a lamp at h = 6 puts on the disc, and with what returns.
    let (spin, height) = (0.998, 6.0);
    let (grid, lamp) = (Radii::new(spin), lamp::lamp(spin, height));
    let own: Vec<f64> = table
        .edges
        .windows(2)
        .map(|ends| {
            let r = 0.5 * (ends[0] + ends[1]);
            let place = grid.place(r);
            let (k, t) = ((place as usize).min(RADII - 2), place.fract());
            let ln = lamp[RADII + k] * (1.0 - t) + lamp[RADII + k + 1] * t;
            lamp::emissivity(spin, height, r, ln.exp() * lamp::flat(height, r), 2.0)
        })
        .collect();
    let all = table.add(&own, 2.0);
    let boosts = boosts(&table.numbers(), 2.0);
    for (receiver, all) in all.iter().enumerate() {
        let back: f64 = boosts[receiver * RINGS..][..RINGS].iter().zip(&own).map(|(boost, own)| boost * own).sum();
        assert!(((own[receiver] + back) / all - 1.0).abs() < 1e-12);
    }
    let ratio: Vec<f64> = all.iter().zip(&own).map(|(a, b)| a / b).collect();
    println!("{:?}", ratio.iter().step_by(4).collect::<Vec<_>>());
    // Energy is not made: what returns, as received, is less than was emitted.
    assert!(ratio.iter().all(|x| *x >= 1.0 && *x < 3.0), "{ratio:?}");
}

/// Illumination of each ring by a lamp, and with what returns over it.
fn illumination(spin: f64, height: f64, index: f64) -> Vec<f64> {
    let (grid, lamp) = (Radii::new(spin), lamp::lamp(spin, height));
    (0..RINGS)
        .map(|k| {
            let place = (RADII - 1) as f64 * (k as f64 + 0.5) / RINGS as f64;
            let r = grid.radius(place);
            let (k, t) = ((place as usize).min(RADII - 2), place.fract());
            let ln = lamp[RADII + k] * (1.0 - t) + lamp[RADII + k + 1] * t;
            lamp::emissivity(spin, height, r, ln.exp() * lamp::flat(height, r), index)
        })
        .collect()
}

/// What returns changes smoothly with the spin, so that cubics between the nodes of a table hold it.
#[test]
fn spins_between_nodes_are_those_at_nodes() {
    use crate::kerr::table::{Bounds, Nodes, spin_coordinate};
    let index = 2.0;
    let mut worst = 0.0f64;
    for spin in [0.2, 0.75, 0.91, 0.96, 0.985, 0.9935, 0.9975] {
        let nodes = Nodes::new(&Bounds { spin: (spin, spin + 1e-7), inclination: (30.0, 30.0), height: None }).spin;
        let start = std::time::Instant::now();
        let exact = boosts(&Returning::new(spin).numbers(), index);
        let seconds = start.elapsed().as_secs_f64();
        let place = nodes.place(spin_coordinate(spin));
        let at: Vec<Vec<f64>> =
            (0..nodes.count).map(|k| boosts(&Returning::new(1.0 - nodes.node(k).powi(3)).numbers(), index)).collect();
        let first = (place as usize).clamp(1, nodes.count - 3) - 1;
        let weight = |k: usize| -> f64 {
            (0..4).filter(|n| *n != k).map(|n| (place - (first + n) as f64) / (k as f64 - n as f64)).product()
        };
        let found: Vec<f64> = (0..PAIRS).map(|pair| (0..4).map(|k| weight(k) * at[first + k][pair]).sum()).collect();
        let horizon = metric::horizon(spin);
        for height in [1.1 * horizon, 1.5f64.max(1.2 * horizon), 2.0, 3.0, 6.0] {
            if height < 1.1 * horizon {
                continue;
            }
            let own = illumination(spin, height, index);
            let ratio = |boosts: &[f64], receiver: usize| {
                1.0 + boosts[receiver * RINGS..][..RINGS].iter().zip(&own).map(|(b, own)| b * own).sum::<f64>()
                    / own[receiver]
            };
            let off: Vec<f64> = (0..RINGS).map(|k| ratio(&found, k) / ratio(&exact, k) - 1.0).collect();
            let most = off.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let mean = (off.iter().map(|x| x * x).sum::<f64>() / RINGS as f64).sqrt();
            let at = off.iter().position(|x| x.abs() == most);
            println!(
                "{spin} h {height:.2}: worst {most:.1e} at {at:?}, rms {mean:.1e}; ratios {:.4} {:.4} {:.4} {:.4}; {seconds:.2} s",
                ratio(&exact, 0),
                ratio(&exact, 10),
                ratio(&exact, 20),
                ratio(&exact, 40)
            );
            worst = worst.max(most);
        }
    }
    assert!(worst < 9e-4, "{worst}");
}

#[test]
fn threads_change_nothing() {
    let trace = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let nodes = crate::kerr::table::Nodes::new(&crate::kerr::table::Bounds {
                spin: (0.5, 0.5),
                inclination: (30.0, 31.0),
                height: Some((0.3, 0.3)),
            });
            (nodes.images(&|_, _| {}), nodes.lamps())
        })
    };
    assert_eq!(trace(1), trace(3));
}
