//! procfs reads DIRECTORY/mountinfo once for each line of standard input, and prints nanoseconds and mounts.
//! DIRECTORY must be named by a number, as those of /proc are; it reads no memory, so give it a file in memory.
use std::io::BufRead;

fn main() {
    let directory = std::env::args().nth(1).expect("a directory");
    for _ in std::io::stdin().lock().lines() {
        let begun = std::time::Instant::now();
        let process = procfs::process::Process::new_with_root(directory.clone().into()).expect("a directory like /proc/1");
        let mounts = process.mountinfo().expect("a mount table");
        println!("{} {}", begun.elapsed().as_nanos(), mounts.len());
    }
}
