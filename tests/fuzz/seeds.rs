//! Small sound files of every kind, from which the damaged ones are made.

use crate::common::fits::{Data, ebounds, energies, file, table};
use crate::common::table::{Axis, Model};

const N: usize = 6;

fn counts() -> Data {
    Data::J(vec![3, 10, 25, 0, 7, 1])
}

fn channels(first: i32) -> Data {
    Data::I((0..N as i16).map(|i| first as i16 + i).collect())
}

const OGIP: [(&str, &str); 6] = [
    ("HDUCLASS", "'OGIP'"),
    ("HDUCLAS1", "'SPECTRUM'"),
    ("CHANTYPE", "'PI'"),
    ("EXPOSURE", "1000.0"),
    ("AREASCAL", "1.0"),
    ("BACKSCAL", "1.0"),
];

pub fn spectra() -> Vec<Vec<u8>> {
    let with = |cards: &[(&str, &str)], columns: &[(&str, Data)]| {
        let all = [
            &OGIP[..],
            &[("DETCHANS", "6"), ("POISSERR", "T"), ("RESPFILE", "'r.rmf'"), ("ANCRFILE", "'a.arf'")],
            cards,
        ]
        .concat();
        file(&[table("SPECTRUM", &all, columns)])
    };
    let quality = Data::I(vec![0, 0, 5, 0, 0, 2]);
    let grouping = Data::I(vec![1, -1, -1, 1, -1, 1]);
    let two = [("HDUCLAS4", "'TYPE:II'"), ("TG_PART", "1")];
    let rows: Vec<i16> = (1..=N as i16).chain(1..=N as i16).collect();
    vec![
        with(&[], &[("CHANNEL", channels(1)), ("COUNTS", counts())]),
        with(
            &[("TLMIN1", "0")],
            &[("CHANNEL", channels(0)), ("COUNTS", counts()), ("QUALITY", quality), ("GROUPING", grouping)],
        ),
        with(
            &[],
            &[
                ("CHANNEL", channels(1)),
                ("RATE", Data::E([3.0f32, 10.0, 25.0, 0.0, 7.0, 1.0].map(|c| c / 1000.0).to_vec())),
                ("STAT_ERR", Data::E(vec![0.002; N])),
            ],
        ),
        with(
            &two,
            &[
                ("SPEC_NUM", Data::I(vec![1, 2])),
                ("CHANNEL", Data::VectorI(N, rows)),
                ("COUNTS", Data::VectorE(N, (0..2 * N).map(|i| i as f32).collect())),
                ("BACKFILE", Data::Text(8, vec!["none".into(), "none".into()])),
            ],
        ),
    ]
}

pub fn responses() -> Vec<Vec<u8>> {
    let (lo, hi) = energies(1.0, N);
    let cards = [
        ("HDUCLASS", "'OGIP'"),
        ("HDUCLAS1", "'RESPONSE'"),
        ("HDUCLAS2", "'RSP_MATRIX'"),
        ("DETCHANS", "6"),
        ("TLMIN4", "1"),
    ];
    let heap = table(
        "MATRIX",
        &cards,
        &[
            ("ENERG_LO", lo),
            ("ENERG_HI", hi),
            ("N_GRP", Data::I(vec![1, 1, 2, 1, 0, 1])),
            ("F_CHAN", Data::HeapI(vec![vec![1], vec![1], vec![2, 5], vec![3], vec![], vec![5]])),
            ("N_CHAN", Data::HeapI(vec![vec![2], vec![3], vec![1, 2], vec![3], vec![], vec![2]])),
            (
                "MATRIX",
                Data::HeapE(vec![
                    vec![0.9, 0.1],
                    vec![0.1, 0.8, 0.1],
                    vec![0.8, 0.1, 0.1],
                    vec![0.2, 0.6, 0.2],
                    vec![],
                    vec![0.1, 0.9],
                ]),
            ),
        ],
    );
    let (lo, hi) = energies(1.0, N);
    let fixed = table(
        "SPECRESP MATRIX",
        &cards,
        &[
            ("ENERG_LO", lo),
            ("ENERG_HI", hi),
            ("N_GRP", Data::I(vec![1; N])),
            ("F_CHAN", Data::VectorI(1, vec![1; N])),
            ("N_CHAN", Data::VectorI(1, vec![N as i16; N])),
            ("MATRIX", Data::VectorE(N, (0..N * N).map(|i| if i % 7 == 0 { 100.0 } else { 1.0 }).collect())),
        ],
    );
    vec![file(&[ebounds(1, N), heap.clone()]), file(&[heap, ebounds(1, N)]), file(&[fixed, ebounds(1, N)])]
}

