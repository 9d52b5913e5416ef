//! `rontgen devices`: adapters, features, limits, and which one would be taken.

use crate::{
    Error, Result,
    device::{AdapterSummary, adapters},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// Run every kernel on an adapter against the CPU, and a short demo: may its numbers be trusted? Exit status 3 when not
    #[arg(long)]
    pub(super) test: bool,
    /// The adapter to test: a name, "gpu" or "software"
    #[arg(long, value_name = "NAME", default_value = "gpu", requires = "test")]
    pub(super) device: String,
}

#[derive(serde::Serialize)]
struct Document<'a> {
    adapters: &'a [AdapterSummary],
    cpu: CpuSummary,
    /// What `--device auto` takes: an adapter's name, or "cpu".
    auto: &'a str,
}

#[derive(serde::Serialize)]
struct CpuSummary {
    threads: usize,
}

pub fn run(args: Args) -> Result<u8> {
    if args.test {
        return super::device_test::run(&args.device, args.json);
    }
    let adapters = adapters();
    let threads = rayon::current_num_threads();
    let auto = adapters.iter().find(|a| a.auto).map_or("cpu", |a| a.name.as_str());
    if args.json {
        let document = Document { adapters: &adapters, cpu: CpuSummary { threads }, auto };
        let text = serde_json::to_string_pretty(&document).map_err(|e| Error::Input(format!("devices --json: {e}")))?;
        say!("{text}");
        return Ok(0);
    }
    for adapter in &adapters {
        say_as_is!("{}", describe(adapter));
    }
    say!("native CPU\n  threads         {threads}");
    say!("\n--device auto takes {}", if auto == "cpu" { "the native CPU" } else { auto });
    Ok(0)
}

fn describe(a: &AdapterSummary) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let note = match a.kind.as_str() {
        "software" => ", taken only by name: --device software",
        _ => "",
    };
    format!(
        "{}\n  kind            {} ({}){note}\n  driver          {}\n  largest buffer  {}, binding {}\n  \
         workgroup       {} invocations, {} KiB\n  matrices        {}\n  features        {}\n",
        a.name,
        a.kind,
        a.backend,
        a.driver,
        mib(a.max_buffer_bytes),
        mib(a.max_binding_bytes),
        a.max_workgroup_invocations,
        a.workgroup_memory_bytes >> 10,
        a.cooperative_matrix,
        a.features.join(" ")
    )
}
