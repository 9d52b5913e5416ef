fn main() -> std::process::ExitCode {
    rontgen::cli::main()
}
