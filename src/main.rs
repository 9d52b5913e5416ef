fn main() -> std::process::ExitCode {
    // Mesa's device-selection layer asks the desktop which adapter it shows on, and complains on standard error where there is
    // none to ask. A folder that cannot exist keeps it silent, and nobody can put a socket into it.
    #[cfg(target_os = "linux")]
    if std::env::var_os("XDG_RUNTIME_DIR").is_none_or(|folder| folder.is_empty()) {
        // SAFETY: the first statement of the program: no other thread reads the environment yet.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", "/nonexistent") };
    }
    rontgen::cli::main()
}
