//! Files of messages: uploaded before the message that shows them.
//!
//! Nothing is remembered of an upload. A bot that ends between upload and message uploads again, and the message
//! still goes once, by its row's transaction id; the first upload is shown nowhere.

use std::io::Cursor;

use fleet_bridge::outbound::{MESSAGE, Outgoing};
use matrix_sdk::Room;
use matrix_sdk::ruma::api::client::media::create_content;
use serde_json::{Value, json};

use crate::refusal::{Refusal, refusal, refusal_of};

/// Uploads the file of a message, if it has one; then the message is ready to be sent.
pub(crate) async fn place(room: &Room, outgoing: &mut Outgoing) -> Result<(), Refusal> {
    let Outgoing::Upload {
        content_type,
        file,
        content,
    } = outgoing
    else {
        return Ok(());
    };
    let (name, place) = upload(room, content_type, file).await?;
    content[name] = place;
    *outgoing = Outgoing::Send {
        event_type: MESSAGE.to_owned(),
        content: content.take(),
    };
    Ok(())
}

/// Uploads a file for a room, encrypted where the room is; the entry of the content that names it.
async fn upload(
    room: &Room,
    content_type: &str,
    file: &[u8],
) -> Result<(&'static str, Value), Refusal> {
    let encryption = room.latest_encryption_state().await;
    let client = room.client();
    if encryption.map_err(|e| refusal(&e))?.is_encrypted() {
        let mut reader = Cursor::new(file);
        let sent = client.upload_encrypted_file(&mut reader).await;
        let sent = sent.map_err(|e| refusal(&e))?;
        let named = serde_json::to_value(sent).map_err(|e| Refusal::Final(e.to_string()))?;
        return Ok(("file", named));
    }
    let mut request = create_content::v3::Request::new(file.to_vec());
    request.content_type = Some(content_type.to_owned());
    let sent = client.send(request).await.map_err(|e| refusal_of(&e))?;
    Ok(("url", json!(sent.content_uri)))
}
