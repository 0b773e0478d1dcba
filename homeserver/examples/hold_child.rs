//! Starts a child as the homeserver is started, says so, and waits for ever: to see that the
//! child dies when this process is killed (`kill -9`). The child keeps our standard output open.

use fleet_homeserver::child::{ChildSpec, Output, spawn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let script = "echo started; exec sleep 100000";
    let spec = ChildSpec::new("/bin/sh")
        .args(["-c", script])
        .output(Output::Inherit);
    let child = spawn(&spec).await?;
    child.exited().await;
    Ok(())
}
