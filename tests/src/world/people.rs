//! Who else is in a world, and the product as they run it in a shell.

use fleet_agent::matrix::Matrix;
use fleet_homeserver::Secret;

use super::{Fault, PASSWORD, World, accounts, eventually, fleet};

impl World {
    /// Runs the product with the configuration of this fleet, and with these variables over it.
    ///
    /// # Errors
    /// When it cannot be started; what it comes to is in the output.
    pub async fn fleet(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<std::process::Output, Fault> {
        Ok(self.command(arguments, variables)?.output().await?)
    }

    /// The same, not started yet; it is killed when its handle is dropped.
    ///
    /// # Errors
    /// When the product is not there.
    pub fn command(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<tokio::process::Command, Fault> {
        let mut command = tokio::process::Command::new(fleet()?);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .envs(variables.iter().copied())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// The user id of an account of this fleet.
    pub fn user(&self, name: &str) -> String {
        let (_, server) = self.operator.user_id().split_once(':').unwrap_or_default();
        format!("@{}{name}:{server}", self.prefix)
    }

    /// Makes an account, with [`PASSWORD`], and logs in.
    ///
    /// # Errors
    /// The homeserver's.
    pub async fn person(&self, name: &str) -> Result<Matrix, Fault> {
        let (accounts, registration) = accounts(&self.stack)?;
        let name = format!("{}{name}", self.prefix);
        let session = accounts
            .ensure_account(&registration, &name, &Secret::new(PASSWORD), None, "test")
            .await?;
        let url = self.stack.homeserver().url.clone();
        Ok(Matrix::with_token(url, session.access_token.expose()).await?)
    }

    /// Grants a role to a new account and lets it into the lobby.
    ///
    /// # Errors
    /// The homeserver's.
    pub async fn member(&self, name: &str, role: &str) -> Result<Matrix, Fault> {
        let person = self.person(name).await?;
        let line = format!("!member add {} --role {role}", person.user_id());
        self.ask(&line).await?;
        eventually("the new member may join", || async {
            person.join(&self.lobby).await.ok()
        })
        .await?;
        Ok(person)
    }
}
