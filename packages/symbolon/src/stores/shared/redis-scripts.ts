/**
 * The Lua that runs inside Redis: each script is one atomic step.
 *
 * Every script of records gets the keys of its bucket, `KEYS[1]` the expiry and `KEYS[2]` the index, then the keys of
 * the records it may touch: none is made up inside (Redis' own rule for scripts). It gets `ARGV[1]` the engine's time,
 * `ARGV[2]` the id of the write and `ARGV[3]` the channel for messages, or nothing. The id makes a write that the client
 * sends twice (some do, after a lost connection) one write: the second finds its own id and answers as the first did.
 *
 * The layout of entries and references is told in `redis-entry.ts`.
 */
import { createHash } from "node:crypto";

/** A script, and the name by which a server knows it. */
export interface RedisScript {
  readonly text: string;
  readonly sha: string;
}

/** What every script of records begins with. */
const COMMON = `
local EXPIRY, INDEX = KEYS[1], KEYS[2]
local NOW, ID, CHANNEL = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local HEAD, LAYOUT = 50, '>Bc12dddI4I4I4B'
local HOUR, DAY = 3600000, 86400000

-- An entry's parts; the head alone is enough for all but reference, text and data.
local function parse(entry)
  local format, id, version, deadline, at, route, size, length, hasData = struct.unpack(LAYOUT, entry)
  local text = HEAD + size
  return {
    live = format == 1, id = id, version = version, deadline = deadline, at = at, route = route,
    reference = string.sub(entry, HEAD + 1, text),
    data = hasData == 1 and string.sub(entry, text + length + 1) or nil,
  }
end

local function build(format, version, deadline, at, route, reference, text, data)
  local head = struct.pack(LAYOUT, format, ID, version, deadline, at, route, #reference, #text, data and 1 or 0)
  return head .. reference .. text .. (data or '')
end

-- Of a live reference: space, lookup, created, owner, tenant.
local function fields(reference)
  return string.match(reference, '^r%.([^.]*)%.([^.]*)%.([^.]*)%.([^.]*)%.([^.]*)$')
end

-- The members of the index for a reference; a tombstone has none.
local function members(reference)
  local space, lookup, created, owner, tenant = fields(reference)
  if not space then return {} end
  local list = owner == '' and 'a.' or 't.'
  local tail = created .. '.' .. lookup .. '.' .. owner .. '.' .. tenant
  local found = { list .. space .. '..' .. tail }
  if tenant ~= '' then found[2] = list .. space .. '.' .. tenant .. '.' .. tail end
  if owner ~= '' then found[#found + 1] = 'u.' .. space .. '.' .. owner .. '.' .. tail end
  return found
end

local function upper(prefix) return string.sub(prefix, 1, -2) .. '/' end

local function range(prefix)
  return redis.call('ZRANGEBYLEX', INDEX, '[' .. prefix, '(' .. upper(prefix))
end

-- Created, lookup, owner and tenant of a member.
local function tail(member)
  return string.match(member, '^[atu]%.[^.]*%.[^.]*%.([^.]*)%.([^.]*)%.([^.]*)%.([^.]*)$')
end

local function drop(reference)
  redis.call('ZREM', EXPIRY, reference)
  for _, member in ipairs(members(reference)) do redis.call('ZREM', INDEX, member) end
end

-- Drops the references of a record that is not there, known by one of them.
local function forget(space, member)
  local created, lookup, owner, tenant = tail(member)
  drop('r.' .. space .. '.' .. lookup .. '.' .. created .. '.' .. owner .. '.' .. tenant)
end

-- Stores an entry. Its key outlives the deadline by an hour, so that pruning finds it.
local function put(key, entry, deadline, reference)
  local life = math.min(math.max(deadline - NOW + HOUR, 60000), 400 * DAY)
  redis.call('SET', key, entry, 'PX', string.format('%.0f', life))
  if redis.call('ZADD', EXPIRY, deadline, reference) == 1 then
    for _, member in ipairs(members(reference)) do redis.call('ZADD', INDEX, 0, member) end
  end
end

local function tell(kind, name)
  if CHANNEL ~= '' then redis.call('PUBLISH', CHANNEL, kind .. name) end
end

-- Ends a live record.
local function finish(key, held, at, reason)
  local space, lookup = fields(held.reference)
  local deadline = math.min(held.deadline, at + DAY)
  drop(held.reference)
  if deadline <= NOW then
    redis.call('DEL', key)
  else
    local reference = 't.' .. space .. '.' .. lookup
    put(key, build(2, 0, deadline, at, held.route, reference, reason, nil), deadline, reference)
  end
  tell('c', lookup)
end

-- The members within a prefix of records past their deadline.
local function expired(prefix)
  local gone = {}
  for _, reference in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', ARGV[1])) do
    for _, member in ipairs(members(reference)) do
      if string.sub(member, 1, #prefix) == prefix then gone[member] = true end
    end
  end
  return gone
end

local function size(set)
  local count = 0
  for _ in pairs(set) do count = count + 1 end
  return count
end

-- Lets go of a few references whose keys ended long ago, by the server's clock and by the caller's.
local function sweep()
  local before = math.min(NOW, tonumber(redis.call('TIME')[1]) * 1000) - DAY
  for _, reference in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', before, 'LIMIT', 0, 10)) do
    drop(reference)
  end
end
`;

