//! Tokens as the register's owner makes, lists and revokes them, and as `init` finds them.

use fleet_gateway::{
    InitError, InitSettings, NewToken, Scope, Secret, SystemClock, TokenError, TokenFile, Tokens,
    UuidIds, init,
};
use fleet_protocol::api::path;
use reqwest::StatusCode;
use serde_json::json;

use crate::stage::{OPERATOR, Stage};

const AGENT: &str = "@agent-code-1-box:test";

async fn tokens(stage: &Stage) -> Tokens {
    let owner = Secret::new(stage.database.owner.to_string());
    Tokens::open(&owner, "default".parse().unwrap())
        .await
        .unwrap()
}

fn agent(name: &str) -> NewToken {
    NewToken {
        name: name.parse().unwrap(),
        scopes: vec![Scope::Agent],
        user: Some(AGENT.parse().unwrap()),
    }
}

async fn register(stage: &Stage, token: &str, key: &str) -> StatusCode {
    let args = json!({ "name": "code-1", "role": "code", "host": "box" });
    let body = json!({ "request": { "agent.register": args } });
    stage
        .http
        .post(format!("{}{}", stage.url, path::COMMANDS))
        .bearer_auth(token)
        .header("idempotency-key", key)
        .json(&body)
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn an_agents_token_works_until_it_is_revoked_and_is_nowhere_in_clear() {
    let stage = Stage::new().await;
    let grant = json!({ "member.add": { "user": AGENT, "role": "agent" } });
    assert_eq!(stage.command("grant", grant).await.status(), 200);
    let mut tokens = tokens(&stage).await;
    let made = tokens
        .make(&agent("code-1"), &SystemClock, &UuidIds)
        .await
        .unwrap();
    let token = made.reveal();
    assert!(token.starts_with("magt_"));
    assert!(!format!("{made:?}").contains(token));
    let digest = format!(
        "SELECT count(*) FROM fleet.tokens WHERE name = 'code-1' AND sha256 = sha256('{token}'::bytea)"
    );
    assert_eq!(stage.database.count(&digest).await, 1);
    assert_eq!(register(&stage, token, "r1").await, StatusCode::OK);

    let listed = tokens.list().await.unwrap();
    let one = listed.iter().find(|t| t.name == "code-1").unwrap();
    assert_eq!(one.user.as_deref(), Some(AGENT));
    assert_eq!(
        (&one.scopes[..], one.revoked_at),
        (&["agent".to_owned()][..], None)
    );
    assert!(!serde_json::to_string(&listed).unwrap().contains(token));

    assert_eq!(tokens.revoke("code-1", &SystemClock).await.unwrap(), 1);
    // A gateway remembers a token for five seconds.
    stage.clock.advance(6);
    assert_eq!(
        register(&stage, token, "r2").await,
        StatusCode::UNAUTHORIZED
    );
    let listed = tokens.list().await.unwrap();
    assert!(
        listed
            .iter()
            .any(|t| t.name == "code-1" && t.revoked_at.is_some())
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_name_is_used_once_at_a_time_and_an_agent_has_a_user() {
    let stage = Stage::new().await;
    let mut tokens = tokens(&stage).await;
    let (clock, ids) = (SystemClock, UuidIds);
    let made = tokens.make(&agent("code-1"), &clock, &ids).await;
    made.unwrap();
    let again = tokens.make(&agent("code-1"), &clock, &ids).await;
    assert!(matches!(again.unwrap_err(), TokenError::NameTaken(_)));
    let mut nobodys = agent("code-2");
    nobodys.user = None;
    let refused = tokens.make(&nobodys, &clock, &ids).await;
    assert!(matches!(refused.unwrap_err(), TokenError::NoUser));
    let id = tokens.list().await.unwrap().pop().unwrap().id.to_string();
    assert_eq!(tokens.revoke(&id, &clock).await.unwrap(), 1);
    let gone = tokens.revoke(&id, &clock).await;
    assert!(matches!(gone.unwrap_err(), TokenError::Unknown(_)));
    tokens.make(&agent("code-1"), &clock, &ids).await.unwrap();

    let owner = Secret::new(stage.database.owner.to_string());
    let mut nowhere = Tokens::open(&owner, "elsewhere".parse().unwrap())
        .await
        .unwrap();
    let refused = nowhere.make(&agent("code-1"), &clock, &ids).await;
    assert!(matches!(refused.unwrap_err(), TokenError::NoTenant(_)));
    stage.stop().await;
}

#[tokio::test]
async fn init_refuses_a_file_whose_token_is_another_ones() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = |tenant: &str, user: &str, scopes: Vec<Scope>| InitSettings {
        owner_url: Secret::new(stage.database.owner.to_string()),
        tenant: tenant.parse().unwrap(),
        zone: "UTC".to_owned(),
        operator: Some(user.parse().unwrap()),
        tokens: vec![TokenFile {
            name: "shell".parse().unwrap(),
            scopes,
            user: Some(user.parse().unwrap()),
            path: folder.path().join("token"),
        }],
    };
    let operator = || vec![Scope::Operator];
    let first = settings("default", OPERATOR, operator());
    for _ in 0..2 {
        init(&first, &SystemClock, &UuidIds).await.unwrap();
    }
    let others = [
        (
            settings("default", "@new:test", operator()),
            "acts for @op:test, not for @new:test",
        ),
        (settings("second", OPERATOR, operator()), "tenant default"),
        (
            settings("default", OPERATOR, vec![Scope::Metrics]),
            "scopes operator",
        ),
    ];
    for (other, expected) in others {
        let error = init(&other, &SystemClock, &UuidIds).await.unwrap_err();
        assert!(matches!(error, InitError::OtherToken { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut tokens = tokens(&stage).await;
    tokens.revoke("shell", &SystemClock).await.unwrap();
    let error = init(&first, &SystemClock, &UuidIds).await.unwrap_err();
    assert!(error.to_string().contains("was revoked"), "{error}");
    stage.stop().await;
}
