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

/// Writes grants. With index entries, the first keys are ages and order, and each grant has the keys of
/// its row, its sites and its workspaces; the script also writes the entries, unless the existing ones
/// still fit. Without them, each grant has one key.
///
/// Arguments: channel, `1` with index entries, then for each grant: number of sets, grant, mode, version,
/// obtained at, new stamp, coverage, document, member without its stamp, message. Modes: `save`;
/// `update`, which requires the same version; `indexed`, which records that the entries of this stamp
/// are written.
///
/// Returns why publishing failed, and for each grant whether it wrote, whether the entries still fit, and
/// the replaced value if they do not.
pub static WRITE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local call, match = redis.call, string.match
local unpublished, replies, key = '', {}, 1
local indexed = ARGV[2] == '1'
if indexed then key = 3 end
for at = 3, #ARGV, 10 do
  local sets, grant, mode, version, obtained_at, stamp, coverage, document, member, message = unpack(ARGV, at, at + 9)
  local row = KEYS[key]
  local found = call('HGET', row, grant)
  local old_version, old_obtained_at, old_stamp, old_coverage
  if found then
    old_version, old_obtained_at, old_stamp, old_coverage = match(found, '^(%d+):(%d+):([%w_-]*):([%w_-]*):')
  end
  local reply = {0, 0, ''}
  local function put(stamp, coverage)
    call('HSET', row, grant, version .. ':' .. obtained_at .. ':' .. stamp .. ':' .. coverage .. ':' .. document)
  end
  if mode == 'indexed' then
    if old_version == version and old_stamp == stamp then
      put(stamp, coverage)
      reply = {1, 1, ''}
    end
  elseif mode == 'save' or old_version == version then
    if old_coverage == coverage and tonumber(old_obtained_at) <= tonumber(obtained_at) then
      put(old_stamp, coverage)
      reply = {1, 1, ''}
    else
      if indexed then
        member = member .. stamp
        call('ZADD', KEYS[1], obtained_at, member)
        call('ZADD', KEYS[2], 0, member)
        for i = key + 1, key + sets do call('SADD', KEYS[i], member) end
        put(stamp, coverage)
      else
        put(stamp, '')
      end
      reply = {1, 0, found or ''}
    end
    local published = redis.pcall('PUBLISH', ARGV[1], message)
    if type(published) == 'table' and published.err then unpublished = published.err end
  end
  replies[#replies + 1] = reply
  key = key + 1 + sets
end
return {unpublished, replies}",
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
