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

/// Makes writes. With index entries, the first keys are ages and order, and each write has the keys of its
/// row, its sites and its workspaces; the script also writes the entries, unless the existing ones still
/// fit. Without them, each write has one key.
///
/// Arguments: channel, `1` with index entries, then for each write: number of sets, grant, mode, version,
/// obtained at, new stamp, coverage, document, member without its stamp, message. Modes: `save`; `update`
/// and `remove`, which require the same version; `indexed`, which records that the entries of this stamp
/// are written.
///
/// Returns why publishing failed, and for each write 1 if it was made and its entries still fit, 0 if it was
/// not made, and otherwise the replaced value, whose entries do not fit, and the error. An error before
/// anything was written is the script's: it may be the server's state, and the others can still be made.
pub static WRITE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local call = redis.call
local indexed, unpublished, written, replies, key = ARGV[2] == '1', '', false, {}, 1
if indexed then key = 3 end
local function write(sets, grant, mode, version, obtained_at, stamp, coverage, document, member, message)
  local row = KEYS[key]
  local found = call('HGET', row, grant)
  local old_version, old_obtained_at, old_stamp, old_coverage
  if found then
    old_version, old_obtained_at, old_stamp, old_coverage =
      string.match(found, '^(%d+):(%d+):([%w_-]*):([%w_-]*):')
  end
  local function put(stamp, coverage)
    call('HSET', row, grant, version .. ':' .. obtained_at .. ':' .. stamp .. ':' .. coverage .. ':' .. document)
  end
  if mode == 'indexed' then
    if old_version ~= version or old_stamp ~= stamp then return 0 end
    put(stamp, coverage)
    return 1
  end
  if mode ~= 'save' and old_version ~= version then return 0 end
  local reply = 1
  if mode == 'remove' then
    call('HDEL', row, grant)
    reply = {found, ''}
  elseif old_coverage == coverage and tonumber(old_obtained_at) <= tonumber(obtained_at) then
    put(old_stamp, coverage)
  elseif indexed then
    member = member .. stamp
    call('ZADD', KEYS[1], obtained_at, member)
    call('ZADD', KEYS[2], 0, member)
    for i = key + 1, key + sets do call('SADD', KEYS[i], member) end
    put(stamp, coverage)
    reply = {found or '', ''}
  else
    put(stamp, '')
    reply = {found or '', ''}
  end
  local published = redis.pcall('PUBLISH', ARGV[1], message)
  if type(published) == 'table' and published.err then unpublished = published.err end
  return reply
end
for at = 3, #ARGV, 10 do
  local done, reply = pcall(write, unpack(ARGV, at, at + 9))
  if not done then
    -- Redis 6 raises texts, later versions raise tables.
    local problem = type(reply) == 'table' and reply.err or reply
    if not written then return {err = problem} end
    reply = {'', problem}
  end
  written = written or done and reply ~= 0
  replies[#replies + 1] = reply
  key = key + 1 + ARGV[at]
end
return {unpublished, replies}",
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