/** What the scripts begin with that ask who has a lock. */
const HOLDING = `
local function isHeldBy(lock, holder)
  local held = redis.call('GET', lock)
  return held and string.match(held, '^%d+ (.*)$') == holder
end
`;

/** Adds `KEYS[3]` as `ARGV[4]`, an entry; answers `created` or `exists`. */
export const CREATE: RedisScript = recordScript(`
local held = redis.call('GET', KEYS[3])
if held then return parse(held).id == ID and 'created' or 'exists' end
sweep()
local new = parse(ARGV[4])
put(KEYS[3], ARGV[4], new.deadline, new.reference)
return 'created'
`);

/**
 * Replaces what may change of `KEYS[3]` if its version is `ARGV[4]`: touchedAt, deadline and envelope are `ARGV[5]` to
 * `ARGV[7]`; `ARGV[8]` says `keep` or `none`, or `set` data to `ARGV[9]`. With a fourth key, only while `ARGV[10]` has
 * that lock. Answers `updated`, `lost`, `conflict` or `missing`; what it did before first, for the lock may be free since.
 */
export const UPDATE: RedisScript = recordScript(`${HOLDING}
local found = redis.call('GET', KEYS[3])
local held = found and parse(found)
local isLive = held and held.live
local version = tonumber(ARGV[4])
if isLive and held.id == ID and held.version == version + 1 then return 'updated' end
if KEYS[4] and not isHeldBy(KEYS[4], ARGV[10]) then return 'lost' end
if not isLive then return 'missing' end
if held.version ~= version then return 'conflict' end
local data = held.data
if ARGV[8] == 'none' then data = nil end
if ARGV[8] == 'set' then data = ARGV[9] end
local deadline = tonumber(ARGV[6])
local entry = build(1, version + 1, deadline, tonumber(ARGV[5]), held.route, held.reference, ARGV[7], data)
put(KEYS[3], entry, deadline, held.reference)
sweep()
local _, lookup = fields(held.reference)
tell('c', lookup)
return 'updated'
`);

/** Ends the records from `KEYS[3]` on, at `ARGV[4]` for the reason `ARGV[5]`; answers how many were live. */
export const END: RedisScript = recordScript(`
local ended = 0
for number = 3, #KEYS do
  local found = redis.call('GET', KEYS[number])
  local held = found and parse(found)
  if held and held.live then
    finish(KEYS[number], held, tonumber(ARGV[4]), ARGV[5])
    ended = ended + 1
  elseif held and held.id == ID then
    ended = ended + 1
  end
end
sweep()
return ended
`);

/**
 * Ends every record of an owner, at `ARGV[4]` for the reason `ARGV[5]`. `ARGV[6]` is the space and `ARGV[7]` the prefix
 * of the owner's members; then come `ARGV[8]` lookups that stay, and the lookups of `KEYS[3]` on. Answers `ended` and
 * how many; or `declare` and the lookups whose keys it needs, and nothing has changed.
 */
export const END_OWNER: RedisScript = recordScript(`
local first = 9 + tonumber(ARGV[8])
local staying, keys = {}, {}
for number = 9, first - 1 do staying[ARGV[number]] = true end
for number = 3, #KEYS do keys[ARGV[first + number - 3]] = KEYS[number] end
local wanted, undeclared, absent = { 'declare' }, false, {}
for _, member in ipairs(range(ARGV[7])) do
  local _, lookup = tail(member)
  if not staying[lookup] then
    wanted[#wanted + 1] = lookup
    absent[lookup] = member
    undeclared = undeclared or not keys[lookup]
  end
end
if undeclared then return wanted end
local ended = 0
for lookup, key in pairs(keys) do
  local found = redis.call('GET', key)
  local held = found and parse(found)
  if held and held.live then
    finish(key, held, tonumber(ARGV[4]), ARGV[5])
    ended = ended + 1
  elseif held and held.id == ID then
    ended = ended + 1
  elseif absent[lookup] then
    forget(ARGV[6], absent[lookup])
  end
end
sweep()
return { 'ended', ended }
`);

