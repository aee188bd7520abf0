//! The console is embedded: when its files change, so does the server.
fn main() {
    println!("cargo::rerun-if-changed=../../console/dist");
}
