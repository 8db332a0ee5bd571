//! Classifies Redis errors.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::StoreError;

/// Whether another connection may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The server refuses to serve because it is starting, has lost its primary or has become a
    /// replica. It did not execute the command.
    WrongServer,
    /// The connection failed or was lost. The command may have been executed.
    Lost,
    /// No reply in time: the server hangs, or its machine is gone.
    Timeout,
    /// The command itself was rejected.
    Other,
}

const WRONG_SERVER: [&str; 8] =
    ["READONLY", "MOVED", "ASK", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"];

impl Failure {
    pub fn classify(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let is = |code: &str| {
            error.code() == Some(code)
                // Redis 6 puts the code of an error inside a script into the message.
                || error.detail().is_some_and(|detail| detail.contains(&format!("-{code} ")))
        };
        if WRONG_SERVER.iter().any(|code| is(code)) {
            return Self::WrongServer;
        }
        match error.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => Self::Lost,
            _ => Self::Other,
        }
    }
}

pub fn unavailable(error: RedisError) -> StoreError {
    if error.is_timeout() {
        return StoreError::Timeout;
    }
    if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
        return StoreError::unavailable(format!(
            "{error}: the server is a node of a Redis Cluster, which needs the feature \
             `redis-cluster` and RedisStoreBuilder::connect_cluster"
        ));
    }
    StoreError::unavailable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(reply: &str) -> RedisError {
        redis::parse_redis_value(reply.as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn e8_a_server_that_cannot_serve_is_told_from_a_refused_command() {
        for reply in [
            "-READONLY You can't write against a read only replica.\r\n",
            "-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write \
             against a read only replica. \r\n",
            "-LOADING Redis is loading the dataset in memory\r\n",
            "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
            "-MOVED 3999 127.0.0.1:6381\r\n",
            "-NOREPLICAS Not enough good replicas to write.\r\n",
        ] {
            assert_eq!(Failure::classify(&error(reply)), Failure::WrongServer, "{reply}");
        }
        for reply in ["-NOPERM No permissions\r\n", "-MISCONF Errors writing to the disk\r\n"] {
            assert_eq!(Failure::classify(&error(reply)), Failure::Other, "{reply}");
        }
        let closed = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(Failure::classify(&closed.into()), Failure::Lost);
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert_eq!(Failure::classify(&late.into()), Failure::Timeout);
    }
}
