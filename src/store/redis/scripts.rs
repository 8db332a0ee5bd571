//! Lua scripts, each atomic on the server.
//!
//! A script compares before it writes. A failed publication does not undo the write.

use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// A script, and the hash by which the server knows it.
pub struct Lua {
    code: &'static str,
    hash: String,
}

impl Lua {
    fn new(code: &'static str) -> Self {
        Self { code, hash: Script::new(code).get_hash().to_owned() }
    }

    /// Calls the script by its hash, which the server knows after the first [`eval`](Self::eval).
    pub fn evalsha(&self, keys: &[String], arguments: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.hash, keys, arguments)
    }

    pub fn eval(&self, keys: &[String], arguments: &[&[u8]]) -> Cmd {
        call("EVAL", self.code, keys, arguments)
    }
}

fn call(name: &str, script: &str, keys: &[String], arguments: &[&[u8]]) -> Cmd {
    let mut call = cmd(name);
    call.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    call
}

/// Writes a grant. With further keys (ages, order, then sites and workspaces) it also writes the
/// index entries, unless the existing ones still fit.
///
/// Arguments: grant, mode, version, obtained at, new stamp, coverage, document, member without its
/// stamp, channel, message. Modes: `save`; `update`, which requires the same version; `indexed`,
/// which records that the entries of this stamp are written.
///
/// Returns whether it wrote, whether the entries still fit, the replaced value if they do not, and
/// why publishing failed.
pub static WRITE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local found = redis.call('HGET', KEYS[1], ARGV[1])
local version, obtained_at, stamp, coverage
if found then
  version, obtained_at, stamp, coverage = string.match(found, '^(%d+):(%d+):([%w_-]*):([%w_-]*):')
end
local function put(stamp, coverage)
  local head = table.concat({ARGV[3], ARGV[4], stamp, coverage, ''}, ':')
  redis.call('HSET', KEYS[1], ARGV[1], head .. ARGV[7])
end
if ARGV[2] == 'indexed' then
  if version ~= ARGV[3] or stamp ~= ARGV[5] then return {0, 0, '', ''} end
  put(stamp, ARGV[6])
  return {1, 1, '', ''}
end
if ARGV[2] == 'update' and version ~= ARGV[3] then return {0, 0, '', ''} end
local fits = coverage == ARGV[6] and tonumber(obtained_at) <= tonumber(ARGV[4])
if fits then
  put(stamp, coverage)
elseif #KEYS > 1 then
  local member = ARGV[8] .. ARGV[5]
  redis.call('ZADD', KEYS[2], ARGV[4], member)
  redis.call('ZADD', KEYS[3], 0, member)
  for i = 4, #KEYS do redis.call('SADD', KEYS[i], member) end
  put(ARGV[5], ARGV[6])
else
  put(ARGV[5], '')
end
local published = redis.pcall('PUBLISH', ARGV[9], ARGV[10])
return {1, fits and 1 or 0, (not fits) and found or '', type(published) == 'table' and published.err or ''}",
    )
});

/// Removes a grant if it has this version.
///
/// Arguments: grant, version, channel, message. Returns whether it removed the grant, the previous
/// value, and why publishing failed.
pub static REMOVE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local found = redis.call('HGET', KEYS[1], ARGV[1])
if not found or string.match(found, '^%d+') ~= ARGV[2] then return {0, '', ''} end
redis.call('HDEL', KEYS[1], ARGV[1])
local published = redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return {1, found, type(published) == 'table' and published.err or ''}",
    )
});

/// Does what logins, lookups, pages and purges do, on three keys of its own. It is called first with
/// the mode `remove`, so that `use` leaves nothing behind that it may not remove. A removal before
/// the first write would keep Redis from checking `maxmemory`.
///
/// Arguments: mode, channel, message. Returns the missing permissions, and why publishing failed.
/// An error that affects more than one command, for example READONLY, is the script's own error.
pub static PROBE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local missing = {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'permission') and not string.find(reply.err, ' can.t run ') then
      return reply
    end
    table.insert(missing, name .. ' (' .. reply.err .. ')')
  end
end
local function remove()
  return try('HDEL', KEYS[1], 'probe') or try('SREM', KEYS[2], 'probe') or try('ZREM', KEYS[3], 'probe')
end
local function use()
  return try('HSET', KEYS[1], 'probe', '') or try('SADD', KEYS[2], 'probe') or try('ZADD', KEYS[3], 0, 'probe')
    or try('HGET', KEYS[1], 'probe') or try('HVALS', KEYS[1]) or try('SMEMBERS', KEYS[2])
    or try('ZRANGEBYSCORE', KEYS[3], '-inf', 0) or try('ZRANGEBYLEX', KEYS[3], '-', '+', 'LIMIT', 0, 1)
    or remove()
end
local broken
if ARGV[1] == 'use' then broken = use() else broken = remove() end
if broken then return broken end
local published = redis.pcall('PUBLISH', ARGV[2], ARGV[3])
return {table.concat(missing, ', '), type(published) == 'table' and published.err or ''}",
    )
});
