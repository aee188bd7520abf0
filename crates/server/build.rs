//! The console and the API's reference page are embedded: when their files change, so does the server.
fn main() {
    println!("cargo::rerun-if-changed=../../console/dist");
    println!("cargo::rerun-if-changed=../../reference/dist");
}
