"""The Lua scripts of the Redis store. Each is one step that nobody can come between, in Redis and Valkey alike.

Keys, below `mosk-proxy:`, digests in hexadecimal: `session:<key>` a hash, `subject:<digest>` and `sid:<digest>` sets of session keys,
`claim:<key>`, `once:<name>`, and `changes`, a stream that all workers read.
"""

from typing import Final

PREFIX: Final = "mosk-proxy:"
CHANGES: Final = PREFIX + "changes"
# Workers read it within the second; what is kept beyond that serves those that were stopped for a while.
_MOST_CHANGES: Final = 20_000

_TELL: Final = f"""
local function tell(key, what)
  redis.call('XADD', '{CHANGES}', 'MAXLEN', '~', '{_MOST_CHANGES}', '*', what, key)
end
"""

# KEYS: the session, then the sets that it goes into. ARGV: key, milliseconds until it is idle, seconds until it ends, then names
# and values of its fields. A set lives as long as the longest of its sessions.
PUT: Final = """
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 2, #KEYS do
  redis.call('SADD', KEYS[i], ARGV[1])
  if redis.call('TTL', KEYS[i]) < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[i], ARGV[3]) end
end
return 1
"""

# KEYS: the session, its claim. ARGV: key, revision, sealed.
REPLACE: Final = f"""{_TELL}
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'sealed', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'revision', 1)
redis.call('DEL', KEYS[2])
tell(ARGV[1], 'changed')
return 1
"""

# KEYS: sessions. ARGV: their keys. Returns those that were there.
REMOVE: Final = f"""{_TELL}
local removed = {{}}
for i = 1, #KEYS do
  local sets = redis.call('HMGET', KEYS[i], 'subject', 'provider_session')
  if redis.call('DEL', KEYS[i]) == 1 then
    if sets[1] then redis.call('SREM', '{PREFIX}subject:' .. sets[1], ARGV[i]) end
    if sets[2] then redis.call('SREM', '{PREFIX}sid:' .. sets[2], ARGV[i]) end
    tell(ARGV[i], 'ended')
    table.insert(removed, ARGV[i])
  end
end
return removed
"""

# KEYS: sessions. ARGV: their keys. Returns those that are not there.
MISSING: Final = """
local missing = {}
for i = 1, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then table.insert(missing, ARGV[i]) end
end
return missing
"""

# KEYS: sessions. ARGV: for each of them the moment it was seen and the milliseconds until it is idle. A hash that is gone stays gone.
TOUCH: Final = """
for i = 1, #KEYS do
  local seen = redis.call('HGET', KEYS[i], 'last_seen')
  if seen and tonumber(seen) < tonumber(ARGV[2 * i - 1]) then
    redis.call('HSET', KEYS[i], 'last_seen', ARGV[2 * i - 1])
    local ends_at = tonumber(redis.call('HGET', KEYS[i], 'ends_at'))
    local left = math.floor((ends_at - tonumber(ARGV[2 * i - 1])) * 1000)
    redis.call('PEXPIRE', KEYS[i], math.max(1, math.min(left, tonumber(ARGV[2 * i]))))
  end
end
return 1
"""

# KEYS: the session, its claim. ARGV: revision, holder, milliseconds.
CLAIM: Final = """
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[1] then return 0 end
return redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) and 1 or 0
"""

# KEYS: the claim. ARGV: holder.
RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