/**
 * Creates `KEYS[3]` as `ARGV[4]`, the entry of an owner, while there is room. `ARGV[5]` is how many the owner may have,
 * or nothing; `ARGV[6]` what happens then; `ARGV[7]` how many more the space may have, or nothing, which holds until
 * `ARGV[8]` by the server's clock; `ARGV[9]` the lookup to be replaced, or nothing; then come the lookups of `KEYS[4]`
 * on. Answers `created` with the entries that were evicted, `exists`, `refused` and the limit, `reused` and the entry,
 * `late`; or `declare` and the lookups whose keys it needs. But for `created` nothing has changed.
 */
export const ADMIT: RedisScript = recordScript(`
local held = redis.call('GET', KEYS[3])
if held then return { parse(held).id == ID and 'created' or 'exists' } end
local new = parse(ARGV[4])
local space, _, _, owner = fields(new.reference)
local prefix = 'u.' .. space .. '.' .. owner .. '.'
local replacing = ARGV[9]
local keys = {}
for number = 4, #KEYS do keys[ARGV[6 + number]] = KEYS[number] end

local replaced = nil
if replacing ~= '' then
  local found = redis.call('GET', keys[replacing])
  local entry = found and parse(found)
  if entry and entry.live and entry.deadline > NOW then
    local _, _, _, theirs = fields(entry.reference)
    if theirs == owner then replaced = entry end
  end
end

local victims, evicted = {}, { 'created' }
if ARGV[5] ~= '' then
  local gone = expired(prefix)
  local others = redis.call('ZLEXCOUNT', INDEX, '[' .. prefix, '(' .. upper(prefix)) - size(gone)
  if replaced then others = others - 1 end
  local excess = others + 1 - tonumber(ARGV[5])
  if excess > 0 then
    if ARGV[6] == 'reject' or others <= 0 then return { 'refused', 'owner' } end
    local rivals = {}
    for _, member in ipairs(range(prefix)) do
      local _, lookup = tail(member)
      if not gone[member] and not (replaced and lookup == replacing) then
        rivals[#rivals + 1] = { lookup = lookup, member = member, order = #rivals }
      end
    end
    local first, last = 1, #rivals
    if ARGV[6] == 'evict-oldest' then last = math.min(excess, last) end
    if ARGV[6] == 'reuse' then first = last end
    local wanted, undeclared = { 'declare' }, false
    for number = first, last do
      wanted[#wanted + 1] = rivals[number].lookup
      undeclared = undeclared or not keys[rivals[number].lookup]
    end
    if undeclared then return wanted end
    for number = first, last do
      local rival = rivals[number]
      rival.key = keys[rival.lookup]
      rival.entry = redis.call('GET', rival.key)
      if not rival.entry then
        forget(space, rival.member)
        return wanted
      end
      rival.at = parse(rival.entry).at
      victims[#victims + 1] = rival
    end
    if ARGV[6] == 'reuse' then return { 'reused', victims[1].entry } end
    if ARGV[6] == 'evict-idle' then
      table.sort(victims, function(a, b)
        if a.at ~= b.at then return a.at < b.at end
        return a.order < b.order
      end)
    end
    while #victims > excess do table.remove(victims) end
  end
end

if ARGV[7] ~= '' then
  if tonumber(redis.call('TIME')[1]) * 1000 > tonumber(ARGV[8]) then return { 'late' } end
  local leaving = #victims + (replaced and 1 or 0)
  if 1 - leaving > tonumber(ARGV[7]) then return { 'refused', 'total' } end
end

for _, victim in ipairs(victims) do
  evicted[#evicted + 1] = victim.entry
  finish(victim.key, parse(victim.entry), NOW, 'evicted')
end
if replaced then finish(keys[replacing], replaced, NOW, 'replaced') end
sweep()
put(KEYS[3], ARGV[4], new.deadline, new.reference)
return evicted
`);

/**
 * Counts live records within the prefix `ARGV[4]`, or with `ARGV[5]` set their owners; the members from `ARGV[6]` on
 * are left out.
 */
