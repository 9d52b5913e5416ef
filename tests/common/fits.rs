//! FITS files put together byte by byte, so that the reader is tested against something that does not share its code.

#![allow(dead_code)]

/// Data of one column.
pub enum Data {
    I(Vec<i16>),
    J(Vec<i32>),
    E(Vec<f32>),
    D(Vec<f64>),
    /// Fixed vectors of this width.
    VectorI(usize, Vec<i16>),
    VectorE(usize, Vec<f32>),
    /// Heap arrays.
    HeapI(Vec<Vec<i16>>),
    HeapE(Vec<Vec<f32>>),
    HeapD(Vec<Vec<f64>>),
    VectorJ(usize, Vec<i32>),
    L(Vec<bool>),
    Text(usize, Vec<String>),
}

impl Data {
    fn form(&self) -> String {
        match self {
            Data::I(_) => "1I".into(),
            Data::J(_) => "1J".into(),
            Data::E(_) => "1E".into(),
            Data::D(_) => "1D".into(),
            Data::VectorI(n, _) => format!("{n}I"),
            Data::VectorE(n, _) => format!("{n}E"),
            Data::HeapI(v) => format!("1PI({})", v.iter().map(Vec::len).max().unwrap_or(0)),
            Data::HeapE(v) => format!("1PE({})", v.iter().map(Vec::len).max().unwrap_or(0)),
            Data::HeapD(v) => format!("1PD({})", v.iter().map(Vec::len).max().unwrap_or(0)),
            Data::VectorJ(n, _) => format!("{n}J"),
            Data::L(_) => "1L".into(),
            Data::Text(n, _) => format!("{n}A"),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Data::I(v) => v.len(),
            Data::J(v) => v.len(),
            Data::E(v) => v.len(),
            Data::D(v) => v.len(),
            Data::VectorI(n, v) => v.len() / n,
            Data::VectorE(n, v) => v.len() / n,
            Data::HeapI(v) => v.len(),
            Data::HeapE(v) => v.len(),
            Data::HeapD(v) => v.len(),
            Data::VectorJ(n, v) => v.len() / n,
            Data::L(v) => v.len(),
            Data::Text(_, v) => v.len(),
        }
    }

    fn row(&self, r: usize, heap: &mut Vec<u8>) -> Vec<u8> {
        let descriptor = |bytes: Vec<u8>, n: usize, heap: &mut Vec<u8>| {
            let mut out = (n as i32).to_be_bytes().to_vec();
            out.extend((heap.len() as i32).to_be_bytes());
            heap.extend(bytes);
            out
        };
        match self {
            Data::I(v) => v[r].to_be_bytes().to_vec(),
            Data::J(v) => v[r].to_be_bytes().to_vec(),
            Data::E(v) => v[r].to_be_bytes().to_vec(),
            Data::D(v) => v[r].to_be_bytes().to_vec(),
            Data::VectorI(n, v) => v[r * n..(r + 1) * n].iter().flat_map(|x| x.to_be_bytes()).collect(),
            Data::VectorE(n, v) => v[r * n..(r + 1) * n].iter().flat_map(|x| x.to_be_bytes()).collect(),
            Data::HeapI(v) => descriptor(v[r].iter().flat_map(|x| x.to_be_bytes()).collect(), v[r].len(), heap),
            Data::HeapD(v) => descriptor(v[r].iter().flat_map(|x| x.to_be_bytes()).collect(), v[r].len(), heap),
            Data::VectorJ(n, v) => v[r * n..(r + 1) * n].iter().flat_map(|x| x.to_be_bytes()).collect(),
            Data::L(v) => vec![if v[r] { b'T' } else { b'F' }],
            Data::HeapE(v) => descriptor(v[r].iter().flat_map(|x| x.to_be_bytes()).collect(), v[r].len(), heap),
            Data::Text(n, v) => format!("{:<n$}", v[r]).into_bytes(),
        }
    }
}

fn pad(bytes: &mut Vec<u8>, with: u8) {
    bytes.resize(bytes.len().div_ceil(2880) * 2880, with);
}

