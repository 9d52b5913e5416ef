fn main() -> std::process::ExitCode {
    // Mesa's device-selection layer asks the desktop which adapter it shows on, and complains on standard error where there is
    // none to ask. A folder that cannot exist keeps it silent, and nobody can put a socket into it.
    #[cfg(target_os = "linux")]
    if std::env::var_os("XDG_RUNTIME_DIR").is_none_or(|folder| folder.is_empty()) {
        // SAFETY: the program begins: no other thread reads the environment yet.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", "/nonexistent") };
    }
    // The same of a folder that it cannot keep its compiled shaders in: it does without them, and need not say so.
    #[cfg(target_os = "linux")]
    if rontgen::cli::environment::shader_cache_is_unusable() {
        // SAFETY: as above.
        unsafe { std::env::set_var("MESA_SHADER_CACHE_DISABLE", "true") };
    }
    rontgen::cli::main()
}
