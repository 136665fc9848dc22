// Empty: Cargo.toml explains.
