//! Passwords: hashed by argon2id, and checked without holding up what else is going on.
//!
//! A check takes some 20 MiB and tens of milliseconds on purpose. So a few at a time are made, on threads that may
//! block, and one that succeeded is remembered for a minute: a client that sends its password with every request
//! is checked once. What is remembered is a keyed hash, by a key of this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use argon2::{
    Argon2, ParamsBuilder,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use ring::{hmac, rand::SystemRandom};
use tokio::sync::Semaphore;

/// Checks at a time.
const AT_ONCE: usize = 2;

/// How long a check may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a success is remembered, and how many are.
const REMEMBERED: Duration = Duration::from_secs(60);
const MOST: usize = 1024;

/// Longer passwords are not looked at.
const LONGEST: usize = 1024;

/// Memory of one check, in KiB, whatever a hash asks for.
const MOST_MEMORY: u32 = 256 << 10;
const MOST_TURNS: u32 = 100;

/// The hash of `password`, as the settings take it.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash(password: &str) -> Result<String, String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|e| e.to_string())
}

/// Whether `hash` is one that can be checked here.
///
/// # Errors
/// What is wrong with it; never the hash.
pub fn check_hash(hash: &str) -> Result<(), String> {
    const EXPECTED: &str = "expected a hash that `thalweg hash-password` makes ($argon2id$...)";
    let parsed = PasswordHash::new(hash).or(Err(EXPECTED.to_owned()))?;
    let number = |name: &str| parsed.params.get(name).and_then(|value| value.decimal().ok());
    let (memory, turns) = (number("m"), number("t"));
    if parsed.algorithm.as_str() != "argon2id" || parsed.hash.is_none() || memory.is_none() {
        return Err(EXPECTED.to_owned());
    }
    if memory.is_some_and(|m| m > MOST_MEMORY) || turns.is_some_and(|t| t > MOST_TURNS) {
        return Err(format!("each check would take too much: m is at most {MOST_MEMORY}, t {MOST_TURNS}"));
    }
    Ok(())
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Too many wait already.
    Busy,
}

/// Checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    key: hmac::Key,
    right: Mutex<HashMap<[u8; 32], Instant>>,
    /// Of no password: so that a name that nobody has takes as long as one that somebody has.
    nobody: String,
}

impl Passwords {
    pub(super) fn new() -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.or(Err("the system gives no random bytes".to_owned()))?;
        let params = ParamsBuilder::new().build().map_err(|e| e.to_string())?;
        let nobody = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password(hmac::sign(&key, b"nobody").as_ref())
            .map_err(|e| e.to_string())?
            .to_string();
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), key, right: Mutex::default(), nobody })
    }

    /// Whether this password was right a moment ago.
    pub(super) fn is_remembered(&self, name: &str, hash: &str, password: &str) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(&self.mark(name, hash, password)).is_some_and(|until| *until > Instant::now())
    }

    /// Whether `password` is what `hash` was made of; `None`: of a user that there is not.
    pub(super) async fn verify(&self, name: &str, hash: Option<&str>, password: &str) -> Verdict {
        if password.len() > LONGEST {
            return Verdict::Wrong;
        }
        let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await
        else {
            return Verdict::Busy;
        };
        // Somebody who waited for the same may have found out.
        if hash.is_some_and(|hash| self.is_remembered(name, hash, password)) {
            return Verdict::Right;
        }
        let (checked, given) = (hash.unwrap_or(&self.nobody).to_owned(), password.to_owned());
        let check = move || {
            // Held here: whoever asked may go, and the memory is still in use.
            let _turn = turn;
            let parsed = PasswordHash::new(&checked).ok()?;
            Argon2::default().verify_password(given.as_bytes(), &parsed).ok()
        };
        let is_right = tokio::task::spawn_blocking(check).await.is_ok_and(|found| found.is_some());
        match hash.filter(|_| is_right) {
            Some(hash) => {
                self.remember(self.mark(name, hash, password));
                Verdict::Right
            }
            None => Verdict::Wrong,
        }
    }

    fn remember(&self, mark: [u8; 32]) {
        let now = Instant::now();
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= MOST {
            right.retain(|_, until| *until > now);
            if right.len() >= MOST {
                right.clear();
            }
        }
        right.insert(mark, now + REMEMBERED);
    }

    fn mark(&self, name: &str, hash: &str, password: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name, hash, password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut mark = [0; 32];
        mark.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_right_or_wrong_and_remembered() {
        let passwords = Passwords::new().unwrap();
        let hash = hash("correct horse").unwrap();
        check_hash(&hash).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$") && !hash.contains("horse"));
        assert_eq!(passwords.verify("ann", Some(&hash), "wrong horse").await, Verdict::Wrong);
        assert_eq!(passwords.verify("ann", None, "correct horse").await, Verdict::Wrong);
        assert!(!passwords.is_remembered("ann", &hash, "correct horse"));
        assert_eq!(passwords.verify("ann", Some(&hash), "correct horse").await, Verdict::Right);
        assert!(passwords.is_remembered("ann", &hash, "correct horse"));
        // Neither for another, nor for another password, nor when the hash has changed.
        assert!(!passwords.is_remembered("bob", &hash, "correct horse"));
        assert!(!passwords.is_remembered("ann", &hash, "wrong horse"));
        assert!(!passwords.is_remembered("ann", &format!("{hash}x"), "correct horse"));
        assert_eq!(passwords.verify("ann", Some(&hash), &"x".repeat(2000)).await, Verdict::Wrong);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let passwords = Passwords::new().unwrap();
        for n in 0..3 * MOST {
            passwords.remember(passwords.mark(&n.to_string(), "", ""));
            assert!(passwords.right.lock().unwrap().len() <= MOST);
        }
    }

    #[test]
    fn hashes_are_checked_before_they_are_used() {
        let salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
        check_hash(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt_and_hash}")).unwrap();
        for bad in [
            "hunter2".to_owned(),
            format!("$argon2i$v=19$m=19456,t=2,p=1${salt_and_hash}"),
            format!("$argon2id$v=19$m=4000000,t=2,p=1${salt_and_hash}"),
            format!("$argon2id$v=19$m=19456,t=5000,p=1${salt_and_hash}"),
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ".to_owned(),
        ] {
            assert!(check_hash(&bad).is_err(), "{bad}");
        }
    }
}
