// serde_json over source lines on stdin: cargo run -- FOLDER
use std::io::BufRead;

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let (mut compact, mut pretty) = (String::new(), String::new());
    for line in std::io::stdin().lock().lines() {
        let d: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        compact += &(serde_json::to_string(&d).unwrap() + "\n");
        pretty += &(serde_json::to_string_pretty(&d).unwrap() + "\n");
    }
    std::fs::write(format!("{folder}/rust-serde.json"), compact).unwrap();
    std::fs::write(format!("{folder}/rust-pretty.json"), pretty).unwrap();
}