pub fn areas() -> Vec<Vec<u8>> {
    let (lo, hi) = energies(1.0, N);
    let area = ("SPECRESP", Data::E(vec![100.0, 200.0, 300.0, 250.0, 200.0, 50.0]));
    let cards = [("HDUCLASS", "'OGIP'"), ("HDUCLAS1", "'RESPONSE'"), ("HDUCLAS2", "'SPECRESP'"), ("TUNIT3", "'cm**2'")];
    vec![file(&[table("SPECRESP", &cards, &[("ENERG_LO", lo), ("ENERG_HI", hi), area])])]
}

pub fn tables() -> Vec<Vec<u8>> {
    let edges: Vec<f32> = (0..=N).map(|i| 1.0 + i as f32).collect();
    let spectrum = |point: &[f32], kind: usize| vec![point.iter().sum::<f32>() + kind as f32 + 1.0; N];
    let axes = || vec![Axis("index", 0, vec![1.0, 2.0, 3.0]), Axis("logxi", 1, vec![1.0, 10.0])];
    let additive = Model::new(true, axes(), vec!["abund"], edges.clone(), spectrum);
    let factor = Model::new(false, vec![Axis("tau", 0, vec![0.0, 1.0])], vec![], edges, |p, _| vec![(-p[0]).exp(); N]);
    vec![additive.set("REDSHIFT", "T").bytes(), factor.bytes()]
}

pub fn saves() -> Vec<String> {
    let pn = "statistic cstat\ncd .\ndata 1:1 s.pha\nresponse  1 r.rmf\narf 1 a.arf\nignore 1:1-2,5-**\nmethod leven 10 0.01\nabund angr\nxsect vern\n\
        cosmo 70 0 0.73\nxset delta 0.01\nsystematic 0\nmodel  TBabs(bbodyrad + powerlaw)\n           0.12      0.001          0          0     100000      1e+06\n            \
        0.6       0.01     0.0001       0.01        100        200\n           0.05       0.01          0          0      1e+20      1e+24\n            2.1       0.01         -3         -2          9         10\n\
        0.000169       0.01          0          0      1e+20      1e+24\nbayes off\n";
    let ties = "data 1:1 s.pha{1} 2:2 s.pha\nnotice **:1.0-3.5\nsetplot wave\nignore 2:3.-4. 1:**-2.0\nmodel constant*phabs*zgauss + gauss + gauss & 1 & 0.1 & 6.4 & 0.1 & 0 & 1e-4 & 6.7 & = 2*p4 & = 0.5 * p6 & \
        =10-(p4-1) & = p8/(1+0.0175) & =p7*3.\nmodel 2:nxb powerlaw\n 1 -1 /\n 1e-3,,,,\nnewpar 3=6.5 0.1 6 6 7 7\nuntie 8\nfreeze 4,6-7\nthaw 3\nxset APECROOT 3.0.9\nsetpl rebin 5 10\n@other.xcm\nputs \"hello\"\nset x 3\n";
    vec![pn.into(), ties.into(), "model atable{t.mod}*powerlaw\n1 0.1 1 1 3 3\n&\n1\n2 -1\n= p3\n".into()]
}

pub fn run_files() -> Vec<String> {
    let one = "[observation]\nspectrum = \"s.pha\"\nresponse = \"r.rmf\"\narf = \"a.arf\"\nbackground = \"none\"\nenergies = [[1.0, 3.0], [4.0, 7.0]]\ngrouping = { min_counts = 2 }\n\n[model]\nexpression = \"tbabs*(bbodyrad+powerlaw)\"\n\
        abundances = \"wilm\"\n\n[parameters]\n\"tbabs.nH\" = { uniform = [0.0, 0.5] }\n\"bbodyrad.kT\" = { normal = [1.0, 0.1] }\n\"bbodyrad.norm\" = { log_uniform = [0.01, 1.0] }\n\
        powerlaw.PhoIndex = { tie = \"bbodyrad.kT\", scale = 2.0, offset = 0.5 }\n\"powerlaw.norm\" = 0.2\n\n[inference]\nrounds = 3\nsimulations = 1000\nsummary = \"embedding\"\n[inference.autoencoder]\nhidden = [64, 32]\n\
        [inference.flow]\ntransforms = 3\n[refine]\nmethod = \"sir\"\n[output]\nposterior_samples = 5000\n";
    let two = "[observation]\nspectrum = 's.pha{1}'\ngrouping = [[1.0, 3.0, 2], [3.0, 6.0, 1]]\n[model]\nexpression = \"constant*atable{t.mod}+cflux(gauss)\"\n[model.external.mine]\ncommand = [\"false\"]\nparameters = { a = { default = 1.0, min = 0.0, max = 2.0 } }\n\
        [parameters]\n\"constant.factor\" = { log_normal = [0.0, 0.1] }\n[inference.amortised]\nexposure = [500.0, 2000.0]\n[reference]\nsampler = \"ensemble\"\n";
    vec![one.into(), two.into()]
}