fn card(key: &str, value: &str) -> Vec<u8> {
    format!("{:<80}", format!("{key:<8}= {value:>20}")).into_bytes()
}

fn header(cards: &[(String, String)]) -> Vec<u8> {
    let mut out: Vec<u8> = cards.iter().flat_map(|(k, v)| card(k, v)).collect();
    out.extend(format!("{:<80}", "END").into_bytes());
    pad(&mut out, b' ');
    out
}

fn pairs(cards: &[(&str, &str)]) -> Vec<(String, String)> {
    cards.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// A binary table extension; `cards` are further keywords, values as written in the header (strings with their quotes).
pub fn table(name: &str, cards: &[(&str, &str)], columns: &[(&str, Data)]) -> Vec<u8> {
    let rows = columns.first().map_or(0, |c| c.1.rows());
    let (mut body, mut heap) = (Vec::new(), Vec::new());
    for r in 0..rows {
        for (_, data) in columns {
            body.extend(data.row(r, &mut heap));
        }
    }
    let width = body.len().checked_div(rows).unwrap_or(0);
    let mut list = pairs(&[("XTENSION", "'BINTABLE'"), ("BITPIX", "8"), ("NAXIS", "2")]);
    list.push(("NAXIS1".into(), width.to_string()));
    list.push(("NAXIS2".into(), rows.to_string()));
    list.push(("PCOUNT".into(), heap.len().to_string()));
    list.push(("GCOUNT".into(), "1".into()));
    list.push(("TFIELDS".into(), columns.len().to_string()));
    for (i, (column, data)) in columns.iter().enumerate() {
        list.push((format!("TTYPE{}", i + 1), format!("'{column:<8}'")));
        list.push((format!("TFORM{}", i + 1), format!("'{:<8}'", data.form())));
    }
    list.push(("EXTNAME".into(), format!("'{name:<8}'")));
    list.extend(pairs(cards));
    let mut out = header(&list);
    out.extend(body);
    out.extend(heap);
    pad(&mut out, 0);
    out
}

/// A file: an empty primary HDU and these extensions.
pub fn file(extensions: &[Vec<u8>]) -> Vec<u8> {
    file_with(&[], extensions)
}

/// The same with keywords in the primary HDU.
pub fn file_with(cards: &[(&str, &str)], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut all = vec![("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0"), ("EXTEND", "T")];
    all.extend_from_slice(cards);
    let mut out = header(&pairs(&all));
    for extension in extensions {
        out.extend(extension);
    }
    out
}

/// EBOUNDS with `n` channels of 1 keV from 1 keV on, numbered from `first`.
pub fn ebounds(first: i32, n: usize) -> Vec<u8> {
    table(
        "EBOUNDS",
        &[],
        &[
            ("CHANNEL", Data::J((0..n as i32).map(|i| first + i).collect())),
            ("E_MIN", Data::E((0..n).map(|i| 1.0 + i as f32).collect())),
            ("E_MAX", Data::E((0..n).map(|i| 2.0 + i as f32).collect())),
        ],
    )
}

/// Energy columns: `n` bins of 1 keV from `first` keV on.
pub fn energies(first: f32, n: usize) -> (Data, Data) {
    (Data::E((0..n).map(|i| first + i as f32).collect()), Data::E((0..n).map(|i| first + 1.0 + i as f32).collect()))
}

/// An ARF with this area on bins of 1 keV from `first` keV on.
pub fn arf(first: f32, area: &[f32]) -> Vec<u8> {
    let (lo, hi) = energies(first, area.len());
    file(&[table("SPECRESP", &[], &[("ENERG_LO", lo), ("ENERG_HI", hi), ("SPECRESP", Data::E(area.to_vec()))])])
}

/// A type-I spectrum with channels from `first` on, an exposure of 100 s and further keywords.
pub fn pha(first: i32, counts: &[i32], cards: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![("EXPOSURE", "100.0"), ("POISSERR", "T")];
    all.extend_from_slice(cards);
    let channels = (0..counts.len() as i32).map(|i| first + i).collect();
    file(&[table("SPECTRUM", &all, &[("CHANNEL", Data::J(channels)), ("COUNTS", Data::J(counts.to_vec()))])])
}
