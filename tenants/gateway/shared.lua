-- Takes units of several counters for several calls, each call wholly or not at all, and knows which
-- chat messages have begun, whichever process they began in.
--
-- A window is a hash: the number of a slot, a thirtieth of its seconds long, and the units used in it.
-- A month is a number, a gate an instant in milliseconds. The clock is Redis's own.
-- A line belongs to an organization. Its first hash has its messages: when one began, when it was
-- last heard of, how many calls it was served, how many are under way, and what a call needs of
-- windows. Its second has claims: what calls of messages that have begun wait for, and until when.
--
-- KEYS[1]  the processes that share; the others are the counters, and two for each line.
-- ARGV     process, calls; for each call: mode, line (0: none), message, figure, needs; for each need:
--          key, kind, limit, seconds, units.
--          kind w: a window; m: a month, limit 'limit/seed', seconds to its end; g: a gate.
--          Always taken are calls of one need of kind c, which closes a gate for its seconds, or of
--          kind a, a correction: its limit is m for a month, else how long ago (ms) units were taken.
-- Modes    t  takes the needs, for a call of a message if there is one.
--          l  looks whether a message has begun; a new one is counted from now on if it would get
--             through. The figure is 'calls of a message/milliseconds that it can wait'.
--          f  a call of a message is over.          d  a new message is not begun after all.
--          w  claims the needs, for a call of a message that has begun; the figure is
--             'name of the claim/milliseconds'.     x  gives up the claim that the figure names.
-- Returns  how many processes share, then for each call a list: 0, or the number of the need that has
--          no room; milliseconds until it has; what is used of it; for how many milliseconds the
--          message has been begun, -1 for a new one; and how many calls it was served.
local SLOTS, LINGER, LONGEST_CALL, CALLS_OF_A_MESSAGE = 30, 5000, 120000, 10
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

-- Milliseconds until a window has room for so many units more; more than its limit takes several
-- stretches. Also what is used of it.
local function room(need, units)
  local total, slots = used(need.key, need.seconds)
  local limit, rounds = tonumber(need.limit), 0
  if limit > 0 and units > limit then
    rounds = math.ceil(units / limit) - 1
    units = units - rounds * limit
  end
  local past = rounds * need.seconds * 1000 * (SLOTS + 1) / SLOTS
  local missing = total + units - limit
  if missing <= 0 then return math.ceil(past), total end
  table.sort(slots, function(one, other) return one[1] < other[1] end)
  for _, slot in ipairs(slots) do
    missing = missing - slot[2]
    if missing <= 0 then return math.ceil(past) + math.max(math.ceil(slot[1] - now), 1), total end
  end
  return math.ceil(past + need.seconds * 1000), total
end