export const COUNT: RedisScript = recordScript(`
local prefix = ARGV[4]
local gone = expired(prefix)
for number = 6, #ARGV do
  if redis.call('ZSCORE', INDEX, ARGV[number]) then gone[ARGV[number]] = true end
end
if ARGV[5] == '' then
  return redis.call('ZLEXCOUNT', INDEX, '[' .. prefix, '(' .. upper(prefix)) - size(gone)
end
local owners = {}
for _, member in ipairs(range(prefix)) do
  local _, _, owner = tail(member)
  if not gone[member] then owners[owner] = true end
end
return size(owners)
`);

/** Removes the entries from `KEYS[3]` on, whose references are `ARGV[5]` on, that are garbage at `ARGV[4]`; answers how many. */
export const REMOVE: RedisScript = recordScript(`
local removed = 0
for number = 3, #KEYS do
  local reference = ARGV[2 + number]
  local deadline = redis.call('ZSCORE', EXPIRY, reference)
  if deadline and tonumber(deadline) <= tonumber(ARGV[4]) then
    redis.call('DEL', KEYS[number])
    drop(reference)
    removed = removed + 1
  end
end
return removed
`);

/** Stores `ARGV[4]`, an entry, as `KEYS[3]` if it is newer than what is there; answers 1 if it was stored, else 0. */
export const APPLY: RedisScript = recordScript(`
local found = redis.call('GET', KEYS[3])
local new = parse(ARGV[4])
if found then
  local held = parse(found)
  if held.id == ID then return 1 end
  if not held.live or (new.live and new.version <= held.version) then return 0 end
  drop(held.reference)
  local _, lookup = fields(held.reference)
  tell('c', lookup)
end
put(KEYS[3], ARGV[4], new.deadline, new.reference)
return 1
`);

/** Of the expiry `KEYS[1]`: at most `ARGV[2]` references up to the deadline `ARGV[1]`, each followed by its deadline. */
export const DUE: RedisScript = script(`
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
`);

/** Of the expiry `KEYS[1]`: at most `ARGV[3]` references after `ARGV[2]` of the deadline `ARGV[1]`, with deadlines as above. */
export const PAGE: RedisScript = script(`
local from, limit = tonumber(ARGV[1]) or -math.huge, tonumber(ARGV[3])
local page, start = {}, 0
repeat
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', start, limit)
  for number = 1, #found, 2 do
    if (tonumber(found[number + 1]) > from or found[number] > ARGV[2]) and #page < limit * 2 then
      page[#page + 1] = found[number]
      page[#page + 1] = found[number + 1]
    end
  end
  start = start + limit
until #page >= limit * 2 or #found == 0
return page
`);

/**
 * Reserves a place for `ARGV[1]` in `KEYS[1]` for a minute. Answers until when it may be used, half a minute, in ms by
 * the server's clock, and the reservations before it.
 */
export const RESERVE: RedisScript = script(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - 60000000))
local place = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or nil)
if not place then
  local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  place = math.max(now, (tonumber(last[2]) or 0) + 1)
  redis.call('ZADD', KEYS[1], string.format('%.0f', place), ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], 120000)
local answer = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', place))
table.insert(answer, 1, string.format('%.0f', place / 1000 + 30000))
return answer
`);

/**
 * Takes the lock `KEYS[1]` for the holder `ARGV[1]` and `ARGV[2]` ms; `KEYS[2]` is the bucket's last fence. Answers 1
 * and the fence, or 0 and how long it is still held. A fence is a time in microseconds, and greater than the last one
 * also when the clock was set back.
 */
export const ACQUIRE: RedisScript = script(`
local held = redis.call('GET', KEYS[1])
if held then
  local fence, holder = string.match(held, '^(%d+) (.*)$')
  if holder ~= ARGV[1] then return { 0, tostring(math.max(redis.call('PTTL', KEYS[1]), 1)) } end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { 1, fence }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local fence = string.format('%.0f', math.max(now, last + 1))
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], fence .. ' ' .. ARGV[1], 'PX', ARGV[2])
return { 1, fence }
`);

/** Lets the lease of `KEYS[1]` last `ARGV[2]` ms from now if `ARGV[1]` holds it; answers 1 if so, else 0. */
export const RENEW: RedisScript = script(`${HOLDING}
if not isHeldBy(KEYS[1], ARGV[1]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

/** Frees `KEYS[1]` if `ARGV[1]` holds it, and tells so on the channel `ARGV[2]`, if any, as `ARGV[3]`; answers 1 or 0. */
export const RELEASE: RedisScript = script(`${HOLDING}
if not isHeldBy(KEYS[1], ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[2], 'r' .. ARGV[3]) end
return 1
`);

function recordScript(body: string): RedisScript {
  return script(COMMON + body);
}

function script(text: string): RedisScript {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}
