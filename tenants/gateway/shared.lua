-- Takes units of several counters for several calls, each call wholly or not at all.
--
-- A window is a hash: the number of a slot, a thirtieth of its seconds long, and the units used in it.
-- A month is a number, a gate an instant in milliseconds. The clock is Redis's own.
--
-- KEYS[1]  the processes that share; the others are the counters.
-- ARGV     process, calls; for each call: needs; for each need: key, kind, limit, seconds, units.
--          kind w: a window; m: a month, limit 'limit/seed', seconds to its end; g: a gate.
--          Always taken are calls of one need of kind c, which closes a gate for its seconds, or of
--          kind a, a correction: its limit is m for a month, else how long ago (ms) units were taken.
-- Returns  how many processes share, then for each call: 0, or the number of the need that has no
--          room, milliseconds until it has, and what is used of it.
local SLOTS = 30
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local at = 1
local function next_one() at = at + 1; return ARGV[at - 1] end

local function used(key, seconds)
  local width = seconds * 1000 / SLOTS
  local fields, total, slots = redis.call('HGETALL', key), 0, {}
  for i = 1, #fields, 2 do
    local ends = (tonumber(fields[i]) + 1) * width + seconds * 1000
    if ends <= now then
      redis.call('HDEL', key, fields[i])
    else
      total = total + tonumber(fields[i + 1])
      slots[#slots + 1] = {ends, tonumber(fields[i + 1])}
    end
  end
  return total, slots
end

local function add(key, seconds, units, age)
  local width = seconds * 1000 / SLOTS
  local slot = math.floor((now - age) / width)
  if (slot + 1) * width + seconds * 1000 <= now then return end
  redis.call('HINCRBY', key, string.format('%.0f', slot), string.format('%.0f', units))
  redis.call('PEXPIRE', key, math.ceil(seconds * 2000) + 1000)
end

local function wait_for(need)
  if need.kind == 'g' then
    local till = tonumber(redis.call('GET', need.key) or 0)
    return math.max(till - now, 0), 0
  end
  if need.kind == 'm' then
    local limit, seed = string.match(need.limit, '(.+)/(.+)')
    redis.call('SET', need.key, seed, 'NX', 'PX', math.ceil(need.seconds * 1000) + 1000)
    local total = tonumber(redis.call('GET', need.key))
    if total + need.units <= tonumber(limit) then return 0, total end
    return math.ceil(need.seconds * 1000), total
  end
  local total, slots = used(need.key, need.seconds)
  local missing = total + need.units - tonumber(need.limit)
  if missing <= 0 then return 0, total end
  table.sort(slots, function(one, other) return one[1] < other[1] end)
  for _, slot in ipairs(slots) do
    missing = missing - slot[2]
    if missing <= 0 then return math.max(math.ceil(slot[1] - now), 1), total end
  end
  return math.ceil(need.seconds * 1000), total
end

local process, calls = next_one(), tonumber(next_one())
redis.call('ZADD', KEYS[1], now, process)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 30000)
redis.call('PEXPIRE', KEYS[1], 60000)
local answer = {redis.call('ZCARD', KEYS[1])}
for _ = 1, calls do
  local needs, lacking, longest, shown = {}, 0, 0, 0
  for number = 1, tonumber(next_one()) do
    local need = {key = KEYS[tonumber(next_one())], kind = next_one(), limit = next_one(),
                  seconds = tonumber(next_one()), units = tonumber(next_one())}
    needs[number] = need
    if need.kind ~= 'a' and need.kind ~= 'c' then
      local wait, total = wait_for(need)
      if wait > longest then lacking, longest, shown = number, wait, total end
    end
  end
  if lacking == 0 then
    for _, need in ipairs(needs) do
      if need.kind == 'm' then
        redis.call('INCRBY', need.key, string.format('%.0f', need.units))
      elseif need.kind == 'w' then
        add(need.key, need.seconds, need.units, 0)
      elseif need.kind == 'a' and need.limit == 'm' then
        if redis.call('EXISTS', need.key) == 1 then
          redis.call('INCRBY', need.key, string.format('%.0f', need.units))
        end
      elseif need.kind == 'a' then
        add(need.key, need.seconds, need.units, tonumber(need.limit))
      elseif need.kind == 'c' then
        local till = now + math.ceil(need.seconds * 1000)
        if till > tonumber(redis.call('GET', need.key) or 0) then
          redis.call('SET', need.key, string.format('%.0f', till), 'PX', till - now + 1000)
        end
      end
    end
  end
  answer[#answer + 1] = lacking
  answer[#answer + 1] = longest
  answer[#answer + 1] = shown
end
return answer