-- What calls need of each window, as text: 'key=units key=units'.
local function written(needs)
  local parts = {}
  for _, need in ipairs(needs) do
    if need.kind == 'w' then parts[#parts + 1] = need.key .. '=' .. string.format('%.0f', need.units) end
  end
  return table.concat(parts, ' ')
end

local function sum(sums, text, times)
  for key, units in string.gmatch(text, '(%S+)=(%d+)') do
    sums[key] = (sums[key] or 0) + tonumber(units) * times
  end
end

local function read(raw)
  if not raw then return nil end
  local began, last, served, going, needs = string.match(raw, '^(%d+) (%d+) (%d+) (%d+) ?(.*)$')
  local message = {began = tonumber(began), last = tonumber(last), served = tonumber(served),
                   going = tonumber(going), needs = needs}
  local age = now - message.last
  if age < LINGER or (message.going > 0 and age < LONGEST_CALL) then return message end
  return nil
end

local function keep(call, message)
  redis.call('HSET', call.messages, call.message, string.format('%.0f %.0f %d %d %s', message.began,
             message.last, message.served, message.going, message.needs))
  redis.call('PEXPIRE', call.messages, LONGEST_CALL)
end

local function find(call)
  if call.message == '' then return nil end
  return read(redis.call('HGET', call.messages, call.message))
end

local function is_begun(message)
  return message ~= nil and message.served > 0 and message.served < CALLS_OF_A_MESSAGE
end

-- What older messages that have begun wait for, by window.
local function claimed(call, message)
  local sums = {}
  if not call.claims then return sums end
  local began = is_begun(message) and message.began or math.huge
  local fields = redis.call('HGETALL', call.claims)
  for i = 1, #fields, 2 do
    local owner, since, till, needs = string.match(fields[i + 1], '^(%S+) (%d+) (%d+) ?(.*)$')
    if tonumber(till) <= now then
      redis.call('HDEL', call.claims, fields[i])
    elseif owner ~= call.message and tonumber(since) < began then
      sum(sums, needs, 1)
    end
  end
  return sums
end

-- Milliseconds until a need has room beside what is claimed, and what counts of it.
local function wait_for(need, claims)
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
  local wait, total = room(need, need.units)
  local ahead = claims[need.key] or 0
  if ahead == 0 then return wait, total end
  local longer = room(need, need.units + ahead)
  -- Whoever claims it may take it at any moment: it is worth asking again soon.
  if wait == 0 and longer > 0 then longer = math.min(longer, 250) end
  return longer, total + ahead
end

local function take(call)
  local message = find(call)
  local claims = claimed(call, message)
  local lacking, longest, shown = 0, 0, 0
  for number, need in ipairs(call.needs) do
    if need.kind ~= 'a' and need.kind ~= 'c' then
      local wait, total = wait_for(need, claims)
      if wait > longest then lacking, longest, shown = number, wait, total end
    end
  end
  if lacking > 0 then return {lacking, longest, shown, -1, 0} end
  for _, need in ipairs(call.needs) do
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
    elseif need.kind == 'c' and need.limit == 'open' then
      redis.call('DEL', need.key)
    elseif need.kind == 'c' then
      local till = now + math.ceil(need.seconds * 1000)
      if till > tonumber(redis.call('GET', need.key) or 0) then
        redis.call('SET', need.key, string.format('%.0f', till), 'PX', till - now + 1000)
      end
    end
  end
  if call.message == '' then return {0, 0, 0, -1, 0} end
  if not is_begun(message) then message = {began = now, served = 0, going = 0} end
  message.served, message.going = message.served + 1, message.going + 1
  message.last, message.needs = now, written(call.needs)
  keep(call, message)
  return {0, 0, 0, now - message.began, message.served}
end

-- Whether another message goes before one that may have looked already and has not begun.
local function is_before(other_name, other, name, message)
  if other_name == name then return false end
  if not message or other.served > 0 then return true end
  if other.began ~= message.began then return other.began < message.began end
  return other_name < name
end

local function look(call)
  local message = find(call)
  if is_begun(message) then return {0, 0, 0, now - message.began, message.served} end
  local calls, patience = string.match(call.figure, '(.+)/(.+)')
  local ahead, others = {}, false
  local fields = redis.call('HGETALL', call.messages)
  for i = 1, #fields, 2 do
    local other = read(fields[i + 1])
    if not other then
      redis.call('HDEL', call.messages, fields[i])
    elseif tonumber(calls) > other.served and is_before(fields[i], other, call.message, message) then
      others = true
      sum(ahead, other.needs, tonumber(calls) - other.served)
    end
  end
  -- A message that is alone always begins, though its calls may take longer than they can wait.
  local times = others and math.max(tonumber(calls), 1) or 1
  local lacking, longest, shown = 0, 0, 0
  for number, need in ipairs(call.needs) do
    if need.kind == 'w' then
      local wait, total = room(need, math.ceil(need.units * times + (ahead[need.key] or 0)))
      if wait > longest then lacking, longest, shown = number, wait, total end
    end
  end
  if longest > tonumber(patience) then return {lacking, longest, shown, -1, 0} end
  -- It counts until it would have to be refused, or is taken.
  local last = now + math.max(tonumber(patience) - LINGER, 0)
  keep(call, {began = message and message.began or now, last = last, served = 0, going = 0,
              needs = written(call.needs)})
  return {0, 0, 0, -1, 0}
end

local function finish(call)
  local message = find(call)
  if message then
    message.going, message.last = math.max(message.going - 1, 0), now
    keep(call, message)
  end
end

local function drop(call)
  local message = find(call)
  if message and message.served == 0 then redis.call('HDEL', call.messages, call.message) end
end

local function claim(call)
  local name, milliseconds = string.match(call.figure, '(.+)/(.+)')
  local message = find(call)
  if is_begun(message) then
    redis.call('HSET', call.claims, name, string.format('%s %.0f %.0f %s', call.message,
               message.began, now + tonumber(milliseconds), written(call.needs)))
    redis.call('PEXPIRE', call.claims, LONGEST_CALL)
  end
end

local process, calls = next_one(), tonumber(next_one())
redis.call('ZADD', KEYS[1], now, process)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 30000)
redis.call('PEXPIRE', KEYS[1], 60000)
local answer = {redis.call('ZCARD', KEYS[1])}
for _ = 1, calls do
  local call = {mode = next_one(), needs = {}}
  local line = tonumber(next_one())
  call.messages, call.claims = KEYS[line], KEYS[line + 1]
  if line == 0 then call.messages, call.claims = nil, nil end
  call.message, call.figure = next_one(), next_one()
  for number = 1, tonumber(next_one()) do
    call.needs[number] = {key = KEYS[tonumber(next_one())], kind = next_one(), limit = next_one(),
                          seconds = tonumber(next_one()), units = tonumber(next_one())}
  end
  local told = {0, 0, 0, -1, 0}
  if call.mode == 't' then told = take(call)
  elseif call.mode == 'l' then told = look(call)
  elseif call.mode == 'f' then finish(call)
  elseif call.mode == 'd' then drop(call)
  elseif call.mode == 'w' then claim(call)
  elseif call.mode == 'x' then redis.call('HDEL', call.claims, call.figure)
  end
  answer[#answer + 1] = told
end
return answer
